"""Indices of how TILs lie over squares of 0.25 mm², on slides made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.made_measures import SETTINGS, cells_at, context_of
from tests.naive_unevenness import naive_getis_ord, naive_gini
from tme.config import MetricSettings
from tme.metrics import Estimate, measure_slide
from tme.metrics.families.til_grid import NAMES, PATTERNS

SIDE = 50
"""Pixels of 10 µm along a square of 500 µm."""
NO_TILS = np.zeros((5, 6), int)
NO_TILS.setflags(write=False)


def points_in(counts: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in µm, as many in each square of 500 µm as the (R, C) counts say."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.repeat(place, counts.ravel()) for place in np.indices(counts.shape).reshape(2, -1))
    x, y = generator.uniform(0, 500, (2, len(rows)))
    return columns * 500 + x, rows * 500 + y


def measured(
    tils: np.ndarray, others: np.ndarray, settings: MetricSettings = SETTINGS, mask: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Estimates of a CD8 slide with these cells by square."""
    if mask is None:
        mask = np.ones((tils.shape[0] * SIDE, tils.shape[1] * SIDE), bool)
    (x, y), (more_x, more_y) = points_in(tils), points_in(others, 1)
    cells = cells_at(np.r_[x, more_x], np.r_[y, more_y], [True] * len(x) + [False] * len(more_x))
    slide = measure_slide(context_of("CD8", mask, cells=cells), settings)
    return dict(slide.compartments["evaluable"].estimates)


def test_indices_of_thirty_squares_by_hand() -> None:
    tils = np.ones((5, 6), int)
    tils[1:4, 2] = 10
    found = measured(tils, np.full((5, 6), 2))
    # 27 squares of 4 per mm² and 3 of 40: the nine tenths end between the two.
    assert found["til_density_p90_per_mm2"].value == pytest.approx(22.0)
    assert found["til_gini"].value == pytest.approx(2 * 27 * 3 * 36 / (2 * 30**2 * 7.6))
    # Σ x_i y_i = 2 · 57, Σ x² = 27 + 300, Σ y² = 120, X = 57, Y = 60.
    overlap = 2 * 114 / ((327 / 57**2 + 120 / 60**2) * 57 * 60)
    assert found["til_tumour_morisita"].value == pytest.approx(overlap)
    rows, columns = np.indices(tils.shape).reshape(2, -1)
    hot = naive_getis_ord(4.0 * tils.ravel(), rows, columns) >= 2.58
    assert 0 < hot.sum() < 30
    assert found["til_hotspot_area_pct"].value == pytest.approx(100 * hot.sum() / 30)
    for name in NAMES:
        assert found[name].n == 57
        assert found[name].n_blocks == 9
        assert found[name].ci_low < found[name].value < found[name].ci_high, name


def test_squares_under_half_evaluable_are_left_out() -> None:
    mask = np.ones((5 * SIDE, 7 * SIDE), bool)
    mask[:, 6 * SIDE + 25 :] = False
    tils = np.ones((5, 7), int)
    tils[:, 6] = 0
    whole = measured(tils, tils, mask=mask)
    # Five more squares, half of each evaluable and without TILs: 30 of 35 have 4 per mm².
    assert whole["til_gini"].value == pytest.approx(5 / 35)
    mask[:, 6 * SIDE + 24 :] = False
    assert measured(tils, tils, mask=mask)["til_gini"].value == pytest.approx(0.0, abs=1e-12)


def test_hotspots_weigh_what_is_evaluable_of_them() -> None:
    mask = np.ones((6 * SIDE, 6 * SIDE), bool)
    mask[:25] = False
    tils = np.ones((6, 6), int)
    tils[0] = 0
    tils[4:, 4:] = 30
    found = measured(tils, np.ones((6, 6), int), mask=mask)
    areas = np.full((6, 6), 0.25)
    areas[0] = 0.125
    rows, columns = np.indices((6, 6)).reshape(2, -1)
    hot = naive_getis_ord((tils / areas).ravel(), rows, columns) >= 2.58
    assert found["til_hotspot_area_pct"].value == pytest.approx(100 * areas.ravel()[hot].sum() / areas.sum())


def test_fewer_than_thirty_squares_have_no_index_but_a_reason() -> None:
    for shape in ((1, 29), (1, 1)):
        found = measured(np.ones(shape, int), np.ones(shape, int))
        for name in NAMES:
            assert found[name].value is None
            assert found[name].note.startswith(f"only {shape[1]} squares")
            assert f"{name}_random" not in found


