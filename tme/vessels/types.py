"""The value of the vessels room: one row per vessel, as an Arrow table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

VESSEL_SCHEMA = pa.schema(
    [
        ("vessel_id", pa.int64()),
        ("x_um", pa.float64()),
        ("y_um", pa.float64()),
        ("area_um2", pa.float32()),
        ("endothelium_area_um2", pa.float32()),
        ("lumen_area_um2", pa.float32()),
        ("perimeter_um", pa.float32()),
        ("min_feret_um", pa.float32()),
        ("max_feret_um", pa.float32()),
        ("eccentricity", pa.float32()),
        ("solidity", pa.float32()),
        ("object_prob", pa.float32()),
        ("compartment", pa.string()),
        ("in_hotspot", pa.bool_()),
        ("geometry", pa.binary()),
    ]
)


@dataclass(frozen=True, eq=False)
class Vessels:
    """Vessels of one slide.

    Attributes
    ----------
    table : pyarrow.Table
        `VESSEL_SCHEMA`; rows in y then x order of the centroid; ``area_um2`` has the lumen filled;
        ``geometry`` is the filled outline as a WKB polygon in level-0 pixels.
    provenance : dict
        ``work_mpp_um`` and what else a reader needs; ``stained`` is where and how much is stained at all
        (`tme.vessels.stained`); ``cautions`` are sentences.
    """

    table: pa.Table
    provenance: dict[str, Any]
