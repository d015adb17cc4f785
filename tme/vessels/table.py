"""Rows of vessels -> an Arrow table of `VESSEL_SCHEMA`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from tme.units import px_to_um
from tme.vessels.judge import Evidence
from tme.vessels.types import VESSEL_SCHEMA

COORDINATE_DECIMALS = 2


@dataclass(frozen=True)
class Row:
    """One vessel: place and outline in working pixels, the rest in µm."""

    x_px: float
    y_px: float
    perimeter_um: float
    eccentricity: float
    evidence: Evidence
    score: float
    polygon: BaseGeometry


def vessel_table(rows: Sequence[Row], mpp: float, level0_mpp: float) -> pa.Table:
    """`VESSEL_SCHEMA`, in y then x order of the centroid; vessels inside another's lumen left out."""
    ordered = sorted(outermost(rows), key=lambda row: (row.y_px, row.x_px))
    count = len(ordered)
    found = [row.evidence for row in ordered]
    columns = {
        "vessel_id": np.arange(count),
        "x_um": [px_to_um(row.x_px, mpp) for row in ordered],
        "y_um": [px_to_um(row.y_px, mpp) for row in ordered],
        "area_um2": [one.area_um2 for one in found],
        "endothelium_area_um2": [one.endothelium_um2 for one in found],
        "lumen_area_um2": [one.lumen_um2 for one in found],
        "perimeter_um": [row.perimeter_um for row in ordered],
        "min_feret_um": [one.min_feret_um for one in found],
        "max_feret_um": [one.max_feret_um for one in found],
        "eccentricity": [row.eccentricity for row in ordered],
        "solidity": [one.solidity for one in found],
        "object_prob": [row.score for row in ordered],
        "compartment": [None] * count,
        "in_hotspot": [None] * count,
        "geometry": _wkb([row.polygon for row in ordered], mpp / level0_mpp),
    }
    arrays = [pa.array(columns[name.name], type=name.type) for name in VESSEL_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=VESSEL_SCHEMA)


def outermost(rows: Sequence[Row]) -> list[Row]:
    """Rows whose outline does not lie inside another's: what floats in a lumen is no second vessel."""
    if len(rows) < 2:
        return list(rows)
    polygons = np.array([row.polygon for row in rows], dtype=object)
    inner, outer = shapely.STRtree(polygons).query(polygons, predicate="covered_by")
    enclosed = set(inner[inner != outer].tolist())
    return [row for index, row in enumerate(rows) if index not in enclosed]


def _wkb(polygons: Sequence[BaseGeometry], scale: float) -> list[bytes]:
    if not polygons:
        return []
    scaled = shapely.transform(
        np.array(polygons, dtype=object), lambda points: np.round(points * scale, COORDINATE_DECIMALS)
    )
    return list(shapely.to_wkb(scaled))
