"""Fields -> trained weights: the loop, the same from the same seed.

Every crop is drawn from a generator of its own (seed, step, place in the batch), so neither threads nor
a restart change what the network sees.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tme.learn.augment import Strength, draw_crop, quilt
from tme.learn.field import Field
from tme.learn.losses import WEIGHTS, losses
from tme.learn.network import WORK_MPP, NucleusNet
from tme.learn.targets import Crop, make_targets

AHEAD = 3


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training but its fields.

    Attributes
    ----------
    steps, batch, side : int
        Steps, crops a step, crop's side in working pixels.
    rate, decay : float
        Highest learning rate (one cycle: up over ``warm`` of the steps, then down a cosine), weight decay.
    average : float
        Decay of the running mean of the weights, which is what is kept.
    shares : mapping of str to float
        How often each data set is drawn; sets not named by their number of fields.
    strength : Strength
    seed : int
    """

    steps: int = 6000
    batch: int = 8
    side: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    warm: float = 0.06
    average: float = 0.998
    shares: Mapping[str, float] = field(default_factory=dict)
    strength: Strength = field(default_factory=Strength)
    seed: int = 0


@dataclass(eq=False)
class State:
    """What a checkpoint holds."""

    step: int
    network: NucleusNet
    mean: NucleusNet
    optimiser: Any

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        torch.save(
            {
                "step": self.step,
                "network": self.network.state_dict(),
                "mean": self.mean.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            path.with_suffix(".new"),
        )
        path.with_suffix(".new").replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of this recipe."""
        saved = torch.load(path, weights_only=True)
        self.step = int(saved["step"])
        self.network.load_state_dict(saved["network"])
        self.mean.load_state_dict(saved["mean"])
        self.optimiser.load_state_dict(saved["optimiser"])


class Sampler:
    """Batches by number: fields by their set's share, then by the root of their size."""

    def __init__(self, fields: Sequence[Field], recipe: Recipe) -> None:
        self.fields = fields
        self.recipe = recipe
        sets = sorted({item.dataset for item in fields})
        share = {name: recipe.shares.get(name, 0.0) for name in sets}
        if not any(share.values()):
            share = {name: float(sum(item.dataset == name for item in fields)) for name in sets}
        weight = np.array([math.sqrt(item.rgb.shape[0] * item.rgb.shape[1]) * item.mpp for item in fields])
        for name in sets:
            mine = np.array([item.dataset == name for item in fields])
            weight[mine] *= share[name] / weight[mine].sum()
        self.chance = weight / weight.sum()
        self.small = {
            name: [k for k, f in enumerate(fields) if f.dataset == name and _is_small(f, recipe.side)]
            for name in sets
        }

    def batch(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(N, 3, S, S) uint8 images and (N, 9, S, S) float32 targets of a step."""
        images, targets = [], []
        for place in range(self.recipe.batch):
            rng = np.random.default_rng([self.recipe.seed, step, place])
            chosen = self.fields[rng.choice(len(self.fields), p=self.chance)]
            crop = self._crop(chosen, rng)
            images.append(crop.rgb.transpose(2, 0, 1))
            targets.append(make_targets(crop).stacked())
        return np.stack(images), np.stack(targets)

    def _crop(self, chosen: Field, rng: np.random.Generator) -> Crop:
        """A crop of a field; of a small field, with three others of its set, so that little is empty."""
        side = self.recipe.side
        if not self.small[chosen.dataset] or not _is_small(chosen, side):
            return draw_crop(chosen, side, self.recipe.strength, rng)
        others = rng.choice(self.small[chosen.dataset], 3)
        parts = [chosen, *(self.fields[k] for k in others)]
        return quilt([draw_crop(part, side // 2, self.recipe.strength, rng) for part in parts])


def _is_small(field: Field, side: int) -> bool:
    return min(field.rgb.shape[:2]) * field.mpp / WORK_MPP < 0.7 * side


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate: linear up, cosine down to a hundredth."""
    warm = max(1, round(recipe.warm * recipe.steps))
    if step < warm:
        return recipe.rate * (step + 1) / warm
    done = (step - warm) / max(1, recipe.steps - warm)
    return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def start(network: NucleusNet, recipe: Recipe) -> State:
    """A fresh state around a network."""
    mean = deepcopy(network).eval()
    for parameter in mean.parameters():
        parameter.requires_grad_(False)
    return State(0, network, mean, torch.optim.AdamW(decaying(network, recipe), lr=recipe.rate))


def decaying(network: NucleusNet, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters for an optimiser: kernels decay, biases and norms do not."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": recipe.decay}, {"params": free, "weight_decay": 0.0}]


def kept_at(step: int, recipe: Recipe) -> float:
    """Share of the mean that a step keeps; early on less, so that the start is forgotten."""
    return min(recipe.average, (1 + step) / (10 + step))


def fit(
    state: State,
    fields: Sequence[Field],
    recipe: Recipe,
    log: Path,
    checkpoint: Path | None = None,
    every: int = 250,
    look: Callable[[State], Mapping[str, float]] | None = None,
) -> State:
    """Train to the recipe's last step.

    Parameters
    ----------
    state : State
    fields : sequence of Field
    recipe : Recipe
    log : Path
        CSV, a row every ``every`` steps: means of the losses, seconds, and what ``look`` measured.
    checkpoint : Path, optional
        Written every ``every`` steps.
    look : callable, optional
        Measures the mean network, for the log alone.
    """
    torch.manual_seed(recipe.seed)
    sampler = Sampler(fields, recipe)
    began, sums, seen = monotonic(), dict.fromkeys(WEIGHTS, 0.0), 0
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(sampler.batch, state.step + k) for k in range(AHEAD)]
        while state.step < recipe.steps:
            images, targets = waiting.pop(0).result()
            waiting.append(pool.submit(sampler.batch, state.step + AHEAD))
            parts = _step(state, images, targets, recipe)
            state.step += 1
            seen += 1
            for name, value in parts.items():
                sums[name] += value
            if state.step % every == 0 or state.step == recipe.steps:
                row = {name: round(total / seen, 4) for name, total in sums.items()}
                row |= {"seconds": round(monotonic() - began, 1)}
                row |= {k: round(v, 4) for k, v in (look(state) if look else {}).items()}
                append_row(log, {"step": state.step, **row})
                sums, seen = dict.fromkeys(WEIGHTS, 0.0), 0
                if checkpoint is not None:
                    state.save(checkpoint)
        for future in waiting:
            future.cancel()
    return state


def _step(state: State, images: Any, targets: Any, recipe: Recipe) -> dict[str, float]:
    for group in state.optimiser.param_groups:
        group["lr"] = rate_at(state.step, recipe)
    state.network.train()
    rgb = torch.from_numpy(images).float().to(memory_format=torch.channels_last)
    parts = losses(state.network(rgb), torch.from_numpy(targets))
    total = sum(WEIGHTS[name] * value for name, value in parts.items())
    state.optimiser.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimiser.step()
    _average(state, recipe)
    return {name: float(value.detach()) for name, value in parts.items()}


def _average(state: State, recipe: Recipe) -> None:
    """Move the mean towards the network."""
    keep = kept_at(state.step, recipe)
    with torch.no_grad():
        for mean, now in zip(
            state.mean.state_dict().values(), state.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(now, alpha=1 - keep)
            else:
                mean.copy_(now)


def append_row(log: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a CSV; the first one brings the heads of its columns."""
    new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def described(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, for the log and the model card."""
    return asdict(recipe)
