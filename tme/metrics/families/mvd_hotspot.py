"""Microvessel density in the densest fields, as a pathologist with an eyepiece counts it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tme.config import MetricSettings
from tme.metrics.bootstrap import plain_interval
from tme.metrics.family import METRICS, Family, joined_parts
from tme.metrics.hotspot import FIELDS, Field, densest_fields
from tme.metrics.intervals import Information, overdispersion
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
        "greedily on a 50 µm grid; fewer than 3 fields: empty; several blocks: the 3 densest fields of all",
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
    value, error = _density(
        [field.count for field in fields], [field.area_mm2 for field in fields], [phi] * FIELDS
    )
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
        parts={
            "count": tuple(float(field.count) for field in fields),
            "area_mm2": tuple(field.area_mm2 for field in fields),
        },
        fields=tuple((field.x_um, field.y_um, field.radius_um) for field in fields),
    )


def pool(
    name: str, estimates: Sequence[Estimate], settings: MetricSettings, information: Information
) -> Estimate:
    """The densest fields of all blocks: those of two slides never overlap, so they are among each one's.

    Serial sections show one hotspot again, so a block has the means of its sections' fields, rank by rank.
    """
    shape = (len(estimates), FIELDS)
    fields = np.stack([joined_parts(estimates)[key].reshape(shape) for key in ("count", "area_mm2")])
    phi = np.array([estimate.phi or 1.0 for estimate in estimates])
    blocks = np.asarray(information.block_of)
    count, area = np.concatenate(
        [fields[:, blocks == block].mean(axis=1) for block in np.unique(blocks)], axis=1
    )
    scatter = np.repeat([phi[blocks == block].mean() for block in np.unique(blocks)], FIELDS)
    densest = np.argsort(-count / area, kind="stable")[:FIELDS]
    value, error = _density(count[densest].tolist(), area[densest].tolist(), scatter[densest].tolist())
    low, high = plain_interval(value, error, information.blocks)
    return Estimate(
        value,
        None if low is None else max(low, 0.0),
        high,
        round(float(count[densest].sum())),
        se=error,
        note=HOTSPOT_NOTE,
    )


def _density(
    counts: Sequence[float], areas_mm2: Sequence[float], phi: Sequence[float]
) -> tuple[float, float | None]:
    """Mean density of fields, and its standard error, None where nothing was counted."""
    fields = list(zip(counts, areas_mm2, phi, strict=True))
    value = sum(count / area for count, area, _ in fields) / len(fields)
    variance = sum(own * count / area**2 for count, area, own in fields) / len(fields) ** 2
    return value, math.sqrt(variance) or None


METRICS.add("mvd_hotspot", Family(COLUMNS, measure, order=70, pool=pool))
