"""Density maps of vessels and their hotspots, on slides made by hand and against kernels added one by one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.made_measures import SETTINGS, context_of, tissue_of, vessels_at
from tme.metrics import measure_slide
from tme.metrics.bootstrap import seeded
from tme.metrics.density_map import BANDWIDTH_UM, LEAST_ON_TISSUE, find_hotspots, pattern_count, upper_level

MILLIMETRES_4 = np.ones((200, 200), bool)
MILLIMETRES_4.setflags(write=False)


def strewn(n: int, seed: int, side_um: float = 2000.0) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(seed).uniform(0, side_um, (2, n))
    return x, y


def test_hotspots_of_vessels_are_where_they_crowd() -> None:
    x, y = strewn(400, 0)
    crowd = np.random.default_rng(1).normal(1000, 60, (2, 40))
    context = context_of("CD31", MILLIMETRES_4, vessels=vessels_at(np.r_[x, crowd[0]], np.r_[y, crowd[1]]))
    estimate = measure_slide(context, SETTINGS).compartments["evaluable"].estimates["vessel_hotspot_area_pct"]
    assert 0.5 < estimate.value < 5
    assert estimate.n == 440
    assert estimate.ci_low < estimate.value < estimate.ci_high
    found = find_hotspots(
        np.r_[x, crowd[0]], np.r_[y, crowd[1]], MILLIMETRES_4, context.tissue, seeded(0, "a")
    )
    rows, columns = np.nonzero(found.hot)
    side = BANDWIDTH_UM / 3
    assert np.hypot((columns + 0.5) * side - 1000, (rows + 0.5) * side - 1000).max() < 250


def test_the_map_is_that_of_kernels_added_one_by_one() -> None:
    mask = np.ones((100, 130), bool)
    mask[40:, 60:80] = False
    tissue = tissue_of(mask)
    x, y = strewn(200, 3, 990.0)
    keep = tissue.values_at(x, y, mask)
    x, y = x[keep], y[keep]
    found = find_hotspots(x, y, mask, tissue, seeded(0, "b"))
    squares = found.squares
    rows, columns = np.nonzero(squares.areas_mm2)
    near = np.exp(
        -((rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2) / (2 * 3.0**2)
    )  # squares of a third of the bandwidth
    area = near @ squares.areas_mm2[rows, columns]
    count = near @ squares.sums(squares.at(x, y, tissue))[rows, columns]
    density = count / area
    far = np.abs(density / found.level_per_mm2 - 1) > 1e-3
    judged = found.judged[rows, columns]
    assert (found.hot[rows, columns] == (density > found.level_per_mm2))[far & judged].all()
    whole = 2 * np.pi * (BANDWIDTH_UM / 1000) ** 2
    share = area / whole
    assert (judged == (share >= LEAST_ON_TISSUE))[np.abs(share - LEAST_ON_TISSUE) > 1e-3].all()


def test_random_vessels_are_hot_on_a_thousandth_of_the_area() -> None:
    """The edge and the holes of a ragged mask among it, where an uncorrected map would be low."""
    mask = np.ones((200, 200), bool)
    mask[60:140:20, 50:150] = False
    tissue = tissue_of(mask)
    shares = []
    for seed in range(20):
        x, y = strewn(300, seed)
        inside = tissue.values_at(x, y, mask)
        found = find_hotspots(x[inside], y[inside], mask, tissue, seeded(seed, "c"))
        shares.append(found.hot.sum() / found.judged.sum())
    assert np.mean(shares) == pytest.approx(0.001, abs=0.001)


def test_evenly_spaced_vessels_are_no_hotspot_and_the_edge_is_none() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(25.0, 2000, 50), np.arange(25.0, 2000, 50)))
    found = find_hotspots(x, y, MILLIMETRES_4, tissue_of(MILLIMETRES_4), seeded(0, "d"))
    assert found.judged.all()
    assert not found.hot.any()


def test_crumbs_of_tissue_are_not_judged() -> None:
    mask = MILLIMETRES_4.copy()
    mask[:, 100:] = False
    mask[100:103, 180:183] = True
    x, y = np.r_[strewn(200, 0, 1000.0)[0], 1815.0], np.r_[strewn(200, 0, 1000.0)[1], 1015.0]
    found = find_hotspots(x, y, mask, tissue_of(mask), seeded(0, "e"))
    assert found.judged.any()
    assert not found.judged[:, found.judged.shape[1] * 3 // 4 :].any()


@pytest.mark.parametrize("number", [0, 1, 9])
def test_too_few_vessels_have_no_hotspots_but_a_reason(number: int) -> None:
    context = context_of("CD31", MILLIMETRES_4, vessels=vessels_at(*strewn(number, 0)))
    estimate = measure_slide(context, SETTINGS).compartments["evaluable"].estimates["vessel_hotspot_area_pct"]
    assert (estimate.value, estimate.note) == (None, f"only {number} vessels; 10 are needed")


def test_vessels_in_crumbs_alone_have_nothing_to_take_a_share_of() -> None:
    mask = np.zeros((200, 200), bool)
    mask[20:23, 20:23] = True
    x, y = (values / 2000 * 30 + 200 for values in strewn(12, 0))
    context = context_of("CD31", mask, vessels=vessels_at(x, y))
    estimate = measure_slide(context, SETTINGS).compartments["evaluable"].estimates["vessel_hotspot_area_pct"]
    assert (estimate.value, estimate.note) == (None, "nothing to take a share of")


def test_hotspots_are_the_same_each_time() -> None:
    context = context_of("CD31", MILLIMETRES_4, vessels=vessels_at(*strewn(300, 7)))
    one, again = (measure_slide(context, SETTINGS).compartments["evaluable"].estimates for _ in range(2))
    assert one["vessel_hotspot_area_pct"] == again["vessel_hotspot_area_pct"]


def test_small_slides_are_compared_with_more_patterns() -> None:
    assert [pattern_count(area) for area in (0.1, 12.5, 1000.0)] == [499, 400, 99]


def test_the_level_is_the_quantile_of_all_patterns_together() -> None:
    generator = np.random.default_rng(0)
    patterns = generator.gamma(2, 1, (50, 400))
    level = upper_level(iter(patterns), np.ones(400), 50, 0.01)
    assert (patterns > level).sum() == 200
    # A place of twice the area counts as two.
    areas = np.where(np.arange(400) < 100, 2.0, 1.0)
    twice = np.concatenate([patterns, patterns[:, :100]], axis=1)
    assert upper_level(iter(patterns), areas, 50, 0.01) == pytest.approx(np.sort(twice.ravel())[-251])
    assert upper_level(iter([np.zeros(0)]), np.zeros(0), 1, 0.01) == 0.0
