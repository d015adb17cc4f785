"""The DAB threshold stands above the negative nuclei and below the positive ones."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tme.stains.threshold import (
    FEWEST_OVER_CUT,
    FEWEST_POINTS,
    FOR_CELLS,
    FOR_VESSELS,
    LEAST_OVER_CUT,
    MOST_ABOVE_OD,
    MOST_GROUND_OD,
    RANGE_OD,
    DabThreshold,
    dab_threshold,
    weak_caution,
)

NO_HAZE = np.zeros(1000, np.float32)


def threshold(dab: NDArray[np.float32]) -> DabThreshold:
    return dab_threshold([dab], NO_HAZE)


def normal(mean: float, spread: float, count: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(mean, spread, count).astype(np.float32)


@pytest.mark.parametrize("mode", [-0.05, 0.02, 0.12])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_between_two_populations(mode: float, share: float) -> None:
    negative, positive = normal(mode, 0.025, 3000, 0), normal(mode + 0.5, 0.1, int(3000 * share), 1)
    found = threshold(np.concatenate([negative, positive]))
    assert found.source == "slide"
    assert found.note == ""
    assert (negative >= found.value).mean() < 0.01
    assert (positive >= found.value).mean() > 0.99


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.005, 0.015, 0.025])
def test_noise_alone_is_not_cut_through(spread: float, seed: int) -> None:
    noise = normal(0.03, spread, 2000, seed)
    assert (noise >= threshold(noise).value).mean() <= 0.001


@given(shift=st.floats(-0.04, 0.04), few=st.booleans())
def test_a_scan_a_little_browner_moves_the_cut_by_as_much(shift: float, few: bool) -> None:
    # A flat top, as crowded fields have: a mode known to a bin would jump on it.
    dab = np.concatenate([np.linspace(-0.03, 0.03, 150 if few else 1500), normal(0.5, 0.1, 300, 1)])
    moved = threshold((dab + shift).astype(np.float32)).value - threshold(dab.astype(np.float32)).value
    assert moved == pytest.approx(shift, abs=0.004)


@given(mode=st.floats(0.32, 0.6), spread=st.floats(0.05, 0.2), seed=st.integers(0, 50))
def test_few_negative_nuclei_beside_many_positive_ones_keep_the_cut_near(
    mode: float, spread: float, seed: int
) -> None:
    found = threshold(np.concatenate([normal(0, 0.03, 150, seed), normal(mode, spread, 2000, seed + 1)]))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert -0.3 <= found.low <= found.value <= found.high <= 0.3 + MOST_ABOVE_OD + 0.02


@pytest.mark.parametrize("count", [0, 1, FEWEST_POINTS - 1])
def test_too_few_points_give_a_fixed_threshold_and_say_so(count: int) -> None:
    found = threshold(normal(0.3, 0.1, count, 0))
    assert found.value == MOST_ABOVE_OD
    assert "too few nuclei" in found.note
    assert sum(found.histogram["counts"]) == count
    assert threshold(normal(0.3, 0.1, FEWEST_POINTS, 0)).note == ""


def test_the_cut_stays_within_its_bounds_above_the_mode() -> None:
    for spread, rule in product((0.0001, 0.01, 0.05, 0.2), (FOR_CELLS, FOR_VESSELS)):
        value = dab_threshold([normal(0.0, spread, 20000, 2)], NO_HAZE, rule=rule).value
        assert rule.least_od - 0.06 <= value <= MOST_ABOVE_OD + 0.06
    tight = threshold(np.full(500, 0.005, np.float32)).value
    assert tight == pytest.approx(0.005 + FOR_CELLS.least_od, abs=0.006 + 3 / 100)


@pytest.mark.parametrize(("ground", "given"), [(MOST_GROUND_OD + 0.01, False), (MOST_GROUND_OD - 0.01, True)])
def test_brown_everywhere_is_no_ground_for_a_cut(ground: float, given: bool) -> None:
    cells = np.concatenate([normal(ground, 0.03, 900, 0), normal(ground + 0.5, 0.1, 100, 1)])
    found = dab_threshold([cells], normal(ground, 0.0, 1000, 2))
    assert (found.value is not None) is given
    assert ("half of the tissue is brown" in found.note) is not given
    assert sum(found.histogram["counts"]) == 1000


def test_a_field_packed_with_positive_cells_is_cut_by_its_negative_ones() -> None:
    packed = np.concatenate([normal(0.02, 0.02, 300, 0), normal(0.45, 0.12, 700, 1)])
    found = dab_threshold([packed], normal(MOST_GROUND_OD + 0.1, 0.0, 1000, 2))
    assert found.note == ""
    assert found.value is not None
    assert found.value < 0.2


def test_the_histogram_counts_every_point_also_those_out_of_range() -> None:
    values = np.concatenate([normal(0.0, 0.02, 300, 0), np.array([-3.0, 9.0, RANGE_OD[1]], np.float32)])
    histogram = threshold(values).histogram
    assert sum(histogram["counts"]) == len(values)
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert (histogram["edges"][0], histogram["edges"][-1]) == RANGE_OD
    assert histogram["counts"][0] == 1
    assert histogram["counts"][-1] == 2


def test_the_order_of_points_does_not_matter() -> None:
    values = np.concatenate([normal(0.02, 0.03, 900, 0), normal(0.5, 0.1, 100, 1)])
    shuffled = np.random.default_rng(5).permutation(values)
    assert threshold(shuffled) == threshold(values)


def test_the_interval_holds_the_cut_and_narrows_with_points() -> None:
    few, many = threshold(normal(0.03, 0.04, 200, 0)), threshold(normal(0.03, 0.04, 5000, 0))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < 0.75 * (few.high - few.low)


def test_the_interval_holds_the_cut_of_the_whole_slide() -> None:
    """The slide's cut, from all its points, lies outside a sample's interval seldom."""
    whole = normal(0.03, 0.027, 100_000, 0)
    cut = threshold(whole).value
    missed = 0
    for seed in range(20):
        points = np.random.default_rng(seed).choice(whole, 300)
        found = dab_threshold(np.array_split(points, 20), NO_HAZE)
        missed += not found.low <= cut <= found.high
    assert missed <= 3


def test_windows_that_differ_widen_the_interval() -> None:
    alike = [normal(0.03, 0.015, 100, seed) for seed in range(16)]
    apart = [points + np.float32(0.08 * (number % 2)) for number, points in enumerate(alike)]
    one, two = dab_threshold(alike, NO_HAZE), dab_threshold(apart, NO_HAZE)
    assert two.high - two.low > 1.5 * (one.high - one.low)


def test_nothing_estimated_has_no_interval() -> None:
    few = threshold(normal(0.03, 0.02, FEWEST_POINTS - 1, 0))
    brown = dab_threshold([normal(0.5, 0.02, 500, 0)], normal(0.5, 0.0, 500, 0))
    assert (few.low, few.high, brown.low, brown.high) == (None,) * 4
    assert dab_threshold([], np.zeros(0, np.float32)).value == MOST_ABOVE_OD


def test_the_interval_is_seeded() -> None:
    windows = [normal(0.03, 0.03, 150, seed) for seed in range(12)]
    assert dab_threshold(windows, NO_HAZE, 3) == dab_threshold(windows, NO_HAZE, 3)


@pytest.mark.parametrize(("brown", "cut"), [(0.0, True), (0.09, True), (0.11, False), (0.4, False)])
def test_brown_on_the_palest_tissue_leaves_no_threshold(brown: float, cut: bool) -> None:
    pale = normal(brown, 0.001, 500, 0)
    found = dab_threshold([normal(0.02, 0.02, 500, 1)], NO_HAZE, pale=pale)
    assert (found.value is not None) is cut
    assert cut or "palest tissue is brown" in found.note


@given(median=st.floats(0.02, 2), cut=st.floats(0.01, 0.5), count=st.integers(0, 60))
def test_a_weak_stain_is_said_where_enough_is_positive(median: float, cut: float, count: int) -> None:
    said = weak_caution(np.concatenate([np.full(count, median), np.full(100, -1.0)]), cut)
    assert bool(said) is (count >= FEWEST_OVER_CUT and cut <= median < LEAST_OVER_CUT * cut)
    assert weak_caution(np.full(count, median), None) == ""
    assert said == "" or said.startswith("weak stain")
    assert weak_caution(np.full(count, median), 0.0) == ""
