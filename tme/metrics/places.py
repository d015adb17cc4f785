"""Where metrics were read from on the slide: hotspot fields, for overlays and ``vessels.parquet``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tme.metrics.measure import EVALUABLE
from tme.metrics.types import Measurements

Circle = tuple[float, float, float]


def hotspot_fields(measurements: Measurements, compartment: str = EVALUABLE) -> tuple[Circle, ...]:
    """Circles (x_um, y_um, radius_um) of the densest vessel fields; empty if there are none."""
    found = measurements.compartments.get(compartment)
    estimate = None if found is None else found.estimates.get("mvd_hotspot_per_mm2")
    return () if estimate is None else estimate.fields


def mark_hotspots(vessels: pa.Table, measurements: Measurements) -> pa.Table:
    """The vessel table with ``in_hotspot`` filled: evaluable vessels whose centroid lies in a field."""
    x, y = (np.asarray(vessels[name].to_numpy(), np.float64) for name in ("x_um", "y_um"))
    inside = np.zeros(len(x), bool)
    for centre_x, centre_y, radius in hotspot_fields(measurements):
        inside |= (x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2
    evaluable = vessels["compartment"].is_valid().to_numpy(zero_copy_only=False)
    place = vessels.schema.get_field_index("in_hotspot")
    return vessels.set_column(place, "in_hotspot", pa.array(inside & evaluable, pa.bool_()))
