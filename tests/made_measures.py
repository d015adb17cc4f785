"""Slides made of numbers, for tests of metrics and changes: a tissue grid, cells and vessels by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tme.cells.types import CELL_SCHEMA
from tme.change import Recount, SlideResult
from tme.config import MetricSettings
from tme.metrics import SlideContext, measure_slide
from tme.stains import STAINS, StainProfile
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.vessels.types import VESSEL_SCHEMA

MPP = 10.0
SLIDE_MPP = 0.5
VECTORS = ((0.65, 0.7, 0.29), (0.27, 0.57, 0.78), (0.0, 0.0, 1.0))
SETTINGS = MetricSettings(bootstrap=100)


def tissue_of(mask: NDArray[np.bool_], mpp: float = MPP, pen: NDArray[np.bool_] | None = None) -> TissueMask:
    """All of ``mask`` is tissue; pen where asked for."""
    artefacts = np.zeros(mask.shape, np.uint8)
    if pen is not None:
        artefacts[pen & mask] = 1 << ARTEFACTS.index("pen")
    height, width = mask.shape
    return TissueMask(mpp, width * mpp, height * mpp, mask, artefacts, has_glass=True, n_pieces=1)


def table_of(schema: pa.Schema, rows: int, **columns: Any) -> pa.Table:
    """A table of ``schema`` with some columns given and the others missing."""
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def cells_at(x: Sequence[float], y: Sequence[float], til: Sequence[bool], **more: Any) -> pa.Table:
    """Cells at points in µm; a TIL is also a positive cell."""
    more = {"area_um2": [50.0] * len(x), **more}
    return table_of(CELL_SCHEMA, len(x), x_um=x, y_um=y, is_til=til, positive=til, **more)


def vessels_at(x: Sequence[float], y: Sequence[float], radius_um: float = 5.0, **more: Any) -> pa.Table:
    """Round vessels at points in µm, half of each being stained wall and half lumen."""
    points = shapely.points(np.asarray(x, float) / SLIDE_MPP, np.asarray(y, float) / SLIDE_MPP)
    outlines = shapely.to_wkb(shapely.buffer(points, radius_um / SLIDE_MPP))
    area = np.full(len(x), np.pi * radius_um**2)
    columns = {
        "area_um2": area,
        "endothelium_area_um2": area / 2,
        "lumen_area_um2": area / 2,
        "perimeter_um": np.full(len(x), 2 * np.pi * radius_um),
        "min_feret_um": np.full(len(x), 2 * radius_um),
        "geometry": list(np.atleast_1d(outlines)),
        **more,
    }
    return table_of(VESSEL_SCHEMA, len(x), x_um=x, y_um=y, **columns)


def context_of(
    stain: str,
    mask: NDArray[np.bool_],
    *,
    cells: pa.Table | None = None,
    vessels: pa.Table | None = None,
    mpp: float = MPP,
    threshold: float | None = 0.2,
    **more: Any,
) -> SlideContext:
    """A slide whose tissue and only compartment is ``mask``, unless said otherwise."""
    tissue = more.pop("tissue", tissue_of(mask, mpp))
    profile = StainProfile(stain, (255.0, 255.0, 255.0), VECTORS, threshold, "slide" if threshold else "")
    return SlideContext(
        keys={"slide_id": "s", "stain": stain},
        stain=STAINS.get(stain),
        mpp=SLIDE_MPP,
        tissue=tissue,
        compartments=more.pop("compartments", {"evaluable": mask}),
        excluded=more.pop("excluded", np.zeros_like(mask)),
        cells=cells,
        vessels=vessels,
        profile=profile,
        **more,
    )


def grid_points(
    counts: Sequence[int], area_mm2: float, seed: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """A strip of tissue 1 mm high cut into as many parts as counts, with that many points in each."""
    width = round(area_mm2 * 1000 / MPP)
    mask = np.ones((round(1000 / MPP), width), bool)
    generator = np.random.default_rng(seed)
    step = width * MPP / len(counts)
    x = [generator.uniform(index * step, (index + 1) * step, count) for index, count in enumerate(counts)]
    y = [generator.uniform(0, 1000, count) for count in counts]
    return mask, np.concatenate(x), np.concatenate(y)


def result_of(
    counts: Sequence[int],
    area_mm2: float = 6.0,
    *,
    stain: str = "CD8",
    others: int = 1000,
    settings: MetricSettings = SETTINGS,
    threshold: float = 0.2,
    date: str = "",
    seed: int = 0,
    positive_from: Callable[[str, float], Recount] | None = None,
    **keys: Any,
) -> SlideResult:
    """A measured CD8 (or H&E) slide with these TILs, or a vessel slide with these vessels, along a strip."""
    mask, x, y = grid_points(counts, area_mm2, seed)
    generator = np.random.default_rng(seed + 1)
    if "vessels" in STAINS.get(stain).targets:
        context = context_of(stain, mask, vessels=vessels_at(x, y), threshold=threshold)
    else:
        more_x = generator.uniform(0, mask.shape[1] * MPP, others)
        more_y = generator.uniform(0, 1000, others)
        til = [True] * len(x) + [False] * others
        cells = cells_at(np.concatenate([x, more_x]), np.concatenate([y, more_y]), til)
        context = context_of(stain, mask, cells=cells, threshold=threshold)
    full = key_row(stain=stain, **keys)
    return SlideResult(full, measure_slide(context, settings), biopsy_date=date, positive_from=positive_from)


def key_row(**keys: Any) -> Mapping[str, Any]:
    """Key columns of a slide, at their plainest unless given."""
    return {
        "patient_id": "P1",
        "lesion_id": None,
        "specimen_id": None,
        "block_id": None,
        "slide_id": "s1",
        "timepoint": "baseline",
        "biopsy_day": None,
        "stain": "CD8",
        **keys,
    }
