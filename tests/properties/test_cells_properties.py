"""Invariants of the cells stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cell_scenes import MPP, all_tissue, nuclei_field, painted, profile_of, table_bytes
from tme.cells.engines import load_engine
from tme.cells.engines.watershed import SHRINK
from tme.cells.measure import measure
from tme.cells.outline import trace
from tme.cells.stage import find_cells, segment_task
from tme.cells.stitch import merged_slices, pack
from tme.cells.types import Cells
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.testing.memory import ArraySlide
from tme.tiles import make_grid

SIDE = 260
# The network is as good as, not exactly, the same under a shift by less than its stride: tests/unit/cells.
SETTINGS = CellSettings(engine="watershed")
STAINED = st.sampled_from(["HE", "CD8"])


def merge_tables(tables: Any, provenance: dict[str, Any]) -> Any:
    return Cells(pa.concat_tables(merged_slices([pack(table) for table in tables])), provenance)


def field(stain: str, seed: int) -> tuple[RGB, int]:
    """Separate nuclei, every third of them brown on a DAB section, and how many."""
    density, centres = nuclei_field((SIDE, SIDE), seed)
    if stain != "HE":
        for x, y in centres[::3].astype(int):
            density[y - 8 : y + 9, x - 8 : x + 9, 1] = np.where(
                density[y - 8 : y + 9, x - 8 : x + 9, 0] > 0.5, 0.7, 0.1
            )
    return painted(density, profile_of(stain)), len(centres)


def cells(rgb: RGB, stain: str) -> pa.Table:
    slide = ArraySlide(rgb, MPP)
    return find_cells(slide, all_tissue(slide), profile_of(stain), STAINS.get(stain), SETTINGS).table


def windowed(rgb: RGB, stain: str, core_px: int, halo_px: int, task_px: int) -> pa.Table:
    """The stage with windows of another size."""
    slide = ArraySlide(rgb, MPP)
    grid = make_grid(all_tissue(slide), slide.info.size_at(MPP), MPP, core_px, halo_px, False)
    engine = load_engine(SETTINGS)
    tables = [
        segment_task(
            task, slide.read, engine, slide.info, MPP, profile_of(stain), STAINS.get(stain), SETTINGS
        )
        for task in grid.tasks(task_px)
    ]
    return merge_tables(tables, {}).table


@settings(max_examples=8)
@given(stain=STAINED, seed=st.integers(0, 50), right=st.integers(0, 30), down=st.integers(0, 30))
def test_a_translation_moves_cells_and_changes_nothing_else(
    stain: str, seed: int, right: int, down: int
) -> None:
    rgb, count = field(stain, seed)
    # The background is averaged on blocks of SHRINK pixels, so only whole blocks move exactly.
    dx, dy = SHRINK * right, SHRINK * down
    margin = 40
    ground = np.pad(rgb, ((margin, 160), (margin, 160), (0, 0)), mode="edge")
    moved = np.pad(rgb, ((margin + dy, 160 - dy), (margin + dx, 160 - dx), (0, 0)), mode="edge")
    one, two = cells(ground, stain), cells(moved, stain)
    assert one.num_rows == two.num_rows == count
    for name, shift in (("x_px", dx), ("y_px", dy)):
        np.testing.assert_allclose(two[name].to_numpy() - shift, one[name].to_numpy(), atol=1e-4)
    for name in ("area_um2", "class", "positive", "is_til"):
        assert two[name].equals(one[name])
    outlines = [shapely.from_wkb(table["geometry"].to_numpy()) for table in (one, two)]
    back = shapely.transform(outlines[1], lambda points: points - (dx, dy))
    assert shapely.equals(back, outlines[0]).all()


@settings(max_examples=8)
@given(stain=STAINED, seed=st.integers(0, 50), right=st.integers(1, 7), down=st.integers(1, 7))
def test_any_translation_moves_centroids_by_no_more_and_no_less(
    stain: str, seed: int, right: int, down: int
) -> None:
    rgb, count = field(stain, seed)
    ground = np.pad(rgb, ((40, 20), (40, 20), (0, 0)), mode="edge")
    moved = np.pad(rgb, ((40 + down, 20 - down), (40 + right, 20 - right), (0, 0)), mode="edge")
    one, two = (
        np.column_stack([table["x_px"], table["y_px"]])
        for table in (cells(ground, stain), cells(moved, stain))
    )
    assert len(one) == len(two) == count
    away = np.linalg.norm((two - (right, down))[:, None] - one[None], axis=2).min(axis=1)
    assert away.max() < 0.3


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), dx=st.integers(0, 3000), dy=st.integers(0, 3000))
def test_shape_and_colour_do_not_depend_on_the_place(seed: int, dx: int, dy: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(1, 6, (20, 20)) * (rng.random((20, 20)) < 0.7)).astype(np.int32)
    density = rng.random((20, 20, 2), np.float32)
    here = measure(labels, density, trace(labels), MPP)
    wide = np.zeros((20 + dy % 60 + 10, 20 + dx % 60 + 10), np.int32)
    wide_density = np.zeros((*wide.shape, 2), np.float32)
    y, x = 5 + dy % 60, 5 + dx % 60
    wide[y : y + 20, x : x + 20], wide_density[y : y + 20, x : x + 20] = labels, density
    there = measure(wide, wide_density, trace(wide), MPP)
    np.testing.assert_allclose(there.x - x, here.x)
    np.testing.assert_allclose(there.y - y, here.y)
    for name in ("area_um2", "eccentricity", "solidity", "hematoxylin_od", "second_od", "hematoxylin_sd"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=1e-6)
    assert (here.area_um2 > 0).all()
    assert ((here.solidity > 0) & (here.solidity <= 1)).all()
    assert ((here.eccentricity >= 0) & (here.eccentricity < 1)).all()


@settings(max_examples=8)
@given(
    stain=STAINED,
    seed=st.integers(0, 50),
    core_px=st.integers(50, 300),
    halo_px=st.sampled_from([48, 64]),
    task_px=st.integers(50, 600),
)
def test_every_cell_is_owned_once(stain: str, seed: int, core_px: int, halo_px: int, task_px: int) -> None:
    rgb, count = field(stain, seed)
    whole = cells(rgb, stain)
    assert whole.num_rows == count
    found = windowed(rgb, stain, core_px, halo_px, task_px)
    assert found.num_rows == count
    assert found["cell_id"].to_pylist() == list(range(count))
    one, two = (np.column_stack([table["x_px"], table["y_px"]]) for table in (whole, found))
    away = np.linalg.norm(two[:, None] - one[None], axis=2)
    assert (away.min(axis=1) < 1).all()
    assert len(set(away.argmin(axis=1))) == count
    assert (found["area_um2"].to_numpy() > 0).all()


@settings(max_examples=5)
@given(stain=STAINED, seed=st.integers(0, 50), core_px=st.integers(60, 200), task_px=st.integers(1, 800))
def test_the_size_of_a_task_changes_no_byte(stain: str, seed: int, core_px: int, task_px: int) -> None:
    rgb, _ = field(stain, seed)
    assert table_bytes(windowed(rgb, stain, core_px, 48, task_px)) == table_bytes(
        windowed(rgb, stain, core_px, 48, 10**6)
    )


@pytest.mark.parametrize("stain", ["HE", "CD8"])
def test_brown_nuclei_are_the_positive_ones(stain: str) -> None:
    rgb, count = field(stain, 0)
    table = cells(rgb, stain)
    if stain == "HE":
        assert table["positive"].null_count == count
    else:
        assert sum(table["positive"].to_pylist()) == len(range(0, count, 3))
