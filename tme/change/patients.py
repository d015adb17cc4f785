"""Pairs -> ``patient_metrics.csv``: one wide row per patient, for the primary pair of time points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tme.change.compare import CALLED_KINDS, call
from tme.change.pool import pool
from tme.change.types import NOT_EVALUABLE, PairRow
from tme.config import ChangeSettings, Config
from tme.metrics.family import metric_columns
from tme.metrics.intervals import t_quantile
from tme.metrics.measure import EVALUABLE
from tme.tables import significant

TUMOUR = "tumour"
WIDE = ("pre", "post", "delta_abs", "log2fc", "log2fc_ci_low", "log2fc_ci_high", "change_call")
PRIMARY = ("compartment", "log2fc", "log2fc_ci_low", "log2fc_ci_high", "change_call")
FIELD = {"pre": "value_pre", "post": "value_post"}


def patient_rows(pairs: Sequence[PairRow], patients: Sequence[str], config: Config) -> list[dict[str, Any]]:
    """One row per patient.

    Parameters
    ----------
    pairs : sequence of PairRow
        From `compute_changes`.
    patients : sequence of str
        All of the sheet, in its order; who has no pair has a row without values.
    config : Config
        Its primary pair of time points is shown, or the first two.
    """
    shown = primary_pair(config)
    rows = []
    for patient in patients:
        groups: dict[tuple[str, str, str], list[PairRow]] = {}
        own = [
            row
            for row in pairs
            if row.patient_id == patient and (row.timepoint_pre, row.timepoint_post) == shown
        ]
        for row in own:
            groups.setdefault((row.stain, row.compartment, row.metric), []).append(row)
        joined = {key: combine(found) for key, found in groups.items()}
        days = [row.interval_days for row in own if row.interval_days is not None]
        wide: dict[str, Any] = {
            "patient_id": patient,
            "n_lesions": len({row.lesion_id for row in own}),
            "interval_days": min(days, default=None),
            **_primary(joined, config.change),
        }
        for key, found in joined.items():
            wide |= {f"{'__'.join(key)}__{name}": getattr(found, FIELD.get(name, name)) for name in WIDE}
        rows.append(wide)
    return rows


def patient_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the columns of `patient_rows`: keys, the primary block, then stain, compartment, metric."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    place = {column.name: index for index, column in enumerate(metric_columns())}

    def order(name: str) -> tuple[Any, ...]:
        stain, compartment, metric, item = name.split("__")
        return (
            stain,
            compartment != EVALUABLE,
            compartment != TUMOUR,
            compartment,
            place[metric],
            WIDE.index(item),
        )

    long = sorted((name for name in names if name.count("__") == 3), key=order)
    return [name for name in names if name.count("__") != 3] + long


def primary_pair(config: Config) -> tuple[str, str] | None:
    """The pair of time points the wide table shows; None where there is only one time point."""
    order = config.cohort.timepoints
    return config.cohort.primary_pair or ((order[0], order[1]) if len(order) > 1 else None)


def combine(rows: Sequence[PairRow]) -> PairRow:
    """Lesions of one patient as one: log2fc by the inverse-variance mean, values pooled as slides are.

    Lesions whose change cannot be judged are left out where another's can, whatever the kind of the metric.
    The interval takes t(.975) with the degrees of freedom of all lesions.
    """
    if len(rows) == 1:
        return rows[0]
    both = [row for row in rows if row.value_pre is not None and row.value_post is not None]
    sound = [row for row in both if not row.withheld]
    called = [row for row in sound if row.kind in CALLED_KINDS and row.change_call != NOT_EVALUABLE]
    paired = called or sound or both
    if not paired:
        return next((row for row in rows if row.delta_abs is not None), rows[0])
    if len(paired) == 1:
        return paired[0]
    pre, post = _pooled(paired, "pre"), _pooled(paired, "post")
    return replace(
        paired[0],
        lesion_id="",
        value_pre=pre,
        value_post=post,
        delta_abs=None if pre is None or post is None else significant(post - pre),
        **_inverse_variance(paired),
    )


def _inverse_variance(rows: Sequence[PairRow]) -> dict[str, Any]:
    """Fixed-effect mean of log2fc; empty where a lesion has none."""
    empty = dict.fromkeys(("log2fc", "log2fc_se", "log2fc_ci_low", "log2fc_ci_high", "degrees"))
    known = [(row.log2fc, row.log2fc_se) for row in rows]
    parts = [(value, error) for value, error in known if value is not None and error]
    if len(parts) < len(rows):
        return empty
    weights = [1 / error**2 for _, error in parts]
    total = math.fsum(weights)
    mean = math.fsum(w * value for w, (value, _) in zip(weights, parts, strict=True)) / total
    degrees = math.fsum(row.degrees or 1.0 for row in rows)
    error = 1 / math.sqrt(total)
    reach = t_quantile(degrees) * error
    withheld = any(row.change_call == NOT_EVALUABLE for row in rows)
    return {
        "log2fc": significant(mean),
        "log2fc_se": significant(error),
        "log2fc_ci_low": significant(mean - reach),
        "log2fc_ci_high": significant(mean + reach),
        "degrees": degrees,
        "change_call": NOT_EVALUABLE if withheld else call(mean, reach, rows[0].rc_log2 or 0.0),
    }


def _pooled(rows: Sequence[PairRow], side: str) -> float | None:
    """Value of all slides behind one side of the lesions: ΣN/ΣA of a density, Σ TIL/Σ nuclei of a share."""
    slides = [slide for row in rows for slide in getattr(row, f"slides_{side}")]
    (metric,) = [column for column in metric_columns() if column.name == rows[0].metric]
    value = pool(slides, rows[0].compartment, metric).value if slides else None
    return None if value is None else significant(value)


def _primary(joined: dict[tuple[str, str, str], PairRow], settings: ChangeSettings) -> dict[str, Any]:
    """The short block: each primary metric in the primary compartment."""
    out: dict[str, Any] = {}
    for name in settings.primary_metrics:
        stain, _, metric = name.partition(".")
        compartment = _primary_compartment(joined, stain, metric, settings.primary_compartment)
        row = joined.get((stain, compartment, metric))
        out |= {f"{primary_prefix(name)}_{item}": getattr(row, item, None) for item in PRIMARY}
    return out


def _primary_compartment(
    joined: dict[tuple[str, str, str], PairRow], stain: str, metric: str, wanted: str
) -> str:
    if wanted != "auto":
        return wanted
    tumour = joined.get((stain, TUMOUR, metric))
    # Only where both samples are annotated: a tumour area is not compared with a whole section.
    both = tumour is not None and tumour.area_pre_mm2 is not None and tumour.area_post_mm2 is not None
    return TUMOUR if both else EVALUABLE


def primary_prefix(name: str) -> str:
    """How the columns of a primary metric STAIN.metric begin."""
    return "primary_" + name.replace(".", "_")
