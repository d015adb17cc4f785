"""A teacher too large to ship, then students small enough to, from one stream of crops on one GPU.

    python -m training.distil DATA WORK --student 32,40,80,128/1,1,1 ... --teacher-steps N --steps M
    python -m training.distil DATA MORE --teacher WORK/teacher.pt --student 32,40,80,128/1,1,1=WORK/0.pt \\
        --everything --teacher-steps N --steps M

The teacher (`TEACHER`) learns from labels alone. Then each student learns from labels and from the teacher's
answers, the mean of several views of a crop (`TURNS`), which reach where nobody labelled: outlines on fields
of centres, classes of nuclei without one (Hinton et al., Distilling the Knowledge in a Neural Network, 2015;
that it pays to go on for long: Beyer et al., Knowledge distillation: A good teacher is patient and
consistent, 2022). Batches are those of `tme.learn.fit.Sampler`, made by worker processes; the last ones stay
on a shelf, from which each step takes crops turned and mirrored anew, since a GPU learns faster than
processes draw. The same numbers give the same crops.

``--classes`` names a network taught before which says in the teacher's place what kind every nucleus is,
louder than the labels: a network that learns for long learns by heart which nuclei of a few patients are
lymphocytes, and so does its teacher (docs/model-card.md). Without a teacher that has learned anything
students learn from labels alone.

``--everything`` learns from the held fields too: what ships then has seen every label, and its scores are
those of the run it started from. Student K leaves WORK/K.pt for `training.publish`, the teacher
WORK/teacher.pt.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tme.learn.fit import Recipe, Sampler, append_row, decaying, described, kept_at, rate_at
from tme.learn.losses import WEIGHTS, losses
from tme.learn.network import NucleusNet
from tme.learn.targets import CENTRE_PX
from tme.safety import file_sha256
from training import sets, synthetic
from training.make import SHARES
from training.plain import PlainUNet

TEACHER = ((48, 96, 160, 256), (2, 2, 3))
PEAK_PX2 = 2 * math.pi * CENTRE_PX**2
"""Sum of one centre's peak."""
TURNS = (0, 7)
"""Views of a crop whose answers the teacher gives the mean of; see `turned`."""
SYMMETRIES = 8
SHELF = 512
"""Batches kept to draw from: 22 GB on the device at 32 crops a batch."""
TONE = 0.06
"""Spread of the logarithm of each colour's gamma, drawn anew each time a crop is taken from the shelf."""
WARM = 3
EVERY = 500
GUESS = 40.0
"""Steps a second, until the speed is known."""
HEARD, LABELLED = 2.0, 0.5
"""Weights of what another network says of classes and of labels of classes, where one is listened to."""
PACE = (60, 160)
"""Batches between which the speed is measured where a time is given and not a number of steps."""
LOOKS = {"HE": 500, "CD8": 90, "CD31": 50}


