"""A network learns the mean of its own answers to turned, mirrored and shifted views: no labels, no GPU.

    python -m training.views DATA WORK --start tmenet-2-fp32.onnx [--steps 2500] [--everything]

The mean over views is righter than any one of them, and what differs between views is what depends on how a
slide happened to lie under the scanner. The teacher is the network as it started, run as tme runs it; the
student is taught that mean on crops it sees as they are (Hinton et al., Distilling the Knowledge in a Neural
Network, 2015; with views, Radosavovic et al., Data Distillation, CVPR 2018). Crops are those of
`tme.learn.fit.Sampler`; one that was answered is kept and seen again, turned otherwise.

WORK gets the log and weights.pt, of a network without batch norms, for `training.publish`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tme.cells.engines._runtime import Network, open_network
from tme.learn.bundled import load_onnx
from tme.learn.fit import Recipe, Sampler, State, advance, append_row, described, start
from tme.learn.network import STRIDE
from tme.safety import file_sha256
from tme.slide.types import RGB
from training import sets, synthetic
from training.distil import soft_loss
from training.make import SHARES

Answer = NDArray[np.float32]
RATE = 4e-4
FRESH = 2
"""Crops of a batch that the teacher has not yet answered; the others are seen again."""
KEPT = 4000
EVERY = 100
LOOKS = {"HE": 150, "CD8": 50, "CD31": 20}
VIEWS = 8


def turned(image: NDArray[Any], view: int) -> NDArray[Any]:
    """(H, W, ...) under one of the eight symmetries of a square."""
    return np.rot90(image[:, ::-1] if view >= 4 else image, view % 4)


def turned_answer(answer: Answer, view: int, back: bool = False) -> Answer:
    """(5, H, W) answers under a symmetry, their arrows with them; ``back`` undoes it."""
    quarters, mirrored = view % 4, view >= 4
    if mirrored and not back:
        answer = _mirrored(answer)
    for _ in range((-quarters if back else quarters) % 4):
        answer = np.rot90(answer, 1, (1, 2))
        right, down = answer[2], answer[3]
        answer = np.stack([answer[0], answer[1], down, -right, answer[4]])
    return np.ascontiguousarray(_mirrored(answer) if mirrored and back else answer)


def _mirrored(answer: Answer) -> Answer:
    answer = answer[:, :, ::-1].copy()
    answer[2] *= -1
    return answer


def mean_answer(network: Network, rgb: RGB, rng: np.random.Generator) -> Answer:
    """(5, H, W) float32: mean answer to eight views, each shifted by less than the network's step."""
    height, width = rgb.shape[:2]
    total = np.zeros((5, height, width), np.float32)
    for view in range(VIEWS):
        down, right = rng.integers(STRIDE, size=2)
        wide = np.pad(rgb, ((down, STRIDE - down), (right, STRIDE - right), (0, 0)), mode="symmetric")
        seen = network(np.ascontiguousarray(turned(wide, view)))
        total += turned_answer(seen, view, back=True)[:, down : down + height, right : right + width]
    return total / VIEWS


class Stock:
    """Crops and what they were answered; batches are partly new, partly seen again."""

    def __init__(self, network: Network, sampler: Sampler, seed: int) -> None:
        self.network, self.sampler = network, sampler
        self.rng = np.random.default_rng(seed)
        self.crops: list[tuple[RGB, NDArray[np.float16]]] = []

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """(N, 3, S, S) float32 images and (N, 5, S, S) float32 answers, without end."""
        step = 0
        while True:
            missing = FRESH if len(self.crops) >= size else size
            for place in range(missing):
                rgb = self.sampler.crop(step, place).rgb
                self.crops.append((rgb, mean_answer(self.network, rgb, self.rng).astype(np.float16)))
            new = range(len(self.crops) - missing, len(self.crops))
            again = self.rng.choice(len(self.crops), size - missing)
            images, answers = zip(*(self._seen(int(k)) for k in (*new, *again)), strict=True)
            yield torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(answers))
            del self.crops[: max(0, len(self.crops) - KEPT)]
            step += 1

    def _seen(self, k: int) -> tuple[NDArray[np.float32], Answer]:
        view = int(self.rng.integers(VIEWS))
        rgb, answer = self.crops[k]
        image = np.ascontiguousarray(turned(rgb, view).transpose(2, 0, 1), np.float32)
        return image, turned_answer(answer.astype(np.float32), view)


def learn(state: State, stock: Stock, recipe: Recipe, log: Path) -> None:
    """Teach a network to the recipe's last step."""
    began, total = monotonic(), 0.0
    state.network.train()
    for images, answers in stock.batches(recipe.batch):
        seen = state.network(images.to(memory_format=torch.channels_last))
        loss = soft_loss(seen, answers)
        advance(state, loss, recipe)
        total += float(loss.detach())
        if state.step % EVERY == 0 or state.step == recipe.steps:
            since = (state.step - 1) % EVERY + 1
            row = {"step": state.step, "loss": round(total / since, 5)}
            append_row(log, {**row, "seconds": round(monotonic() - began, 1)})
            total = 0.0
        if state.step == recipe.steps:
            return


def main() -> None:
    """Parse, teach, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="fp32 ONNX file of tme's own network")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-look", type=int, default=970_000)
    parser.add_argument("--everything", action="store_true", help="crops of the held fields too")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(chosen.seed)
    split = sets.load(chosen.data)
    fields = split.train + (split.held if chosen.everything else [])
    fields += synthetic.fields(chosen.first_look, LOOKS)
    recipe = Recipe(
        steps=chosen.steps,
        batch=chosen.batch,
        rate=chosen.rate,
        average=0.995,
        shares=SHARES,
        seed=chosen.seed,
    )
    state = start(load_onnx(chosen.start), recipe)
    (chosen.work / "recipe.json").write_text(
        json.dumps({**described(recipe), "start_sha256": file_sha256(chosen.start)}, indent=1)
    )
    teacher = open_network(chosen.start, "cpu")[0]
    learn(state, Stock(teacher, Sampler(fields, recipe), chosen.seed), recipe, chosen.work / "log.csv")
    torch.save(state.mean.state_dict(), chosen.work / "weights.pt")


if __name__ == "__main__":
    main()
