"""A reduced table of coverage: bounds hold where it is hardest, and patterns are what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tme.tables import read_csv
from tme.testing.coverage import Setting, recovered, simulate, table_settings
from tme.testing.patterns import MASKS, log_gaussian, matern, thomas, tissue_of
from tme.testing.strips import strip_blocks

DOCS = Path(__file__).parents[3] / "docs"
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


Row = dict[str, str]


def other(process: str, spread_um: float) -> Callable[[Row], bool]:
    return lambda row: (row["process"], float(row["spread_um"]), row["phi"]) == (process, spread_um, "6.0")


def usual(area_mm2: float) -> Callable[[Row], bool]:
    return lambda row: float(row["area_mm2"]) == area_mm2 and row["phi"] != "6.0" and row["between"] == "0.0"


# The rows of the table in docs/uncertainty.md, in its order.
DOCUMENTED: list[Callable[[Row], bool]] = [
    usual(12.0), usual(3.0), usual(1.0), other("thomas", 25.0), other("matern", 100.0),
    other("matern", 300.0), other("log-gaussian", 50.0), other("log-gaussian", 100.0), other("thomas", 200.0),
]  # fmt: skip


def outwards(rows: list[Row], column: str) -> tuple[str, str]:
    """Lowest and highest share, rounded away from each other to three digits."""
    shares = [float(row[column]) for row in rows]
    low, high = math.floor(1000 * min(shares) + 1e-6), math.ceil(1000 * max(shares) - 1e-6)
    return f".{low:03d}", f".{high:03d}"


def at_most(rows: list[Row], column: str) -> str:
    high = outwards(rows, column)[1]
    return "0" if high == ".000" else f"≤ {high}"


def test_the_documented_table_is_that_of_the_file() -> None:
    rows = read_csv(DOCS / "coverage.csv")
    assert {row["pairs"] for row in rows} == {"2000"}
    assert len(rows) == len(list(table_settings()))
    lines = (DOCS / "uncertainty.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ") and "mm²" in line]
    assert len(table) == len(DOCUMENTED) + 1
    for line, belongs in zip(table, DOCUMENTED, strict=False):
        chosen = [row for row in rows if belongs(row)]
        wanted = ["–".join(outwards(chosen, name)) for name in ("fc_covered", "density_covered")]
        wanted += [at_most(chosen, name) for name in ("called_rc", "called")]
        assert [cell.strip() for cell in line.split("|")[3:7]] == wanted, line
    repeats = [row for row in rows if row["between"] != "0.0"]
    assert (
        f"{at_most(repeats, 'called_rc')} with rc from repeats | {at_most(repeats, 'called')} |" in table[-1]
    )


def test_the_file_keeps_the_bounds_that_intervals_and_calls_are_held_to() -> None:
    rows = [row for row in read_csv(DOCS / "coverage.csv") if row["between"] == "0.0"]
    repeats = [row for row in read_csv(DOCS / "coverage.csv") if row["between"] != "0.0"]
    for row in rows:
        area, covered = float(row["area_mm2"]), float(row["fc_covered"])
        assert area < 3 or 0.92 <= covered <= 0.98, row
        assert area < 1 or covered >= 0.90, row
        assert (row["not_evaluable"] == "1.0") == (area < 1), row
        assert int(row["blocks"]) < 8 or float(row["density_covered"]) >= 0.92, row
        # Clusters wider than the blocks can tell have more.
        assert float(row["called_rc"]) <= (0.10 if float(row["spread_um"]) >= 200 else 0.07), row
    assert all(float(row["called_rc"]) <= 0.05 for row in repeats)
