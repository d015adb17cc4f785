"""The tables of a run become one change, one pair of values and one biopsy day per patient."""

from __future__ import annotations

from math import log2
from typing import Any

import pytest

from tme.change import change_columns
from tme.config import Config
from tme.outcomes.join import Tables, variables
from tme.outcomes.sheet import OutcomeSheet
from tme.outcomes.types import Outcome, Variable

DENSITY = "til_density_per_mm2"
CONFIG = Config.model_validate({"change": {"primary_metrics": [f"CD8.{DENSITY}"]}})


def pair(patient: str, n: tuple[int, int], **more: Any) -> dict[str, str]:
    row = {
        "patient_id": patient, "lesion_id": "L1", "stain": "CD8", "compartment": "evaluable",
        "metric": DENSITY, "kind": "count density",
        "timepoint_pre": "baseline", "timepoint_post": "on_treatment",
        "n_pre": n[0], "n_post": n[1], "area_pre_mm2": 2.0, "area_post_mm2": 4.0,
        "delta_abs": 1, "change_call": "within_noise", "pairing": "same_lesion", **more,
    }  # fmt: skip
    return {name: str(row.get(name, "")) for name in change_columns()}


def wide(patient: str, compartment: str, metric: str = DENSITY, **values: Any) -> dict[str, str]:
    filled = {"pre": 1, "post": 2, "delta_abs": 1, "log2fc": 1.0, "change_call": "within_noise", **values}
    prefix = f"CD8__{compartment}__{metric}__"
    return {"patient_id": patient, **{prefix + name: str(value) for name, value in filled.items()}}


def slide(patient: str, day: str, **more: str) -> dict[str, str]:
    return {
        "patient_id": patient, "slide_id": f"{patient}{day}", "stain": "CD8", "timepoint": "on_treatment",
        "compartment": "evaluable", "evaluable": "true", "status": "ok", "biopsy_day": day, **more,
    }  # fmt: skip


def joined(
    patients: list[dict[str, str]], pairs: list[dict[str, str]], *slides: dict[str, str]
) -> list[Variable]:
    names = dict.fromkeys(name for row in patients for name in row)
    filled = [{name: row.get(name, "") for name in names} for row in patients]
    sheet = OutcomeSheet((Outcome("A", "PR"),), ("patient_id", "response"))
    return variables(Tables(filled, pairs, slides, {}), sheet, CONFIG)


def test_counts_of_all_lesions_make_the_log2_values() -> None:
    pairs = [pair("A", (10, 40)), pair("A", (20, 10), lesion_id="L2")]
    pairs.append(pair("A", (500, 500), lesion_id="L3", change_call="not_evaluable"))
    (found,) = joined([wide("A", "evaluable")], pairs)[0].subjects
    assert found.log2_pre == pytest.approx(log2(30.5 / 4))
    assert found.log2_post == pytest.approx(log2(50.5 / 8))
    assert (found.change, found.outcome.response) == (1, "PR")


def test_a_count_of_zero_has_a_log2_value() -> None:
    (found,) = joined([wide("A", "evaluable")], [pair("A", (0, 0))])[0].subjects
    assert (found.log2_pre, found.log2_post) == (log2(0.25), log2(0.125))


def test_the_family_takes_each_patients_primary_compartment() -> None:
    patients = [
        {**wide("A", "tumour", log2fc=2.0), **wide("A", "evaluable")},
        wide("B", "evaluable", log2fc=0.5),
    ]
    pairs = [pair("A", (1, 2)), pair("A", (1, 2), compartment="tumour"), pair("B", (1, 2))]
    first, *others = joined(patients, pairs)
    assert (first.compartment, first.declared) == ("primary", True)
    assert first.note == "tumour in 1, evaluable in 1"
    assert [subject.change for subject in first.subjects] == [2.0, 0.5]
    assert [(one.compartment, one.declared) for one in others] == [("tumour", False), ("evaluable", False)]