class Batches(Dataset[Any]):
    """Step -> (N, 3, S, S) uint8 images and (N, 9, S, S) float16 targets."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getitem__(self, step: int) -> tuple[Any, Any]:
        images, targets = self.sampler.batch(step)
        return torch.from_numpy(images), torch.from_numpy(targets).half()


def batches(sampler: Sampler, steps: range, workers: int) -> Iterator[tuple[Any, Any]]:
    """Batches of some steps, in order, however many processes make them."""
    if workers:
        # Before they are forked: a child cannot shut down threads it has not got.
        cv2.setNumThreads(1)
    loader = DataLoader(
        Batches(sampler),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=3 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


class Learner:
    """A network, the running mean of its weights, and its optimiser; no step of it waits for the GPU."""

    def __init__(self, network: NucleusNet, recipe: Recipe, device: torch.device) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).train()
        self.mean = deepcopy(self.network).eval().requires_grad_(False)
        self.recipe = recipe
        self.sums = {name: torch.zeros((), device=device) for name in WEIGHTS}
        self.follow = torch.zeros((), device=device)
        on_gpu = device.type == "cuda"
        rate = torch.tensor(recipe.rate, device=device)
        self.optimiser = torch.optim.AdamW(
            decaying(self.network, recipe), lr=rate, capturable=on_gpu, foreach=on_gpu
        )

    def prepare(self, step: int, of: int) -> None:
        """Set what the next step reads: the rate of learning and how fast the mean follows."""
        rate = rate_at(step, replace(self.recipe, steps=of))
        for group in self.optimiser.param_groups:
            group["lr"].fill_(rate)
        self.follow.fill_(1 - kept_at(step, self.recipe))

    def learn(self, answer: Any, targets: Any, taught: Any | None, heard: bool = False) -> None:
        """One step from answers of the network; ``heard`` if classes are taught by more than labels."""
        parts = losses(answer, targets)
        weights = WEIGHTS | ({"lymphocyte": LABELLED} if heard else {})
        total = sum(weights[name] * value for name, value in parts.items())
        if taught is not None:
            total = total + soft_loss(answer, taught, HEARD if heard else 1.0)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in parts.items():
                self.sums[name] += value.detach()
            now = [v for v in self.network.state_dict().values() if v.dtype.is_floating_point]
            mean = [v for v in self.mean.state_dict().values() if v.dtype.is_floating_point]
            further = torch._foreach_sub(now, mean)
            torch._foreach_mul_(further, self.follow)
            torch._foreach_add_(mean, further)


def soft_loss(answer: Any, taught: Any, heard: float = 1.0) -> Any:
    """How far (N, 5, H, W) answers are from a teacher's, everywhere; classes weigh ``heard``."""
    nucleus, centre, lymphocyte = (torch.sigmoid(taught[:, k]) for k in (0, 1, 4))
    area = nucleus.sum().clamp(min=64)
    cross = functional.binary_cross_entropy_with_logits
    apart = (torch.sigmoid(answer[:, 1]) - centre).square()
    # Quality focal loss (Li et al., 2020): the focal loss of a target between 0 and 1.
    peaks = (apart * cross(answer[:, 1], centre, reduction="none")).sum()
    arrows = functional.smooth_l1_loss(answer[:, 2:4], taught[:, 2:4], reduction="none", beta=0.1).sum(1)
    classes = cross(answer[:, 4], lymphocyte, reduction="none")
    return (
        cross(answer[:, 0], nucleus)
        + peaks / (centre.sum() / PEAK_PX2).clamp(min=8)
        + (arrows * nucleus).sum() / area
        + heard * (classes * nucleus).sum() / area
    )


def turned(planes: Any, turn: int, arrows: int | None) -> Any:
    """(N, C, S, S) under one of the eight symmetries of a square, each its own way back but for 5 and 6.

    Bit 1 mirrors left and right, bit 2 up and down, bit 4 then swaps rows and columns. Channels ``arrows``
    and the one after, if there are any, are arrows in x and y.
    """
    flat = [axis for bit, axis in ((1, 3), (2, 2)) if turn & bit]
    out = planes.flip(flat) if flat else planes
    if turn & 4:
        out = out.transpose(2, 3)
    if arrows is None:
        return out
    x, y = out[:, arrows : arrows + 1], out[:, arrows + 1 : arrows + 2]
    x, y = (-x if turn & 1 else x), (-y if turn & 2 else y)
    return torch.cat([out[:, :arrows], *((y, x) if turn & 4 else (x, y)), out[:, arrows + 2 :]], 1)


def mean_answer(network: NucleusNet, rgb: Any) -> Any:
    """(N, 5, H, W) mean of the answers to several views of (N, 3, H, W) crops."""
    answers = [turned(network(turned(rgb, turn, None)).float(), turn, 2) for turn in TURNS]
    return torch.stack(answers).mean(0)


