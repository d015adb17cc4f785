"""Measurements -> rows of ``slide_metrics.csv``: one per slide and compartment, failed slides too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tme.metrics.family import metric_columns, with_intervals
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import ColumnSpec, Measurements, key_column


def _qc(name: str, unit: str, definition: str, formula: str = "") -> ColumnSpec:
    return ColumnSpec(name, unit, "qc", definition, formula)


KEYS: tuple[ColumnSpec, ...] = (
    key_column("patient_id", "patient, as in the sheet"),
    key_column("lesion_id", "lesion the sample was taken from"),
    key_column("specimen_id", "specimen"),
    key_column("block_id", "paraffin block; sections of one block are not independent"),
    key_column("slide_id", "name of the slide's folder"),
    key_column("timepoint", "time point, synonyms resolved"),
    key_column("biopsy_day", "days from the first dose to the biopsy", "d"),
    key_column("stain", "registered stain"),
    key_column("specimen_type", "core, incision, excision or resection"),
    key_column("batch", "stain or scanner batch"),
    key_column("compartment", "evaluable, or an annotated compartment of it"),
    _qc("mpp_um", "µm/px", "resolution of level 0"),
    _qc("mpp_source", "", "where mpp_um came from: sheet or metadata"),
    _qc("work_mpp_um", "µm/px", "resolution cells or vessels were segmented at"),
    _qc(
        "tissue_area_mm2",
        "mm²",
        "tissue of the whole slide, fat and holes up to 0.01 mm² included, pieces under 0.02 mm² left out",
    ),
    _qc("artefact_area_mm2", "mm²", "tissue under pen, folds, blur, bubbles, edges or unreadable tiles"),
    _qc("excluded_area_mm2", "mm²", "tissue free of artefacts inside Necrosis or Exclude annotations"),
    _qc(
        "evaluable_area_mm2",
        "mm²",
        "area everything is counted on",
        "(tissue − artefact − excluded) ∩ compartment",
    ),
    _qc("pen_pct", "%", "share of tissue under pen"),
    _qc("fold_pct", "%", "share of tissue in folds"),
    _qc("blur_pct", "%", "share of tissue out of focus"),
    _qc("n_tissue_pieces", "", "connected pieces of tissue"),
    _qc(
        "evaluable",
        "",
        "whether changes are judged on this row",
        "evaluable_area_mm2 ≥ min_area_mm2, for cell metrics n_nuclei ≥ min_nuclei, and no other reason",
    ),
    _qc("not_evaluable_reason", "", "why not"),
    _qc("status", "", "ok, failed or excluded"),
    _qc("reason", "", "why the slide failed or was excluded"),
    _qc("caution", "", "what to know before trusting the row"),
    _qc("slide_sha256", "", "hash of the slide's file"),
    _qc("config_sha256", "", "hash of the settings that can change a result"),
    _qc("code_version", "", "version of tme"),
    _qc("model_id", "", "segmentation engine and its model"),
    _qc("model_sha256", "", "hash of the model's weights, empty for engines without any"),
)


def slide_column_specs() -> list[ColumnSpec]:
    """Every column of ``slide_metrics.csv``, in order."""
    return [*KEYS, *with_intervals(metric_columns())]


def slide_columns(extra: Sequence[str] = ()) -> list[str]:
    """Names of the columns, and after them those of the user's own that do not clash."""
    names = [column.name for column in slide_column_specs()]
    return [*names, *(name for name in dict.fromkeys(extra) if name not in names)]


def slide_rows(measurements: Measurements) -> list[dict[str, Any]]:
    """One row per compartment, ``evaluable`` first."""
    columns = metric_columns()
    rows = []
    for name, compartment in measurements.compartments.items():
        reasons = _reasons(compartment.reasons, measurements.targets)
        row: dict[str, Any] = {
            "status": "ok",
            **measurements.keys,
            **measurements.areas,
            "compartment": name,
            "evaluable_area_mm2": compartment.area_mm2,
            "evaluable": not reasons,
            "not_evaluable_reason": "; ".join(reasons),
        }
        for column in columns:
            estimate = compartment.estimates.get(column.name)
            if estimate is None:
                continue
            row[column.name] = estimate.value
            if column.interval is not None:
                row[column.interval[0]], row[column.interval[1]] = estimate.ci_low, estimate.ci_high
        rows.append(row)
    return rows


def failed_row(keys: Mapping[str, Any], status: str, reason: str) -> dict[str, Any]:
    """The one row of a slide without measurements.

    Parameters
    ----------
    keys : dict
        What is known of the slide.
    status : {"failed", "excluded"}
    reason : str
    """
    return {
        **keys,
        "compartment": EVALUABLE,
        "evaluable": False,
        "not_evaluable_reason": f"slide {status}",
        "status": status,
        "reason": reason,
    }


def _reasons(reasons: Mapping[str, Iterable[str]], targets: Sequence[str]) -> list[str]:
    return [text for target in ("", *targets) for text in reasons.get(target, ())]
