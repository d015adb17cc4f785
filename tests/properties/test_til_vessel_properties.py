"""What holds for TILs and vessels wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_measures import MPP, SETTINGS, cells_at, context_of, vessels_at
from tme.metrics.families.til_vessel import METRIC_NAMES, measure
from tme.metrics.scope import make_scope
from tme.metrics.types import Estimate

SIDE_PX = 120
SIDE_UM = SIDE_PX * MPP
RADIUS_UM = 5.0


@st.composite
def patterns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """TILs (N, 2) and vessels (M, 2) in µm on a square section, at pixels' centres."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tils = generator.integers(0, SIDE_PX, (draw(st.integers(20, 200)), 2))
    vessels = generator.integers(2, SIDE_PX - 2, (draw(st.integers(1, 30)), 2))
    return (tils + 0.5) * MPP, (vessels + 0.5) * MPP


def found(tils: np.ndarray, vessels: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Estimate]:
    mask = np.ones((SIDE_PX, SIDE_PX), bool) if mask is None else mask
    cells = cells_at(tils[:, 0], tils[:, 1], [True] * len(tils))
    context = context_of("HE", mask, cells=cells, vessels=vessels_at(vessels[:, 0], vessels[:, 1], RADIUS_UM))
    return dict(measure(make_scope(context, "evaluable", SETTINGS)))


@settings(max_examples=15)
@given(patterns())
def test_numbers_stay_within_bounds_and_their_intervals(pattern: tuple[np.ndarray, np.ndarray]) -> None:
    for name in METRIC_NAMES:
        estimate = found(*pattern)[name]
        if estimate.value is not None:
            assert isinstance(estimate.value, float)
            assert estimate.value >= 0
            if estimate.ci_low is not None and estimate.ci_high is not None:
                assert 0 <= estimate.ci_low <= estimate.value <= estimate.ci_high
        else:
            assert estimate.note


@settings(max_examples=15)
@given(patterns(), st.permutations(range(20)))
def test_the_order_of_cells_means_nothing(pattern: tuple[np.ndarray, np.ndarray], order: list[int]) -> None:
    tils, vessels = pattern
    turned = np.concatenate([tils[:20][order], tils[20:]])
    assert found(turned, vessels) == found(tils, vessels)


@settings(max_examples=15)
@given(patterns(), st.integers(0, 40), st.integers(0, 40))
def test_a_section_moved_on_the_glass_gives_the_same(
    pattern: tuple[np.ndarray, np.ndarray], down: int, right: int
) -> None:
    mask = np.zeros((SIDE_PX + 40, SIDE_PX + 40), bool)
    mask[down : down + SIDE_PX, right : right + SIDE_PX] = True
    step = np.array([right, down]) * MPP
    tils, vessels = pattern
    here, there = found(tils, vessels), found(tils + step, vessels + step, mask)
    for name in METRIC_NAMES:
        assert there[name].value == pytest.approx(here[name].value)
        assert there[name].ci_low == pytest.approx(here[name].ci_low)
        assert there[name].ci_high == pytest.approx(here[name].ci_high)


@settings(max_examples=15)
@given(patterns())
def test_a_section_turned_on_the_glass_gives_the_same(pattern: tuple[np.ndarray, np.ndarray]) -> None:
    """But for what an outline drawn on the tissue grid loses: less than a pixel and a half."""
    tils, vessels = pattern
    here = found(tils, vessels)
    there = found(*(np.stack([SIDE_UM - points[:, 1], points[:, 0]], 1) for points in pattern))
    apart = np.linalg.norm(tils[:, None] - vessels[None], axis=2).min(axis=1) - RADIUS_UM
    doubtful = 100 * np.mean(np.abs(apart - 30) < 1.5 * MPP)
    median, share, _ = METRIC_NAMES
    assert there[median].value == pytest.approx(here[median].value, abs=1.5 * MPP)
    assert there[share].value == pytest.approx(here[share].value, abs=doubtful + 1e-6)
