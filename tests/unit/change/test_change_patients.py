"""The wide table: primary block, lesions combined, order of columns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from tests.made_measures import result_of
from tme.change import SlideResult, compute_changes, patient_columns, patient_rows
from tme.config import Config
from tme.tables import csv_document

PATTERN = "CD8__evaluable__til_density_per_mm2"


def table(*slides: SlideResult, config: Config | None = None) -> list[dict[str, Any]]:
    config = config or Config()
    pairs = compute_changes(slides, config.cohort.timepoints, config.change)
    patients = list(dict.fromkeys(slide.key("patient_id") for slide in slides))
    return patient_rows(pairs, patients, config)


def post(counts: list[int], area: float = 6.0, **more: Any) -> SlideResult:
    return result_of(counts, area, timepoint="on_treatment", **{"slide_id": "s2", "seed": 4, **more})


def test_a_patient_is_one_row_with_every_item() -> None:
    (row,) = table(result_of([20] * 6, biopsy_day=-3), post([200] * 6, biopsy_day=25))
    assert (row["patient_id"], row["n_lesions"], row["interval_days"]) == ("P1", 1, 28)
    assert (row[f"{PATTERN}__pre"], row[f"{PATTERN}__post"]) == (20.0, 200.0)
    assert row[f"{PATTERN}__delta_abs"] == 180.0
    assert row[f"{PATTERN}__log2fc_ci_low"] < row[f"{PATTERN}__log2fc"] < row[f"{PATTERN}__log2fc_ci_high"]
    assert row[f"{PATTERN}__change_call"] == "increase"
    assert row["primary_CD8_til_density_per_mm2_change_call"] == "increase"
    assert row["primary_CD8_til_density_per_mm2_compartment"] == "evaluable"
    assert row["primary_HE_til_density_per_mm2_change_call"] is None


def test_columns_are_the_same_whoever_comes_first() -> None:
    one = [result_of([20] * 6, patient_id="A"), post([20] * 6, patient_id="A")]
    other = [result_of([20] * 6, stain="CD31", patient_id="B", slide_id="v")]
    forth, back = patient_columns(table(*one, *other)), patient_columns(table(*other, *one))
    assert forth == back
    assert forth[:3] == ["patient_id", "n_lesions", "interval_days"]
    assert forth.index("primary_CD8_til_density_per_mm2_log2fc") < forth.index(
        "CD31__evaluable__mvd_per_mm2__pre"
    )
    csv_document(forth, table(*one, *other))


def test_who_has_no_pair_has_a_row() -> None:
    rows = table(result_of([20] * 6, patient_id="A"), post([20] * 6, patient_id="B"))
    assert [(row["patient_id"], row[f"{PATTERN}__change_call"]) for row in rows] == [
        ("A", "not_evaluable"),
        ("B", "not_evaluable"),
    ]


def test_lesions_are_combined_by_the_inverse_variance_mean() -> None:
    slides = (
        result_of([20] * 6, lesion_id="a", slide_id="1"),
        post([200] * 6, lesion_id="a", slide_id="2"),
        result_of([50] * 6, lesion_id="b", slide_id="3"),
        post([50] * 6, lesion_id="b", slide_id="4"),
    )
    (row,) = table(*slides)
    effects = [math.log2(1200.5 / 120.5), 0.0]
    # Even blocks: the interval is that of two Poisson counts.
    least = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 10)) ** 2 / math.log(2) ** 2
    variances = [least * (1 / 120.5 + 1 / 1200.5), least * 2 / 300.5]
    weights = [1 / variance for variance in variances]
    mean = sum(w * e for w, e in zip(weights, effects, strict=True)) / sum(weights)
    reach = stats.t.ppf(0.975, 20) / math.sqrt(sum(weights))
    assert row["n_lesions"] == 2
    assert row[f"{PATTERN}__log2fc"] == pytest.approx(mean)
    assert row[f"{PATTERN}__log2fc_ci_high"] == pytest.approx(mean + reach)
    assert (row[f"{PATTERN}__pre"], row[f"{PATTERN}__post"]) == (35.0, 125.0)
    assert row[f"{PATTERN}__change_call"] == ("increase" if mean > math.hypot(1, reach) else "within_noise")


def test_a_lesion_that_cannot_be_judged_does_not_spoil_the_other() -> None:
    slides = (
        result_of([20] * 6, lesion_id="a", slide_id="1"),
        post([200] * 6, lesion_id="a", slide_id="2"),
        result_of([50] * 6, lesion_id="b", slide_id="3"),
    )
    (row,) = table(*slides)
    assert (row["n_lesions"], row[f"{PATTERN}__change_call"], row[f"{PATTERN}__post"]) == (
        2,
        "increase",
        200.0,
    )


SHARE, GINI = "til_fraction_pct", "til_gini"


def value(row: dict[str, Any], metric: str, side: str, stain: str = "CD8") -> float:
    return row[f"{stain}__evaluable__{metric}__{side}"]


def test_shares_of_lesions_are_sums_over_sums() -> None:
    # Equal areas, but one lesion has ten times the nuclei.
    slides = (
        result_of([20] * 6, lesion_id="a", slide_id="1", others=880),
        post([40] * 6, lesion_id="a", slide_id="2", others=760),
        result_of([20] * 6, lesion_id="b", slide_id="3", others=9880),
        post([20] * 6, lesion_id="b", slide_id="4", others=9880),
    )
    (row,) = table(*slides)
    assert value(row, SHARE, "pre") == pytest.approx(100 * 240 / 11000)
    assert value(row, SHARE, "post") == pytest.approx(100 * 360 / 11000)
    assert value(row, SHARE, "delta_abs") == pytest.approx(100 * 120 / 11000)
    assert value(row, SHARE, "change_call") == ""


def test_indices_and_medians_of_lesions_are_pooled_as_those_of_slides_are() -> None:
    slides = (
        result_of([90, 30] * 3, 12.0, stain="CD31", lesion_id="a", slide_id="1"),
        post([40] * 6, 12.0, stain="CD31", lesion_id="a", slide_id="2"),
        result_of([300, 20] * 3, 12.0, stain="CD31", lesion_id="b", slide_id="3"),
        post([20] * 6, 12.0, stain="CD31", lesion_id="b", slide_id="4"),
    )
    (row,) = table(*slides)
    together = [replace(slide, keys={**slide.keys, "lesion_id": "", "block_id": slide.key("lesion_id")})
                for slide in slides]  # fmt: skip
    (one,) = table(*together)
    for metric in ("mvd_hotspot_per_mm2", "vessel_clark_evans_r", "vessel_nnd_um_median", "avascular_pct"):
        for side in ("pre", "post"):
            assert value(row, metric, side, "CD31") == pytest.approx(value(one, metric, side, "CD31"))


@pytest.mark.parametrize("why", ["few nuclei", "small area", "no partner"])
def test_no_metric_of_any_kind_takes_a_lesion_that_cannot_be_judged(why: str) -> None:
    def bad(timepoint: str) -> SlideResult:
        more = {"lesion_id": "b", "slide_id": f"b{timepoint}", "timepoint": timepoint, "seed": 7}
        if why == "few nuclei":
            return result_of([5] * 6, 12.0, others=20, **more)
        return result_of([90] * 6, 0.6, **more)

    good = result_of([30, 10] * 3, 12.0, lesion_id="a"), post([90, 30] * 3, 12.0, lesion_id="a")
    spoilt = [bad(timepoint) for timepoint in ("baseline", "on_treatment")]
    (alone,), (row,) = table(*good), table(*good, *(spoilt[:1] if why == "no partner" else spoilt))
    assert value(alone, GINI, "pre") is not None
    for metric in (
        PATTERN.split("__")[2],
        SHARE,
        "til_area_pct",
        "positive_pct",
        GINI,
        "til_density_p90_per_mm2",
    ):
        for item in ("pre", "post", "delta_abs", "log2fc", "change_call"):
            assert value(row, metric, item) == value(alone, metric, item), (metric, item)
    assert row["n_lesions"] == 2


def test_lesions_none_of_which_can_be_judged_keep_their_numbers_without_a_call() -> None:
    slides = [
        make([count] * 6, 0.6, lesion_id=lesion, slide_id=f"{lesion}{count}")
        for lesion in "ab"
        for make, count in ((result_of, 20), (post, 200))
    ]
    (row,) = table(*slides)
    assert (value(row, "til_density_per_mm2", "pre"), value(row, "til_density_per_mm2", "post")) == (
        200,
        2000,
    )
    assert value(row, "til_density_per_mm2", "change_call") == "not_evaluable"
    assert value(row, SHARE, "pre") == pytest.approx(100 * 240 / 2240)


def test_another_pair_can_be_shown() -> None:
    order = ("baseline", "on_treatment", "progression")
    config = Config.model_validate(
        {"cohort": {"timepoints": order, "primary_pair": ("baseline", "progression")}}
    )
    later = result_of([2] * 6, timepoint="progression", slide_id="s3")
    (row,) = table(result_of([20] * 6), post([200] * 6), later, config=config)
    assert row[f"{PATTERN}__change_call"] == "decrease"


def test_one_time_point_has_no_pair() -> None:
    config = Config.model_validate({"cohort": {"timepoints": ("baseline",)}})
    (row,) = table(result_of([20] * 6), config=config)
    assert (row["n_lesions"], row["interval_days"]) == (0, None)
