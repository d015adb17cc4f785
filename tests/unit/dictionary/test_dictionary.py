"""The data dictionary covers every column, and explain answers or helps."""

from __future__ import annotations

import pytest

from tme.cells.types import CELL_SCHEMA
from tme.change import change_columns
from tme.config import Config
from tme.dictionary import dictionary_columns, dictionary_rows, explain
from tme.errors import ConfigError
from tme.metrics import slide_columns
from tme.metrics.types import CHANGE_KINDS, ColumnSpec
from tme.outcomes.columns import (
    TESTS,
    cohort_test_columns,
    flow_columns,
    patient_outcome_columns,
    survival_columns,
)
from tme.tables import csv_document
from tme.vessels.types import VESSEL_SCHEMA


def columns_of(file: str) -> list[str]:
    return [row["column"] for row in dictionary_rows() if row["file"] == file]


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("slide_metrics.csv", slide_columns()),
        ("pairs.csv", change_columns()),
        ("cohort_tests.csv", cohort_test_columns()),
        ("cohort_flow.csv", flow_columns()),
        ("cohort_survival.csv", survival_columns()),
        ("cohort_outcomes.csv", patient_outcome_columns()),
        ("cells.parquet", CELL_SCHEMA.names),
        ("vessels.parquet", VESSEL_SCHEMA.names),
    ],
)
def test_every_column_is_there_in_the_tables_order(file: str, columns: list[str]) -> None:
    assert columns_of(file) == columns


def test_every_row_says_what_it_means() -> None:
    rows = dictionary_rows()
    assert all(row["definition"] and row["kind"] for row in rows)
    assert all(set(row) == set(dictionary_columns()) for row in rows)
    assert all(row["formula"] for row in rows if row["kind"] in CHANGE_KINDS)
    csv_document(dictionary_columns(), rows)


def test_nothing_says_normalised() -> None:
    assert "normalis" not in str(dictionary_rows()).casefold()


@pytest.mark.parametrize("name", sorted({row["column"] for row in dictionary_rows()}))
def test_explain_answers_for_every_column(name: str) -> None:
    assert name in explain(name)


def test_explain_takes_a_metric_as_settings_name_it() -> None:
    assert explain("CD31.mvd_per_mm2") == explain("mvd_per_mm2")


def test_explain_tells_when_a_metric_misleads() -> None:
    text = explain("mvd_per_mm2")
    for word in ("Lymphatics", "macrophages", "CD34", "Weidner", "interval:", "/mm²", "count density"):
        assert word in text


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_explain_answers_for_every_test(test: ColumnSpec) -> None:
    text = explain(test.name)
    assert text.startswith(f"{test.name}  (a test of cohort_tests.csv)")
    assert "when it misleads" in text
    assert test.source[:20] in text


def test_every_test_of_the_settings_is_explained() -> None:
    settings = Config.model_fields["outcomes"].annotation.model_fields["family_tests"].annotation
    choices = settings.__args__[0].__args__
    assert set(choices) <= {test.name for test in TESTS}


def test_explain_finds_a_wide_column() -> None:
    assert explain("CD8__evaluable__til_density_per_mm2__log2fc") == explain("til_density_per_mm2")


def test_explain_lists_the_configuration() -> None:
    text = explain("config")
    for section, field in Config.model_fields.items():
        for key in field.annotation.model_fields:
            assert f"{section}.{key}\n" in text
    assert "default: 1.0" in explain("metrics.block_mm2")
    assert "range: ≥ 100 and ≤ 10000" in explain("metrics.bootstrap")
    assert "auto, cpu, gpu" in explain("device")


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean.*til_density_per_mm2"):
        explain("til_densty_per_mm2")
    with pytest.raises(ConfigError, match=r"data_dictionary\.csv"):
        explain("qqqqqqqqqq")
