"""Fine-tuning: a short, careful training of weights that already know nuclei, on a few fields.

Nothing of what the weights were made from is at hand, so nothing reminds the network of it. What keeps
it near: a low rate, few steps, no batch statistics (`tme.learn.bundled`), and its own answers where
nobody labelled a class (Li and Hoiem, Learning without Forgetting, 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from tme.learn.augment import Strength
from tme.learn.field import Field
from tme.learn.fit import Recipe, State, fit, start
from tme.learn.network import NucleusNet
from tme.learn.score import Matched

GENTLE = Strength(scale=1.15, stain=0.12, vector=0.02, recolour=0.0, blur=0.25, jpeg=0.25, noise=0.2)
RATE = 3e-4
BATCH = 4
SIDE = 256
FEWEST_STEPS, STEPS_A_FIELD, MOST_STEPS = 160, 40, 2000
TRIAL_STEPS = 3
OWN_CERTAINTY = 0.5
REPORTS = 10


def recipe_for(fields: Sequence[Field], steps: int | None, seed: int) -> Recipe:
    """How to learn from these fields; more steps the more there are."""
    usual = min(FEWEST_STEPS + STEPS_A_FIELD * len(fields), MOST_STEPS)
    return Recipe(
        steps=steps or usual,
        batch=BATCH,
        side=SIDE,
        rate=RATE,
        decay=0.0,
        average=0.99,
        strength=GENTLE,
        seed=seed,
    )


def within_minutes(
    network: NucleusNet, fields: Sequence[Field], recipe: Recipe, minutes: float, scratch: Path
) -> Recipe:
    """The recipe with as many of its steps as fit into some minutes here, at least one.

    Counted beforehand, from a few steps of a copy: the schedule of the rate must know its end.
    """
    trial = replace(recipe, steps=TRIAL_STEPS)
    began = monotonic()
    fit(start(deepcopy(network), trial), fields, trial, scratch)
    seconds = (monotonic() - began) / TRIAL_STEPS
    return replace(recipe, steps=max(1, min(recipe.steps, int(minutes * 60 / seconds))))


def with_own_classes(field: Field, found: Matched) -> Field:
    """The field with the network's own answer, at half weight, where a nucleus has no class.

    Without it the answer would drift wherever the labels leave it free.
    """
    lymphocyte, certainty = field.lymphocyte.copy(), field.certainty.copy()
    instance, label = found.pairs.T if len(found.pairs) else np.zeros((2, 0), np.int64)
    free = ~np.isfinite(lymphocyte[label])
    said = 1 / (1 + np.exp(-found.instances.lymphocyte[instance[free]]))
    lymphocyte[label[free]], certainty[label[free]] = said, OWN_CERTAINTY
    return replace(field, lymphocyte=lymphocyte, certainty=certainty)


def tune(
    network: NucleusNet,
    fields: Sequence[Field],
    recipe: Recipe,
    log: Path,
    threads: int,
    tell: Callable[[int], None],
) -> NucleusNet:
    """Go on learning; the running mean of the weights is what is kept.

    Parameters
    ----------
    network : NucleusNet
        Changed in place.
    fields : sequence of Field
    recipe : Recipe
    log : Path
        CSV of the losses.
    threads : int
        Cores to use; another number sums in another order.
    tell : callable
        Gets the number of steps done, some ten times.
    """

    def look(state: State) -> dict[str, float]:
        tell(state.step)
        return {}

    torch.set_num_threads(threads)
    every = max(1, recipe.steps // REPORTS)
    return fit(start(network, recipe), fields, recipe, log, every=every, look=look).mean