class Shelf:
    """The last batches, on the device; crops are taken from it turned, mirrored and toned.

    Parameters
    ----------
    batches, size : int
        How many are kept, and crops in each.
    """

    def __init__(self, batches: int, size: int, device: torch.device) -> None:
        self.batches, self.size, self.device = batches, size, device
        self.filled = 0
        self.images: Any = None
        self.targets: Any = None
        self.chosen = torch.zeros(size, dtype=torch.long, device=device)
        self.tone = torch.ones(size, 3, 1, 1, device=device)

    def put(self, images: Any, targets: Any) -> None:
        """Keep a batch in the oldest one's place."""
        if self.images is None:
            room = self.batches * self.size
            self.images = torch.empty((room, *images.shape[1:]), dtype=images.dtype, device=self.device)
            self.targets = torch.empty((room, *targets.shape[1:]), dtype=targets.dtype, device=self.device)
        first = self.filled % self.batches * self.size
        place = slice(first, first + self.size)
        self.images[place].copy_(images, non_blocking=True)
        self.targets[place].copy_(targets, non_blocking=True)
        self.filled += 1

    def choose(self, seed: Sequence[int]) -> None:
        """Decide which crops the next `take` gives."""
        rng = np.random.default_rng(seed)
        kept = min(self.filled, self.batches) * self.size
        chosen = rng.integers(kept, size=self.size)
        tone = np.exp(rng.normal(0, TONE, (self.size, 3, 1, 1))).astype(np.float32)
        self.chosen.copy_(torch.from_numpy(chosen))
        self.tone.copy_(torch.from_numpy(tone))

    def take(self) -> tuple[Any, Any]:
        """(N, 3, S, S) float RGB 0-255 and (N, 9, S, S) float targets; the crops in turn lie each way."""
        rgb = self.images[self.chosen].float()
        rgb = 255 * (rgb / 255) ** self.tone
        targets = self.targets[self.chosen].float()
        groups = [slice(turn, None, SYMMETRIES) for turn in range(min(SYMMETRIES, self.size))]
        images = [turned(rgb[part], turn, None) for turn, part in enumerate(groups)]
        answers = [turned(targets[part], turn, 2) for turn, part in enumerate(groups)]
        return torch.cat(images).contiguous(memory_format=torch.channels_last), torch.cat(answers)


