"""Microvessel density in the densest fields, as a pathologist with an eyepiece counts it."""

from __future__ import annotations

import math

from tme.metrics.bootstrap import plain_interval
from tme.metrics.family import METRICS, Family
from tme.metrics.hotspot import FIELDS, Field, densest_fields
from tme.metrics.intervals import overdispersion
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

HOTSPOT_NOTE = "interval from the counts of the fields found, not from where they lie"

COLUMNS = (
    ColumnSpec(
        "mvd_hotspot_per_mm2",
        "/mm²",
        "index",
        "mean density of the 3 densest circular fields that do not overlap",
        "mean of count / evaluable area over 3 fields of mvd_field_mm2, each at least half evaluable, chosen "
        "greedily on a 50 µm grid; fewer than 3 fields: empty",
        "Weidner 1991, N Engl J Med 324:1",
        (
            "A maximum: it rises with the area searched, and no interval of it is unbiased.",
            "The field's area is not standard between papers: compare only with one mvd_field_mm2.",
        ),
        "vessels",
    ),
    ColumnSpec(
        "mvd_field_mm2",
        "mm²",
        "qc",
        "area of one field of mvd_hotspot_per_mm2",
        source="0.74 mm² is one ×200 field of many microscopes; table in PMC10348082",
        needs="vessels",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    vessels = scope.vessels
    if vessels is None or scope.area_mm2 <= 0:
        return {}
    area = scope.settings.mvd_field_mm2
    fields = densest_fields(vessels.x_um, vessels.y_um, scope.mask, scope.context.tissue, area)
    if len(fields) < FIELDS:
        note = f"only {len(fields)} of {FIELDS} fields of {area:g} mm² are at least half evaluable"
        hotspot = Estimate(None, note=note)
    else:
        hotspot = _mean_of(fields, scope)
    return {"mvd_hotspot_per_mm2": hotspot, "mvd_field_mm2": Estimate(area)}


def _mean_of(fields: list[Field], scope: Scope) -> Estimate:
    counts = scope.vessel_counts
    phi = 1.0
    if counts is not None:
        blocks, prior = scope.blocks, scope.settings.overdispersion_prior
        phi = max(1.0, overdispersion(counts, blocks.areas_mm2, prior, blocks.spill)[0])
    value = sum(field.density_per_mm2 for field in fields) / len(fields)
    variance = sum(phi * field.count / field.area_mm2**2 for field in fields) / len(fields) ** 2
    error = math.sqrt(variance) or None
    low, high = plain_interval(value, error, scope.blocks.count)
    return Estimate(
        value,
        None if low is None else max(low, 0.0),
        high,
        sum(field.count for field in fields),
        phi,
        scope.blocks.count,
        error,
        HOTSPOT_NOTE,
        fields=tuple((field.x_um, field.y_um, field.radius_um) for field in fields),
    )


METRICS.add("mvd_hotspot", Family(COLUMNS, measure, order=70))
