"""Slides of one sample as one: what is pooled equals what one slide of all of them would give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.made_measures import SETTINGS
from tme.metrics.bootstrap import median_estimate, mixture_quantile, weighted_quantile
from tme.metrics.types import Spread

Numbers = NDArray[np.float64]


def spread_of(values: Numbers, level: float) -> Spread:
    """The distribution of some objects as a slide's file holds it."""
    spread = median_estimate("m", values, np.zeros(len(values), np.int32), 1, SETTINGS).spread
    assert spread is not None
    return Spread(level, spread.points, spread.weight)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize(("here", "there"), [(9, 9), (10, 10), (9, 15), (15, 31), (31, 31)])
def test_a_pooled_quantile_is_that_of_all_objects_together(level: float, here: int, there: int) -> None:
    generator = np.random.default_rng(here * there)
    errors, truth = [], []
    for _ in range(300):
        one, other = generator.lognormal(5, 0.8, here), generator.lognormal(5, 0.8, there)
        together = np.sort(np.concatenate([one, other]))
        (expected,) = weighted_quantile(together, np.ones((1, len(together))), level)
        pooled = mixture_quantile([spread_of(one, level), spread_of(other, level)])
        errors.append(np.log2(pooled / expected))
        truth.append(np.log2(expected))
    # A level is stored to one step in a hundred: what that loses is little beside the scatter of samples.
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 0.2 * np.std(truth)


def test_a_slide_weighs_by_its_objects() -> None:
    few, many = spread_of(np.full(10, 1.0), 0.5), spread_of(np.full(11, 9.0), 0.5)
    assert mixture_quantile([few, many]) == pytest.approx(9.0)
    assert mixture_quantile([few, few, many]) == pytest.approx(1.0)