def test_one_compartment_for_all_is_not_told_twice() -> None:
    found = joined([wide("A", "evaluable"), wide("B", "evaluable")], [pair("A", (1, 2)), pair("B", (1, 2))])
    assert [(one.compartment, one.declared) for one in found] == [("evaluable", True)]


def test_a_declared_metric_nobody_has_is_there_without_a_pair() -> None:
    (found,) = joined([{"patient_id": "A"}, {"patient_id": "B"}], [])
    assert [subject.left_out for subject in found.subjects] == ["no pair", "no pair"]


def test_the_last_on_treatment_slide_of_the_stain_gives_the_day() -> None:
    slides = [slide("A", "40"), slide("A", "47"), slide("A", "90", status="failed")]
    slides += [slide("A", "95", stain="CD31"), slide("A", "99", timepoint="baseline")]
    (found,) = joined([wide("A", "evaluable")], [pair("A", (1, 2))], *slides)[0].subjects
    assert found.entry_day == 47


@pytest.mark.parametrize(("evaluable", "left_out"), [("true", ""), ("false", "not evaluable")])
def test_a_stain_without_calls_is_judged_by_its_slides(evaluable: str, left_out: str) -> None:
    keys = {"stain": "KI67", "metric": "positive_pct", "kind": "bounded", "change_call": ""}
    row = {name.replace("CD8__", "KI67__"): value for name, value in
           wide("A", "evaluable", "positive_pct", change_call="", log2fc="").items()}  # fmt: skip
    slides = [slide("A", "40", stain="KI67", evaluable=evaluable)]
    slides.append(slide("A", "-3", stain="KI67", timepoint="baseline"))
    found = joined([row], [pair("A", (1, 2), **keys)], *slides)[-1]
    assert (found.metric.name, found.measure) == ("positive_pct", "delta_abs")
    assert found.subjects[0].left_out == left_out


SHARE = "til_fraction_pct"


def shares(*lesions: tuple[str, str, bool]) -> Variable:
    """The share of TILs of a patient with lesions: name, call of the density, whether it has a share."""
    pairs = []
    for lesion, call, has_share in lesions:
        pairs.append(pair("A", (10, 40), lesion_id=lesion, change_call=call))
        delta = 1 if has_share else ""
        keys = {"metric": SHARE, "kind": "bounded", "change_call": "", "delta_abs": delta}
        pairs.append(pair("A", (10, 40), lesion_id=lesion, **keys))
    row = {**wide("A", "evaluable"), **wide("A", "evaluable", SHARE, change_call="", log2fc="")}
    (found,) = [one for one in joined([row], pairs) if one.metric.name == SHARE]
    return found


def test_a_share_counts_where_the_samples_of_its_lesion_were_judged() -> None:
    good, bad = ("L1", "within_noise", True), ("L2", "not_evaluable", True)
    assert shares(good).subjects[0].change == 1
    assert shares(good, bad).subjects[0].change == 1
    assert shares(bad).subjects[0].left_out == "not evaluable"
    # The lesion that was judged has no share: what is in the table is the other's.
    assert shares(("L1", "within_noise", False), bad).subjects[0].left_out == "not evaluable"


def test_a_lesion_without_calls_is_judged_by_its_own_slides() -> None:
    keys = {"stain": "KI67", "metric": "positive_pct", "kind": "bounded", "change_call": ""}
    row = {name.replace("CD8__", "KI67__"): value for name, value in
           wide("A", "evaluable", "positive_pct", change_call="", log2fc="").items()}  # fmt: skip
    slides = [
        slide("A", "40", stain="KI67", lesion_id="L1"),
        slide("A", "-3", stain="KI67", timepoint="baseline", lesion_id="L2"),
    ]
    pairs = [pair("A", (1, 2), lesion_id=lesion, **keys) for lesion in ("L1", "L2")]
    assert joined([row], pairs, *slides)[-1].subjects[0].left_out == "not evaluable"
    slides.append(slide("A", "-4", stain="KI67", timepoint="baseline", lesion_id="L1"))
    assert joined([row], pairs, *slides)[-1].subjects[0].left_out == ""
