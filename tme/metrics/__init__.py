"""Cells, vessels, tissue -> numbers with an interval. One file per family in ``families/``."""

from tme.metrics.family import METRICS, Family, metric_columns
from tme.metrics.measure import measure_again, measure_slide, replaced
from tme.metrics.places import hotspot_fields, mark_hotspots
from tme.metrics.rows import failed_row, slide_column_specs, slide_columns, slide_rows
from tme.metrics.scope import Scope, SlideContext
from tme.metrics.serial import from_json, to_json
from tme.metrics.types import ColumnSpec, Estimate, Measurements

__all__ = [
    "METRICS",
    "ColumnSpec",
    "Estimate",
    "Family",
    "Measurements",
    "Scope",
    "SlideContext",
    "failed_row",
    "from_json",
    "hotspot_fields",
    "mark_hotspots",
    "measure_again",
    "measure_slide",
    "metric_columns",
    "replaced",
    "slide_column_specs",
    "slide_columns",
    "slide_rows",
    "to_json",
]
