"""A reduced table of coverage: bounds hold where it is hardest, and patterns are what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tme.testing.coverage import Setting, recovered, simulate, table_settings
from tme.testing.patterns import MASKS, log_gaussian, matern, thomas, tissue_of
from tme.testing.strips import strip_blocks

PAIRS = 300
WIDE = Setting("thomas", "excision", 3.0, 300.0, 9.0, 150.0)


@pytest.mark.parametrize("name", MASKS)
def test_masks_have_their_area(name: str) -> None:
    for area in (1.0, 3.0):
        mask = MASKS[name](area)
        assert tissue_of(mask).area_mm2(mask) == pytest.approx(area, rel=0.02)
        assert tissue_of(mask).area_mm2(mask) >= area


@pytest.mark.parametrize("make", [thomas, matern, log_gaussian])
def test_patterns_have_their_mean_and_scatter(make: object) -> None:
    mask = MASKS["core"](3.0)
    cells = make(mask, np.full(400, 200.0), 5.0, 20.0, np.random.default_rng(1))
    assert mask[cells.row, cells.column].all()
    counts = np.bincount(cells.pattern, minlength=400)
    assert counts.mean() == pytest.approx(200, rel=0.03)
    # Clusters far smaller than the mask: nearly all of φ is seen in it.
    assert counts.var() / counts.mean() == pytest.approx(5, rel=0.25)


def test_intervals_cover_wide_clusters_where_strips_did_not() -> None:
    found, before = simulate(WIDE, PAIRS, 1), simulate(WIDE, PAIRS, 1, strips=True)
    assert 0.91 <= found.fc_covered <= 0.99
    assert found.density_covered >= 0.90
    assert before.fc_covered < found.fc_covered - 0.03


@pytest.mark.parametrize("phi", [1.0, 9.0])
def test_intervals_neither_fail_nor_are_far_too_wide(phi: float) -> None:
    found = simulate(replace(WIDE, mask="core", expected=50.0, phi=phi, spread_um=50.0), PAIRS, 2)
    assert 0.91 <= found.fc_covered <= 0.995
    assert found.called <= 0.05


def test_under_one_square_millimetre_nothing_is_called() -> None:
    found = simulate(replace(WIDE, area_mm2=0.8, mask="two pieces"), 50, 3)
    assert found.not_evaluable == 1
    assert found.called == 0


def test_calls_with_the_coefficient_of_repeats_are_rarely_false_and_find_changes() -> None:
    still = Setting("thomas", "core", 3.0, 300.0, 3.0, 100.0, between=0.3)
    assert simulate(still, PAIRS, 4).called_rc <= 0.08
    assert simulate(replace(still, fold=8.0), PAIRS, 4).called_rc >= 0.95


def test_the_scatter_between_repeats_is_found_under_clusters() -> None:
    setting = Setting("thomas", "core", 3.0, 300.0, 9.0, 100.0, between=0.3)
    found = np.array([recovered(setting, 30, seed) for seed in range(15)])
    assert found[:, 0].mean() == pytest.approx(0.09, rel=0.3)
    assert np.mean((found[:, 1] <= 0.09) & (found[:, 2] >= 0.09)) >= 0.8


def test_the_same_seed_gives_the_same_numbers_and_every_setting_its_own() -> None:
    assert simulate(WIDE, 20, 5) == simulate(WIDE, 20, 5)
    settings = list(table_settings())
    assert len(set(settings)) == len(settings)


def test_strips_cover_each_pixel_once() -> None:
    mask = MASKS["two pieces"](3.0)
    blocks = strip_blocks(mask, tissue_of(mask), 1.0)
    assert ((blocks.labels >= 0) == mask).all()
    np.testing.assert_allclose(blocks.areas_mm2, 0.5, rtol=0.25)
