"""Slide + TissueMask + StainProfile -> Cells: the cells stage.

In: an open slide, its tissue and its stain profile. Out: `Cells`, one row per cell in tissue, or the
slices of their table one after another.
`segment_task` does one task and holds no state: it may run in another process, given a ``read`` that
can travel. Windows are fixed on the slide, so neither task size nor workers change a byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tme.cells.cautions import cell_cautions
from tme.cells.classify import Calls, classify
from tme.cells.domain import domain_values, outside
from tme.cells.edge import edge_zones
from tme.cells.engines import SEGMENTERS, Engine, halo_px, load_engine
from tme.cells.engines._parting import around
from tme.cells.measure import Measures, measure
from tme.cells.nuclei import least_area
from tme.cells.outline import large_enough, trace
from tme.cells.pigment import pigment_cells
from tme.cells.stitch import SAME_CELL_UM, TASK_SCHEMA, Tally, merged_slices, pack
from tme.cells.types import CLUSTER_CELL_UM2, Cells
from tme.cells.waiting import WaitingTables
from tme.config import CellSettings
from tme.slide.types import RGB, Read, Slide, SlideInfo
from tme.stains import STAINS
from tme.stains.deconvolve import stain_od
from tme.stains.golden import is_golden
from tme.stains.types import Stain, StainProfile
from tme.tiles import DEFAULT_TASK_PX, Runner, Window, make_grid, one_by_one
from tme.tissue.types import TissueMask
from tme.units import um2_to_px, um_to_px

COARSEST_MPP = 0.65
RIM_UM, LEAST_BESIDE = 2.5, 0.5
"""What is no cell is the rim of one where this share of it lies so near to cells."""
PLACES_A_PIXEL = 64
"""Coordinates of outlines are whole parts of a level-0 pixel."""


def cells_possible(info: SlideInfo) -> str:
    """Why a slide can give no cell counts; empty if it can."""
    if info.mpp > COARSEST_MPP:
        return f"{info.mpp:.3f} µm/px is too coarse to tell cells apart (limit {COARSEST_MPP} µm/px)"
    return ""


def find_cells(
    slide: Slide,
    tissue: TissueMask,
    profile: StainProfile,
    stain: Stain,
    settings: CellSettings,
    runner: Runner[bytes] = one_by_one,
    task_px: int = DEFAULT_TASK_PX,
) -> Cells:
    """All cells of a slide, in memory; for a whole slide there is `cell_slices`."""
    tally = Tally()
    slices = cell_slices(slide, tissue, profile, stain, settings, runner, task_px, None, tally)
    table = pa.concat_tables(slices)
    return Cells(table, cell_provenance(slide.info, tissue, settings, profile, tally))


def cell_slices(
    slide: Slide,
    tissue: TissueMask,
    profile: StainProfile,
    stain: Stain,
    settings: CellSettings,
    runner: Runner[bytes] = one_by_one,
    task_px: int = DEFAULT_TASK_PX,
    scratch: Path | None = None,
    tally: Tally | None = None,
) -> Iterator[pa.Table]:
    """All cells of a slide, `tme.tables.ROW_GROUP` at a time, whatever their number.

    Parameters
    ----------
    slide : Slide
        ``slide.read`` must be able to travel if the runner uses other processes.
    tissue : TissueMask
    profile : StainProfile
    stain : Stain
    settings : CellSettings
    runner : Runner
        Who computes the tasks.
    task_px : int
        Side of a task in working pixels; changes nothing but the bookkeeping.
    scratch : Path, optional
        Folder with room for the cells of tasks to wait for the last one, about 250 bytes a cell; the
        system's folder for temporary files if not given.
    tally : Tally, optional
        Counts, once all slices have been taken, what is no cell.

    Yields
    ------
    pa.Table
        `CELL_SCHEMA`; see `tme.cells.stitch.merged_slices`.
    """
    segmenter = SEGMENTERS.get(settings.engine)
    mpp = working_mpp(slide.info, settings)
    tiles = make_grid(
        tissue,
        slide.info.size_at(mpp),
        mpp,
        segmenter.core_px,
        halo_px(settings),
        segmenter.fixed_window,
    )
    function = partial(
        run_task,
        read=slide.read,
        info=slide.info,
        mpp=mpp,
        profile=profile,
        stain=stain,
        settings=settings,
    )
    with WaitingTables(scratch) as waiting:
        for part in runner(function, tiles.tasks(task_px)):
            waiting.add(part)
        inside = partial(tissue.values_at, mask=tissue.tissue)
        # Without a threshold nothing is positive, and there is nothing to tally.
        dab = profile.dab_threshold_od is not None
        zone_of = partial(tissue.values_at, mask=edge_zones(tissue).mask) if dab else None
        yield from merged_slices(waiting, inside, tally, zone_of)


def working_mpp(info: SlideInfo, settings: CellSettings) -> float:
    """µm/px the cells of a slide are segmented at."""
    return info.working_mpp(settings.mpp or SEGMENTERS.get(settings.engine).mpp)


def cell_provenance(
    info: SlideInfo, tissue: TissueMask, settings: CellSettings, profile: StainProfile, tally: Tally
) -> dict[str, Any]:
    """Which engine and model found the cells, at which resolution, and what to know before trusting them."""
    engine = load_engine(settings)
    # The ranges are those of H&E; a DAB section's levels are on another scale.
    domain = getattr(engine, "domain", {}) if STAINS.get(profile.stain).kind == "he" else {}
    return {
        "engine": settings.engine,
        "model_id": engine.model_id,
        "model_sha256": engine.model_sha256,
        "work_mpp_um": working_mpp(info, settings),
        "cautions": [
            *outside(domain, domain_values(profile, info.mpp)),
            *cell_cautions(tally, tissue, STAINS.get(profile.stain)),
        ],
    }


def run_task(
    windows: tuple[Window, ...],
    read: Read,
    info: SlideInfo,
    mpp: float,
    profile: StainProfile,
    stain: Stain,
    settings: CellSettings,
) -> bytes:
    """`segment_task`, packed, with the engine the settings name; loaded once per process."""
    return pack(segment_task(windows, read, load_engine(settings), info, mpp, profile, stain, settings))


def segment_task(
    windows: tuple[Window, ...],
    read: Read,
    engine: Engine,
    info: SlideInfo,
    mpp: float,
    profile: StainProfile,
    stain: Stain,
    settings: CellSettings,
) -> pa.Table:
    """Cells of a few windows.

    Parameters
    ----------
    windows : tuple of Window
    read : callable
        `tme.slide.types.Slide.read` of the slide.
    engine : Engine
    info : SlideInfo
    mpp : float
        Working µm/px.
    profile, stain, settings
        As for `cell_slices`.

    Returns
    -------
    pa.Table
        `tme.cells.stitch.TASK_SCHEMA`.
    """
    tables = [
        _segment_window(pixels, window, engine, info, mpp, profile, stain, settings)
        for window, pixels in _windows(windows, read, mpp)
    ]
    return pa.concat_tables(tables) if tables else TASK_SCHEMA.empty_table()


def _windows(windows: tuple[Window, ...], read: Read, mpp: float) -> Iterator[tuple[Window, RGB]]:
    """Windows with their pixels; neighbours in a row are read as one strip, which saves decoding twice."""
    for _, row in groupby(windows, key=lambda window: window.core.y0):
        strip: list[Window] = []
        for window in row:
            if strip and window.outer.x0 > strip[-1].outer.x1:
                yield from _strip(strip, read, mpp)
                strip = []
            strip.append(window)
        yield from _strip(strip, read, mpp)


def _strip(strip: list[Window], read: Read, mpp: float) -> Iterator[tuple[Window, RGB]]:
    y0, x0 = min(window.outer.y0 for window in strip), strip[0].outer.x0
    y1, x1 = max(window.outer.y1 for window in strip), strip[-1].outer.x1
    pixels = read(x0, y0, x1 - x0, y1 - y0, mpp)
    for window in strip:
        box = window.outer
        part = pixels[box.y0 - y0 : box.y1 - y0, box.x0 - x0 : box.x1 - x0]
        yield window, np.ascontiguousarray(part)


def _segment_window(
    pixels: RGB,
    window: Window,
    engine: Engine,
    info: SlideInfo,
    mpp: float,
    profile: StainProfile,
    stain: Stain,
    settings: CellSettings,
) -> pa.Table:
    found = engine.segment(pixels, mpp, profile)
    density = stain_od(pixels, profile)
    least = um2_to_px(least_area(settings, found.least_um2), mpp)
    cell = np.ones(int(found.labels.max(initial=0)), bool)
    if found.evidence is not None and stain.kind == "dab":
        cell = found.evidence.enough
    tables = [TASK_SCHEMA.empty_table()]
    for labels in _measured_apart(found.labels, cell, mpp):
        outlines = large_enough(trace(labels, found.level), least)
        if not len(outlines.labels):
            continue
        chosen = outlines.labels - 1
        measures = measure(labels, density, outlines, mpp)
        til_prob = None if found.til_prob is None else found.til_prob[chosen]
        no_nucleus = None if found.evidence is None else ~found.evidence.whole[chosen]
        pigment = pigment_cells(labels, outlines.labels, pixels, profile, stain, no_nucleus)
        pigment |= is_golden(measures.hematoxylin_od, measures.second_od, profile)
        calls = classify(measures, stain, profile, til_prob, found.til_least, pigment)
        cluster = None if found.evidence is None else found.evidence.cluster
        number = cluster_counts(measures.area_um2, None if cluster is None else cluster[chosen])
        tables.append(
            _table(measures, calls, cell[chosen], number, outlines.polygons, window, info, mpp, stain)
        )
    return pa.concat_tables(tables)


def cluster_counts(area_um2: NDArray[np.float64], cluster: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """How many cells each object stands for: 1, but for rests of clusters as many as their area is worth.

    Parameters
    ----------
    area_um2 : (n,) float64
    cluster : (n,) bool or None
        See `tme.cells.types.Evidence`; None if there are none.
    """
    if cluster is None:
        return np.ones(len(area_um2), np.int64)
    worth = np.maximum(np.rint(area_um2 / CLUSTER_CELL_UM2), 1).astype(np.int64)
    return np.where(cluster, worth, 1)


def _measured_apart(
    labels: NDArray[np.int32], cell: NDArray[np.bool_], mpp: float
) -> list[NDArray[np.int32]]:
    """Labels to measure together: rims that are no cells apart, as they are the ring of a cell.

    Whatever else is no cell, a grain or a smear, stays among the labels, so that it is no neighbour's ring.
    """
    if cell.all():
        return [labels]
    known = np.concatenate([[False], cell])
    beside = around(np.where(known[labels], labels, 0), RIM_UM, mpp) > 0
    share = np.bincount(labels.ravel(), beside.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)
    rim = (~known & (share >= LEAST_BESIDE))[labels] & (labels > 0)
    return [np.where(rim, 0, labels), np.where(rim, labels, 0)] if rim.any() else [labels]


def _table(
    measures: Measures,
    calls: Calls,
    is_cell: NDArray[np.bool_],
    number: NDArray[np.int64],
    polygons: NDArray[np.object_],
    window: Window,
    info: SlideInfo,
    mpp: float,
    stain: Stain,
) -> pa.Table:
    core, outer = window.core, window.outer
    x, y = measures.x + outer.x0, measures.y + outer.y0
    margin = um_to_px(SAME_CELL_UM, mpp)
    # Distance to the core's border: positive inside.
    depth = np.minimum(np.minimum(x - core.x0, core.x1 - x), np.minimum(y - core.y0, core.y1 - y))
    in_core = (x >= core.x0) & (x < core.x1) & (y >= core.y0) & (y < core.y1)
    keep = in_core | (depth > -margin)
    scale = mpp / info.mpp
    corner = np.array([outer.x0, outer.y0], np.float64)
    # Digits that no scan holds would be most of a table's bytes where the scale is no whole number.
    outlines = shapely.transform(
        polygons[keep], lambda points: np.round((points + corner) * scale * PLACES_A_PIXEL) / PLACES_A_PIXEL
    )
    count = int(keep.sum())
    second = None if stain.kind == "he" else measures.second_od[keep]
    ring = None if stain.kind == "he" else measures.ring_od[keep]
    columns = {
        "cell_id": np.zeros(count, np.int64),
        "x_um": np.round(x[keep] * mpp, 4),
        "y_um": np.round(y[keep] * mpp, 4),
        "x_px": np.round(x[keep] * scale, 4),
        "y_px": np.round(y[keep] * scale, 4),
        "area_um2": measures.area_um2[keep],
        "eccentricity": measures.eccentricity[keep],
        "solidity": measures.solidity[keep],
        "hematoxylin_od": measures.hematoxylin_od[keep],
        "dab_od": second,
        "dab_ring_od": ring,
        "class": calls.name[keep],
        "class_prob": calls.probability[keep],
        "is_til": None if calls.is_til is None else calls.is_til[keep],
        "positive": None if calls.positive is None else calls.positive[keep],
        "in_cluster": number[keep] > 1,
        "cluster_count": pa.array(number[keep], pa.int32(), mask=number[keep] <= 1),
        "compartment": None,
        "geometry": shapely.to_wkb(outlines),
        "in_core": in_core[keep],
        "near_border": (depth < 2 * margin)[keep],
        "is_cell": is_cell[keep],
        "window": np.full(count, core.y0 * 2**32 + core.x0, np.int64),
    }
    return pa.table([_array(columns[field.name], field, count) for field in TASK_SCHEMA], schema=TASK_SCHEMA)


def _array(values: Any, field: pa.Field, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, field.type)
    if isinstance(values, pa.Array):
        return values
    if field.type == pa.float32():
        values = np.asarray(values, np.float32)
    return pa.array(values, field.type)
