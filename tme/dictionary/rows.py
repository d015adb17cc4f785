"""Rows of ``data_dictionary.csv``: every column of every table, from the registries."""

from __future__ import annotations

from collections.abc import Iterable

from tme.change.columns import PAIR_COLUMNS
from tme.dictionary.objects import CELL_COLUMNS, VESSEL_COLUMNS
from tme.metrics import slide_column_specs
from tme.metrics.types import NEEDS_TEXT, ColumnSpec, key_column
from tme.outcomes.columns import FLOW_COLUMNS, PATIENT_OUTCOME_COLUMNS, SURVIVAL_COLUMNS, TEST_COLUMNS

FIELDS = ("file", "column", "unit", "kind", "definition", "formula", "source")
WIDE = "<stain>__<compartment>__<metric>__"
PRIMARY = "primary_<stain>_<metric>_"


def _pattern(prefix: str, like: str, definition: str = "") -> ColumnSpec:
    """A column of `patient_metrics.csv` that shows one of `pairs.csv` for many metrics."""
    pair = next(column for column in PAIR_COLUMNS if column.name == like)
    name = prefix + {"value_pre": "pre", "value_post": "post"}.get(like, like)
    return ColumnSpec(name, pair.unit, pair.kind, definition or pair.definition, pair.formula, pair.source)


PATIENT_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("patient_id", "patient, as in the sheet"),
    ColumnSpec("n_lesions", "", "qc", "lesions with a sample at a time point of the primary pair"),
    ColumnSpec(
        "interval_days", "d", "qc", "days between the two biopsies, the shortest over lesions and stains"
    ),
    _pattern(PRIMARY, "compartment", "compartment shown: tumour where both samples have it, else evaluable"),
    _pattern(PRIMARY, "log2fc"),
    _pattern(PRIMARY, "log2fc_ci_low"),
    _pattern(PRIMARY, "log2fc_ci_high"),
    _pattern(PRIMARY, "change_call"),
    _pattern(
        WIDE,
        "value_pre",
        "value before; several lesions pooled as slides are, those that cannot be judged left out where "
        "another can",
    ),
    _pattern(
        WIDE,
        "value_post",
        "value after; several lesions pooled as slides are, those that cannot be judged left out where "
        "another can",
    ),
    _pattern(WIDE, "delta_abs"),
    _pattern(WIDE, "log2fc", "log2 fold change; several lesions by the inverse-variance mean"),
    _pattern(WIDE, "log2fc_ci_low"),
    _pattern(WIDE, "log2fc_ci_high"),
    _pattern(WIDE, "change_call"),
)


def tables() -> dict[str, list[ColumnSpec]]:
    """File -> its columns, in order."""
    return {
        "slide_metrics.csv": slide_column_specs(),
        "pairs.csv": list(PAIR_COLUMNS),
        "patient_metrics.csv": list(PATIENT_COLUMNS),
        "cohort_tests.csv": list(TEST_COLUMNS),
        "cohort_flow.csv": list(FLOW_COLUMNS),
        "cohort_survival.csv": list(SURVIVAL_COLUMNS),
        "cohort_outcomes.csv": list(PATIENT_OUTCOME_COLUMNS),
        "cells.parquet": list(CELL_COLUMNS),
        "vessels.parquet": list(VESSEL_COLUMNS),
    }


def dictionary_columns() -> list[str]:
    """Names of the columns of ``data_dictionary.csv``."""
    return list(FIELDS)


def dictionary_rows() -> list[dict[str, str]]:
    """One row per column of every table; for `patient_metrics.csv` one per pattern of names."""
    return [row for file, columns in tables().items() for row in _rows(file, columns)]


def _rows(file: str, columns: Iterable[ColumnSpec]) -> Iterable[dict[str, str]]:
    for column in columns:
        only = "" if column.needs == "any" else f" (only {NEEDS_TEXT[column.needs]})"
        yield {
            "file": file,
            "column": column.name,
            "unit": column.unit,
            "kind": column.kind,
            "definition": column.definition + only,
            "formula": column.formula,
            "source": column.source,
        }
