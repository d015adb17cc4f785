"""A slide's cells never lie in memory together: what a job holds hardly grows with their number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.cell_scenes import profile_of
from tests.made_measures import table_of
from tests.made_objects import plain_slide, tissue_mask
from tme import tables
from tme.cells import stitch
from tme.cells.stage import cell_slices
from tme.cells.stitch import TASK_SCHEMA, pack
from tme.cells.types import CELL_SCHEMA, Cells
from tme.config import CellSettings, MetricSettings, OverlaySettings
from tme.metrics import SlideContext, measure_slide
from tme.overlay import write_overlay
from tme.pipeline import publish
from tme.pipeline.outcome import Outcome
from tme.regions import build_regions
from tme.stains import STAINS
from tme.tables import SavedTable, read_parquet, write_slices

CELLS_PER_TASK = 1000
ROWS = 1500
POINTS = 60
FEW, MANY = 4, 12
MPP = 2.0
WIDTH_UM, BAND_UM = 800, 60
SLIM_BYTES = 250
"""What a cell may cost: its place, size and flags, and their order; its outline alone takes 1 kB."""


def packed_task(number: int) -> bytes:
    """One task with cells all over a band of the slide, their outlines too odd to compress."""
    rng = np.random.default_rng(number)
    x = rng.uniform(0, WIDTH_UM, CELLS_PER_TASK).round(4)
    y = rng.uniform(number * BAND_UM, (number + 1) * BAND_UM, CELLS_PER_TASK).round(4)
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    radius = rng.uniform(3, 5, (CELLS_PER_TASK, POINTS))
    circle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    outlines = shapely.polygons((circle + np.stack([x, y], -1)[:, None]) / MPP)
    til = rng.random(CELLS_PER_TASK) < 0.3
    columns = {
        "x_um": x, "y_um": y, "x_px": x / MPP, "y_px": y / MPP, "area_um2": np.full(CELLS_PER_TASK, 50.0),
        "class": ["other"] * CELLS_PER_TASK, "is_til": til, "positive": til,
        "in_cluster": np.zeros(CELLS_PER_TASK, bool), "geometry": shapely.to_wkb(outlines),
        "in_core": np.ones(CELLS_PER_TASK, bool), "near_border": np.zeros(CELLS_PER_TASK, bool),
        "window": np.full(CELLS_PER_TASK, number), "is_cell": np.ones(CELLS_PER_TASK, bool),
    }  # fmt: skip
    return pack(table_of(TASK_SCHEMA, CELLS_PER_TASK, **columns))


def a_job(folder: Path, tasks: int) -> None:
    """All a slide's job does with cells, from the tasks' tables to the folder's files."""

    def runner(_: Any, __: Any) -> Iterator[bytes]:
        return map(packed_task, range(tasks))

    slide: Any = plain_slide(int(WIDTH_UM / MPP), int(tasks * BAND_UM / MPP), MPP)
    stain, profile = STAINS.get("CD8"), profile_of("CD8")
    tissue = tissue_mask(slide)
    slices = cell_slices(slide, tissue, profile, stain, CellSettings(), runner, scratch=folder.parent)
    stage, target = folder / "stage", folder / "published"
    target.mkdir(parents=True)
    write_slices(stage / "cells.parquet", CELL_SCHEMA, slices)
    cells = Cells(SavedTable(stage / "cells.parquet"), {})
    regions = build_regions(tissue, (), slide.info.mpp)
    context = SlideContext(
        {}, stain, slide.info.mpp, tissue, regions.compartments, regions.excluded, cells=cells.table
    )
    measured = measure_slide(context, MetricSettings(bootstrap=100))
    write_overlay(
        target / "overlay", slide, tissue, {}, cells.table, None,
        title={}, summary=[], cautions=[], settings=OverlaySettings(fields=2, field_um=100),
    )  # fmt: skip
    outcome = Outcome("s1", "ok", "")
    (target / "cells.parquet").write_bytes(b"")
    found = publish.Findings(slide, tissue, outcome, cells=cells, regions=regions, measurements=measured)
    publish._write_tables(target, "s1", found)


def peak_bytes(job: Callable[[], None]) -> int:
    """The most that Python, NumPy and Arrow held at once; the two peaks are added."""
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        job()
        return int(pool.max_memory() + tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_memory_hardly_grows_with_the_number_of_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((tables, "ROW_GROUP"), (publish, "ROW_GROUP"), (stitch, "SLICE")):
        monkeypatch.setattr(module, name, ROWS)
    monkeypatch.setattr("tme.export.qupath.CHUNK_ROWS", 500)
    a_job(tmp_path / "warm", 1)
    peaks = {tasks: peak_bytes(lambda n=tasks: a_job(tmp_path / str(n), n)) for tasks in (FEW, MANY)}
    written = read_parquet(tmp_path / str(MANY) / "published" / "cells.parquet", ["cell_id", "compartment"])
    assert written["cell_id"].to_pylist() == list(range(written.num_rows))
    assert written.num_rows > 0.85 * MANY * CELLS_PER_TASK
    assert set(written["compartment"].to_pylist()) == {"evaluable"}
    grown = (peaks[MANY] - peaks[FEW]) / ((MANY - FEW) * CELLS_PER_TASK)
    assert grown < SLIM_BYTES, f"{grown:.0f} bytes a cell"
