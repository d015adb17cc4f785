"""A student's classes taught again, by a network whose classes hold on other patients; its outlines kept.

    python -m training.classes DATA START DESCRIPTION OUT --steps N [--everything]
        [--mended SET ... --share S]

A network that learns for long gets better outlines, but learns by heart which nuclei of a few patients are
lymphocytes (docs/model-card.md). Here it listens to what earlier weights, DESCRIPTION, say of the class of
every nucleus on crops drawn anew, and to labels; of all else to what it said itself at the start. Levels at
2 and 4 px on the way down and all statistics stay as they are. OUT gets the running mean of the weights.

``--mended`` names sets whose labels have been put right since START was taught: there labels teach outlines,
on crops of their own, in place of what START and DESCRIPTION say; sets with classes are refused. With
``--share`` OUT lies that part of the way from START to what was taught: half way has most of what was to be
learned and next to nothing of what is forgotten elsewhere (Wortsman et al., CVPR 2022).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from tme.cells.engines._description import read_description, weights_file
from tme.cells.engines._runtime import open_network
from tme.learn.fit import Recipe, Sampler, decaying, kept_at, rate_at
from tme.learn.losses import losses, lymphocyte_loss
from tme.learn.network import NucleusNet
from training import sets, synthetic
from training.distil import soft_loss
from training.make import SHARES

RATE, AVERAGE = 6e-4, 0.995
HEARD = 2.0
"""Weight of what the earlier weights say of a class beside that of a label."""
LOOKS = {"HE": 120, "CD8": 15, "CD31": 10}
FIRST_LOOK = 960_000
EVERY = 50
MENDED_CROPS = 2
"""Crops of mended sets in a step, beside the recipe's."""
Says = Callable[[Any], Any]


def said_by(description: Path) -> Says:
    """(H, W, 3) uint8 -> (H, W) float32, what weights as they ship say of the class of each pixel."""
    read = read_description(description)
    network = open_network(weights_file(read, description.parent, "fp32")[0], "cpu")[0]
    return lambda rgb: network(np.ascontiguousarray(rgb))[4]


def taught(
    start: NucleusNet, says: Says, sampler: Sampler, recipe: Recipe, mended: Sampler | None = None
) -> NucleusNet:
    """The network after a recipe's steps, its mean weights; ``start`` stays as it was.

    ``mended`` draws crops whose labels teach all but classes.
    """
    own = deepcopy(start).eval().requires_grad_(False)
    network = deepcopy(start).eval()
    for level in (network.stem, network.down4):
        level.requires_grad_(False)
    mean = deepcopy(network).requires_grad_(False)
    groups = [
        group | {"params": [p for p in group["params"] if p.requires_grad]}
        for group in decaying(network, recipe)
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate)
    began = monotonic()
    for step in range(recipe.steps):
        images, targets = sampler.batch(step)
        rgb = torch.from_numpy(images).float().to(memory_format=torch.channels_last)
        known = torch.from_numpy(targets)
        with torch.no_grad():
            wanted = own(rgb)
        wanted[:, 4] = torch.from_numpy(np.stack([says(image.transpose(1, 2, 0)) for image in images]))
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, recipe)
        answer = network(rgb)
        nucleus = torch.sigmoid(wanted[:, 0])
        classes = functional.binary_cross_entropy_with_logits(
            answer[:, 4], torch.sigmoid(wanted[:, 4]), reduction="none"
        )
        heard = (classes * nucleus).sum() / nucleus.sum().clamp(min=64)
        # `soft_loss` has heard it once.
        loss = soft_loss(answer, wanted) + (HEARD - 1) * heard
        loss = loss + lymphocyte_loss(answer[:, 4], known[:, 4], known[:, 8])
        if mended is not None:
            images, targets = mended.batch(step)
            parts = losses(network(torch.from_numpy(images).float()), torch.from_numpy(targets))
            loss = loss + parts["nucleus"] + parts["centre"] + parts["offset"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        keep = kept_at(step, recipe)
        with torch.no_grad():
            for old, new in zip(mean.parameters(), network.parameters(), strict=True):
                old.mul_(keep).add_(new, alpha=1 - keep)
        if (step + 1) % EVERY == 0:
            print(
                f"{step + 1} steps, {monotonic() - began:.0f} s, loss {float(loss.detach()):.3f}", flush=True
            )
    return mean


def between(start: NucleusNet, end: NucleusNet, share: float) -> NucleusNet:
    """The network whose weights lie ``share`` of the way from one's to the other's."""
    out = deepcopy(start)
    with torch.no_grad():
        for here, there in zip(out.parameters(), end.parameters(), strict=True):
            here.lerp_(there, share)
    return out


def main() -> None:
    """Parse, teach, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("start", type=Path)
    parser.add_argument("description", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--everything", action="store_true", help="learn from the held fields too")
    parser.add_argument("--mended", nargs="+", default=[], metavar="SET", help="sets whose labels changed")
    parser.add_argument("--share", type=float, default=1.0, help="part of the way from START to go")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    split = sets.load(chosen.data)
    fields = split.train + (split.held if chosen.everything else [])
    recipe = replace(Recipe(rate=RATE, average=AVERAGE, shares=SHARES), steps=chosen.steps, seed=chosen.seed)
    again = [field for field in fields if field.dataset in chosen.mended]
    unknown = set(chosen.mended) - {field.dataset for field in fields}
    classed = {field.dataset for field in again if np.isfinite(field.lymphocyte).any()}
    if unknown or classed:
        parser.error(f"--mended: no set {sorted(unknown)}, or one with classes {sorted(classed)}")
    if not 0 < chosen.share <= 1:
        parser.error("--share lies between 0 and 1")
    fields = [field for field in fields if field.dataset not in chosen.mended]
    fields += synthetic.fields(FIRST_LOOK, LOOKS)
    mended = Sampler(again, replace(recipe, batch=MENDED_CROPS)) if again else None
    network = NucleusNet()
    network.load_state_dict(torch.load(chosen.start, weights_only=True))
    network = network.to(memory_format=torch.channels_last)
    out = taught(network, said_by(chosen.description), Sampler(fields, recipe), recipe, mended)
    torch.save(between(network, out, chosen.share).state_dict(), chosen.out)


if __name__ == "__main__":
    main()