class School:
    """Learners, perhaps a teacher of theirs, and one step of all, replayed as one graph on a GPU.

    ``classes`` says in the teacher's place, where there is one, of which kind a nucleus is.
    """

    def __init__(
        self,
        learners: Mapping[str, Learner],
        teacher: NucleusNet | None,
        shelf: Shelf,
        classes: NucleusNet | None = None,
    ) -> None:
        self.learners, self.teacher, self.shelf, self.classes = learners, teacher, shelf, classes
        self.device = shelf.device
        self.graph: Any = None

    def step(self, step: int, of: int) -> None:
        """Let everybody learn from crops of the shelf."""
        for learner in self.learners.values():
            learner.prepare(step, of)
        if self.device.type != "cuda":
            self._learn()
        elif self.graph is None:
            self._record()
        else:
            self.graph.replay()

    def _record(self) -> None:
        """The first step, some times over (capturing needs it warm), then captured."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._learn()
        torch.cuda.current_stream().wait_stream(aside)
        for learner in self.learners.values():
            for total in learner.sums.values():
                total.div_(WARM)
        self.graph = torch.cuda.CUDAGraph()
        # Another thread pins batches meanwhile, which a capture of all threads would forbid.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self._learn()

    def _learn(self) -> None:
        rgb, targets = self.shelf.take()
        half = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=False
        )
        taught, heard = None, self.teacher is not None and self.classes is not None
        if self.teacher is not None:
            with torch.no_grad(), half:
                taught = mean_answer(self.teacher, rgb)
                if self.classes is not None:
                    taught[:, 4] = mean_answer(self.classes, rgb)[:, 4]
        for learner in self.learners.values():
            with half:
                answer = learner.network(rgb)
            learner.learn(answer.float(), targets, taught, heard)


def attend(
    school: School,
    source: Iterator[tuple[Any, Any]],
    recipe: Recipe,
    reuse: int,
    seconds: float,
    log: Path,
) -> int:
    """Teach for a recipe's steps, the rate one cycle over them; how many they were.

    Parameters
    ----------
    source : iterator
        Of batches. Each gives ``reuse`` steps.
    recipe : Recipe
        Without steps: as many as ``seconds`` allow, by the speed of the first.
    log : Path
        CSV; beside it lie the weights of each learner, as far as they are.
    """
    began = monotonic()
    of, done, counted = recipe.steps or max(1, round(GUESS * seconds)), 0, 0
    for batch, (images, targets) in enumerate(source):
        school.shelf.put(images, targets)
        if not recipe.steps and batch in PACE:
            # What is still to be done on the device is not done.
            if school.device.type == "cuda":
                torch.cuda.synchronize()
            if batch == PACE[0]:
                paced = monotonic()
            else:
                pace = (monotonic() - paced) / (PACE[1] - PACE[0])
                left = seconds - (monotonic() - began)
                of = reuse * max(1, batch + int(left / pace))
                print(f"{reuse / pace:.1f} steps a second: {of} steps", flush=True)
        for _ in range(min(reuse, of - done)):
            school.shelf.choose([recipe.seed, done])
            school.step(done, of)
            done, counted = done + 1, counted + 1
        if done % EVERY < reuse or done == of:
            row: dict[str, Any] = {"step": done, "seconds": round(monotonic() - began, 1)}
            for name, learner in school.learners.items():
                for part, total in learner.sums.items():
                    row[f"{name}.{part}"] = round(float(total) / counted, 4)
                    total.zero_()
                save(learner, log.with_name(f"{name}.pt"))
            counted = 0
            append_row(log, row)
            print(row, flush=True)
        if done == of:
            break
    return done


def student(text: str) -> tuple[Any, str]:
    """A network from ``WIDTHS/BLOCKS[=WEIGHTS]`` or ``plain[=WEIGHTS]``, the weights grown to its shape."""
    shape, _, weights = text.partition("=")
    if shape == "plain":
        network: Any = PlainUNet()
    else:
        widths, blocks = ([int(n) for n in part.split(",")] for part in shape.split("/"))
        network = NucleusNet(widths, blocks)
    if weights:
        network.load_state_dict(grown(torch.load(weights, weights_only=True), network.state_dict()))
    return network, shape


def grown(weights: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a narrower network in the shapes of a wider one, which then answers as it did.

    What is new listens to all and is not yet listened to. Blocks the network has not got are left out, and
    those the weights have not got start anew; then it answers otherwise.

    Raises
    ------
    ValueError
        If the weights are of a wider network.
    """
    out = {name: value.clone() for name, value in own.items()}
    for name, value in weights.items():
        if name not in out:
            continue
        if any(has > room for has, room in zip(value.shape, out[name].shape, strict=True)):
            raise ValueError(f"{name}: {tuple(value.shape)} does not fit into {tuple(out[name].shape)}")
        if value.ndim > 1:
            out[name][: value.shape[0], value.shape[1] :] = 0
        out[name][tuple(slice(n) for n in value.shape)] = value
    return out


def save(learner: Learner, path: Path) -> None:
    """The mean weights of a learner, in float32."""
    learner.mean.load_state_dict(
        {
            name: value if value.dtype.is_floating_point else learner.network.state_dict()[name]
            for name, value in learner.mean.state_dict().items()
        }
    )
    torch.save({k: v.cpu() for k, v in learner.mean.state_dict().items()}, path)