def test_without_tils_there_is_no_unevenness_to_tell() -> None:
    found = measured(NO_TILS, np.ones((5, 6), int))
    assert (found["til_density_p90_per_mm2"].value, found["til_hotspot_area_pct"].value) == (0.0, 0.0)
    for name in ("til_gini", "til_tumour_morisita"):
        assert (found[name].value, found[name].note) == (None, "no TIL in the squares")
        assert f"{name}_random" not in found
    assert found["til_density_p90_per_mm2_random"].value == 0.0


def test_without_other_nuclei_there_is_no_overlap() -> None:
    found = measured(np.ones((5, 6), int), NO_TILS)
    assert found["til_tumour_morisita"].note == "no other nucleus in the squares"
    assert found["til_gini"].value == pytest.approx(0.0, abs=1e-12)


def test_a_cluster_counts_as_its_cells() -> None:
    x, y = points_in(np.ones((5, 6), int))
    cells = cells_at(x, y, [True] * 30, in_cluster=[True] + [False] * 29, cluster_count=[9] + [None] * 29)
    slide = measure_slide(context_of("CD8", np.ones((250, 300), bool), cells=cells), SETTINGS)
    expected = naive_gini(np.array([9.0] + [1.0] * 29))
    assert slide.compartments["evaluable"].estimates["til_gini"].value == pytest.approx(expected)


def test_random_patterns_are_the_same_each_time_and_follow_the_seed() -> None:
    tils = np.random.default_rng(0).poisson(4, (6, 6))
    one, again = measured(tils, tils), measured(tils, tils)
    assert one == again
    other = measured(tils, tils, MetricSettings(bootstrap=100, seed=1))
    assert {one[name].value == other[name].value for name in NAMES} == {True}
    assert one["til_gini_random"].value != other["til_gini_random"].value


def test_random_values_are_those_of_points_strewn_over_the_mask() -> None:
    """Points placed one by one, instead of numbers drawn by square."""
    tils = np.random.default_rng(0).poisson(4, (6, 6))
    found = measured(tils, np.ones((6, 6), int))
    generator = np.random.default_rng(9)
    ginis = []
    for _ in range(400):
        row, column = (generator.uniform(0, 6, (2, tils.sum()))).astype(int)
        ginis.append(naive_gini(np.bincount(row * 6 + column, minlength=36).astype(float)))
    random = found["til_gini_random"]
    assert random.value == pytest.approx(np.mean(ginis), abs=4 * np.std(ginis) / np.sqrt(PATTERNS))
    assert (random.ci_low, random.ci_high) == pytest.approx(np.quantile(ginis, [0.025, 0.975]), abs=0.03)


def test_a_random_pattern_lies_among_the_random_patterns_and_a_clustered_one_beyond() -> None:
    generator = np.random.default_rng(4)
    random = measured(generator.multinomial(300, [1 / 100] * 100).reshape(10, 10), np.full((10, 10), 3))
    clustered = np.zeros((10, 10), int)
    clustered[2:6, 2:6] = 18
    hot = measured(clustered, np.full((10, 10), 3))
    for name in NAMES[:2]:
        assert random[f"{name}_random"].ci_low <= random[name].value <= random[f"{name}_random"].ci_high
    for name in NAMES[:3]:
        assert hot[name].value > hot[f"{name}_random"].ci_high
    assert hot["til_tumour_morisita"].value < hot["til_tumour_morisita_random"].ci_low


def test_a_slide_moved_by_whole_squares_is_the_same_slide() -> None:
    tils = np.random.default_rng(5).poisson(2, (5, 7))
    moved = np.zeros((8, 9), int)
    moved[3:, 2:] = tils
    mask = np.zeros((8 * SIDE, 9 * SIDE), bool)
    mask[3 * SIDE :, 2 * SIDE :] = True
    there, here = measured(moved, moved, mask=mask), measured(tils, tils)
    for name in (*NAMES, *(f"{name}_random" for name in NAMES)):
        assert there[name].value == pytest.approx(here[name].value)


def test_other_compartments_have_indices_of_their_own() -> None:
    tils = np.full((10, 6), 2)
    tils[:5, :3] = 8
    x, y = points_in(tils)
    mask = np.ones((10 * SIDE, 6 * SIDE), bool)
    upper = mask.copy()
    upper[5 * SIDE :] = False
    context = context_of("CD8", mask, cells=cells_at(x, y, [True] * len(x)))
    context = replace(context, compartments={"evaluable": mask, "tumour": upper})
    found = measure_slide(context, SETTINGS).compartments
    assert found["tumour"].estimates["til_gini"].value == pytest.approx(naive_gini(tils[:5].ravel()))
    assert found["evaluable"].estimates["til_gini"].value == pytest.approx(naive_gini(tils.ravel()))
