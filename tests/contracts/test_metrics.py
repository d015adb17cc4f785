"""What every family of metrics must hold, and that a new one is one new file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tme.metrics.families
from tests.made_measures import SETTINGS, context_of, grid_points, result_of, vessels_at
from tme.dictionary import dictionary_rows, explain
from tme.metrics import METRICS, Family, measure_slide, metric_columns, slide_columns, slide_rows
from tme.metrics.family import families
from tme.metrics.scope import make_scope
from tme.metrics.types import CHANGE_KINDS, NEEDS_TEXT
from tme.registry import Registry
from tme.stains import STAINS

TIL_TO_VESSEL = (
    "til_to_vessel_um_median",
    "til_within_30um_pct",
    "til_perivascular_ratio",
    "til_vessel_slide_id",
    "til_vessel_error_um",
    "til_vessel_area_mm2",
)
GRID_INDICES = ("til_density_p90_per_mm2", "til_gini", "til_hotspot_area_pct", "til_tumour_morisita")
NEW_FAMILY = """
from tme.metrics.family import METRICS, Family
from tme.metrics.types import ColumnSpec, Estimate

SPEC = ColumnSpec("answer_pct", "%", "bounded", "an answer", "6 x 7", "Adams 1979")
METRICS.add("answer", Family((SPEC,), lambda scope: {"answer_pct": Estimate(42.0)}))
"""


@pytest.fixture
def registry() -> Registry[Family]:
    METRICS.discover()
    return METRICS


@pytest.mark.parametrize("name", METRICS.names())
def test_a_family_declares_what_it_measures(name: str) -> None:
    family = METRICS.get(name)
    declared = {column.name for column in family.columns}
    for stain in STAINS.names():
        slide = result_of([30, 20, 30, 20, 30, 20], stain=stain)
        assert slide.measurements is not None
        assert set(slide.measurements.compartments) == {"evaluable"}
        mask, x, y = grid_points([20] * 4, 4.0)
        if "vessels" in STAINS.get(stain).targets:
            scope = make_scope(context_of(stain, mask, vessels=vessels_at(x, y)), "evaluable", SETTINGS)
            assert set(family.measure(scope)) <= declared


def test_columns_are_named_once_and_described() -> None:
    names = slide_columns()
    assert len(names) == len(set(names))
    for column in metric_columns():
        assert column.definition
        assert column.needs in NEEDS_TEXT
        if column.kind in CHANGE_KINDS:
            assert column.formula, column.name
        if column.kind == "count density":
            assert column.interval is not None
        if column.kind == "bounded":
            assert column.unit == "%"
            assert column.name.endswith("_pct")


@pytest.mark.parametrize("stain", STAINS.names())
def test_every_stain_gives_exactly_its_columns(stain: str) -> None:
    slide = result_of([300] * 6, stain=stain)
    assert slide.measurements is not None
    (row,) = slide_rows(slide.measurements)
    wanted = {column.name for column in metric_columns() if column.applies(STAINS.get(stain))}
    found = {column.name for column in metric_columns() if row.get(column.name) is not None}
    if STAINS.get(stain).kind == "he":
        wanted -= {"dab_threshold_od", "threshold_source"}
    if "vessels" not in STAINS.get(stain).targets and not (
        STAINS.get(stain).kind == "he" or STAINS.get(stain).til_marker
    ):
        wanted -= {"phi"}
    # Six square millimetres hold no three fields of 0.74 mm² apart and no thirty squares of 0.25 mm²; no
    # stain has TILs and vessels on one section, and the reason is in a column.
    assert wanted - found <= {
        *TIL_TO_VESSEL,
        "mvd_hotspot_per_mm2",
        *GRID_INDICES,
        *(f"{name}_random" for name in GRID_INDICES),
    }
    assert found <= wanted


@pytest.mark.parametrize("stain", ["HE", "CD3", "CD8"])
def test_a_large_slide_has_the_indices_of_the_grid_and_their_random_values(stain: str) -> None:
    slide = result_of([300] * 6, 10.0, stain=stain)
    assert slide.measurements is not None
    (row,) = slide_rows(slide.measurements)
    for name in GRID_INDICES:
        assert row[name] is not None
        assert row[f"{name}_random_low"] <= row[f"{name}_random"] <= row[f"{name}_random_high"]
        assert f"{name}_random" in explain(name)


@pytest.mark.parametrize("stain", ["CD8", "CD31"])
def test_bounded_metrics_stay_between_nothing_and_everything(stain: str) -> None:
    slide = result_of([50, 0, 0, 900, 2, 1], stain=stain)
    assert slide.measurements is not None
    estimates = slide.measurements.compartments["evaluable"].estimates
    for column in metric_columns():
        estimate = estimates.get(column.name)
        if column.kind == "bounded" and estimate is not None and estimate.value is not None:
            assert 0 <= estimate.value <= 100
            if estimate.ci_low is not None and estimate.ci_high is not None:
                assert 0 <= estimate.ci_low <= estimate.value <= estimate.ci_high <= 100


def test_a_family_is_added_by_one_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry[Family]
) -> None:
    (tmp_path / "answer_family.py").write_text(NEW_FAMILY, encoding="utf-8")
    monkeypatch.setattr(tme.metrics.families, "__path__", [*tme.metrics.families.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_items", dict(registry._items))
    monkeypatch.setattr(registry, "_discovered", False)
    mask = np.ones((200, 200), bool)
    (row,) = slide_rows(measure_slide(context_of("CD31", mask, vessels=vessels_at([1.0], [1.0])), SETTINGS))
    assert row["answer_pct"] == 42.0
    assert slide_columns()[-1] == "answer_pct"
    assert families()[-1][0] == "answer"
    (entry,) = [entry for entry in dictionary_rows() if entry["column"] == "answer_pct"]
    assert (entry["formula"], entry["source"]) == ("6 x 7", "Adams 1979")
    assert "An answer." in explain("answer_pct")