def main() -> None:
    """Parse, teach the teacher, teach the students, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--student", action="append", default=[], metavar="WIDTHS/BLOCKS[=WEIGHTS]")
    parser.add_argument("--teacher", type=Path, help="teacher.pt of an earlier run to go on from")
    parser.add_argument("--teacher-steps", type=int, default=0)
    parser.add_argument("--classes", metavar="WIDTHS/BLOCKS=WEIGHTS", help="who says what kind a nucleus is")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.0, 0.0), metavar=("TEACHER", "STUDENTS"))
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--everything", action="store_true", help="learn from the held fields too")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--reuse", type=int, default=3, help="steps a batch that is drawn")
    parser.add_argument("--average", type=float, default=0.9995)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--looks", type=int, nargs=3, default=tuple(LOOKS.values()))
    parser.add_argument("--first-look", type=int, default=950_000)
    chosen = parser.parse_args()
    began = monotonic()
    if chosen.work.exists() and any(chosen.work.iterdir()):
        parser.error(f"{chosen.work} is not empty: weights of two runs must not lie side by side")
    # Nobody listens to a teacher that has learned nothing.
    knows = bool(chosen.teacher or chosen.teacher_steps or chosen.seconds[0])
    if chosen.classes and not (knows and chosen.classes.partition("=")[2]):
        parser.error("--classes takes =WEIGHTS, and a teacher beside whom they are heard")
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(chosen.seed)
    device = torch.device(chosen.device)
    split = sets.load(chosen.data, chosen.workers)
    looks = list(
        synthetic.fields(chosen.first_look, dict(zip(LOOKS, chosen.looks, strict=True)), chosen.workers)
    )
    fields = split.train + (split.held if chosen.everything else []) + looks
    print(f"{len(fields)} fields, rendered ones with them, after {monotonic() - began:.0f} s", flush=True)
    recipe = Recipe(
        batch=chosen.batch, average=chosen.average, rate=chosen.rate, shares=SHARES, seed=chosen.seed
    )
    large = NucleusNet(*TEACHER)
    if chosen.teacher:
        large.load_state_dict(torch.load(chosen.teacher, weights_only=True))
    students = [student(text) for text in chosen.student]
    teacher = Learner(large, recipe, device)
    says = None
    if chosen.classes:
        says = student(chosen.classes)[0].to(device, memory_format=torch.channels_last).eval()
    small = {str(k): Learner(network, recipe, device) for k, (network, _) in enumerate(students)}
    shelf = Shelf(SHELF, recipe.batch, device)
    source = batches(Sampler(fields, recipe), range(10**6), chosen.workers)
    texts = [*chosen.student, *([chosen.classes] if chosen.classes else [])]
    start = [chosen.teacher, *(Path(w) for text in texts if (w := text.partition("=")[2]))]
    taken: dict[str, int] = {}
    described_here = {
        **described(recipe),
        "steps": taken,
        "reuse": chosen.reuse,
        "shelf": SHELF,
        "teacher": TEACHER,
        "students": [shape for _, shape in students],
        "classes": chosen.classes is not None,
        "start_sha256": [file_sha256(path) for path in start if path],
        "everything": chosen.everything,
        "looks": chosen.looks,
        "first_look": chosen.first_look,
    }
    taught_by = teacher.mean if knows else None
    for kind, school, steps, seconds in (
        ("teacher", School({"teacher": teacher}, None, shelf), chosen.teacher_steps, chosen.seconds[0]),
        ("students", School(small, taught_by, shelf, says), chosen.steps, chosen.seconds[1]),
    ):
        if steps or seconds:
            timed = replace(recipe, steps=steps)
            log = chosen.work / f"{kind}.csv"
            taken[kind] = attend(school, source, timed, chosen.reuse, seconds, log)
            # After each: what stops later does not take the recipe of what was learned.
            (chosen.work / "recipe.json").write_text(json.dumps(described_here, indent=1))


if __name__ == "__main__":
    main()
