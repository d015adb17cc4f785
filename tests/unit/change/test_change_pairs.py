"""Changes by hand: fold change, intervals, calls, pooling, pairing, notes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.made_measures import SETTINGS, key_row, result_of
from tme.change import PairRow, Recount, SlideResult, change_columns, compute_changes
from tme.config import ChangeSettings, MetricSettings
from tme.tables import csv_document

PAIR = ("baseline", "on_treatment")
DENSITY = "til_density_per_mm2"
CONTRACT = [
    "patient_id", "lesion_id", "stain", "compartment", "metric", "kind", "timepoint_pre", "timepoint_post",
    "value_pre", "value_post", "n_pre", "n_post", "area_pre_mm2", "area_post_mm2", "delta_abs",
    "delta_ci_low", "delta_ci_high", "log2fc", "log2fc_se", "log2fc_ci_low", "log2fc_ci_high", "rc_log2",
    "rc_source", "change_call", "pairing", "interval_days", "note",
]  # fmt: skip


def changes(*slides: SlideResult, timepoints: tuple[str, ...] = PAIR, **settings: Any) -> list[PairRow]:
    return compute_changes(slides, timepoints, ChangeSettings(**settings))


def density(*slides: SlideResult, metric: str = DENSITY, **settings: Any) -> PairRow:
    (row,) = [row for row in changes(*slides, **settings) if row.metric == metric]
    return row


def post(counts: list[int], area: float = 6.0, **more: Any) -> SlideResult:
    return result_of(counts, area, timepoint="on_treatment", **{"slide_id": "s2", "seed": 9, **more})


SPILL = 1.2111
"""Six blocks of 1 mm² in a row, clusters of σ 150 µm; the test of `spill` works it out."""
EVEN, TENFOLD = [20] * 6, [200] * 6
UNEVEN = [30, 10, 25, 20, 15, 20]


def test_columns_are_those_of_the_contract_in_its_order() -> None:
    assert change_columns() == [*CONTRACT, "fc_ge_2p5", "otd_ge_500"]
    assert list(density(result_of(EVEN), post(EVEN)).row()) == change_columns()


def test_fold_change_of_counts_by_hand() -> None:
    row = density(result_of([30, 10, 20, 20, 20, 20]), post([100] * 6, 3.0))
    # X is 2 before, and clusters on the borders of blocks add to it; even blocks after have X = 0.
    phi = 1 + SPILL * (200 / 20 / 5 - 1)
    se = math.sqrt(phi / 120.5) / math.log(2)
    reach = stats.t.ppf(0.975, 10) * se
    expected = math.log2((600.5 / 3) / (120.5 / 6))
    assert (row.value_pre, row.value_post, row.delta_abs) == pytest.approx((20, 200, 180))
    assert (row.n_pre, row.n_post, row.area_pre_mm2, row.area_post_mm2) == (120, 600, 6.0, 3.0)
    assert (row.log2fc, row.log2fc_se) == pytest.approx((expected, se), rel=1e-4)
    assert (row.log2fc_ci_low, row.log2fc_ci_high) == pytest.approx(
        (expected - reach, expected + reach), rel=1e-4
    )
    assert (row.rc_log2, row.rc_source, row.change_call) == (1.0, "default", "increase")
    assert row.delta_ci_low < 180 < row.delta_ci_high


def test_a_fall_is_a_decrease_and_a_small_change_is_noise() -> None:
    assert density(result_of(TENFOLD), post(EVEN)).change_call == "decrease"
    assert density(result_of(EVEN), post([30] * 6)).change_call == "within_noise"


def test_the_call_weighs_repeatability_and_counting_error_together() -> None:
    pre, after = result_of(EVEN), post([60] * 6)
    assert density(pre, after).change_call == "increase"
    row = density(pre, after, rc_log2={DENSITY: 2.0})
    assert (row.change_call, row.rc_source) == ("within_noise", "config")
    assert density(pre, after, rc_log2={f"CD8.{DENSITY}": 2.0}).change_call == "within_noise"
    assert density(pre, after, rc_log2={f"CD3.{DENSITY}": 2.0}).rc_source == "default"


def test_no_cell_before_still_gives_a_fold_change() -> None:
    row = density(result_of([0] * 6), post(TENFOLD))
    assert row.value_pre == 0.0
    assert row.log2fc == pytest.approx(math.log2(1200.5 / 0.5))
    assert row.change_call == "increase"


def test_kinds_have_the_columns_that_belong_to_them() -> None:
    rows = {
        row.metric: row
        for row in changes(result_of(UNEVEN, stain="CD31"), post([190, 210] * 3, stain="CD31"))
    }
    bounded, index, positive = (
        rows[name] for name in ("vessel_area_pct", "vessel_clark_evans_r", "vessel_nnd_um_median")
    )
    for row in (bounded, index):
        assert row.delta_ci_low < row.delta_abs < row.delta_ci_high
        assert (row.log2fc, row.rc_log2, row.change_call) == (None, None, "")
    assert positive.log2fc == pytest.approx(math.log2(positive.value_post / positive.value_pre))
    assert positive.log2fc_ci_low < positive.log2fc < positive.log2fc_ci_high
    assert positive.change_call in ("decrease", "within_noise")
    assert not {"phi", "n_blocks", "n_vessels", "mvd_field_mm2"} & set(rows)


def test_a_positive_metric_without_an_interval_is_not_called() -> None:
    # All vessels are alike, so the bootstrap finds no scatter.
    slides = result_of(EVEN, stain="CD31"), post(EVEN, stain="CD31")
    row = density(*slides, metric="vessel_area_um2_median")
    assert (row.log2fc, row.log2fc_se, row.change_call) == (0.0, None, "not_evaluable")
    assert "no interval" in row.note


def test_a_slide_that_is_not_evaluable_keeps_its_numbers_without_a_call() -> None:
    row = density(result_of([50] * 6, 0.6), post(TENFOLD))
    assert row.change_call == "not_evaluable"
    assert "baseline: evaluable area 0.6 mm² is under 1 mm²" in row.note
    assert row.value_pre == pytest.approx(500)
    assert row.log2fc_ci_low is not None
    row = density(result_of([2] * 6, others=10), post(TENFOLD))
    assert "22 nuclei are fewer than 500" in row.note


def test_a_patient_without_a_partner_keeps_a_row() -> None:
    row = density(result_of(EVEN))
    assert (row.change_call, row.pairing, row.note) == ("not_evaluable", "none", "no on_treatment sample")
    assert (row.value_pre, row.value_post, row.delta_abs, row.log2fc) == (20.0, None, None, None)


def test_a_failed_slide_is_the_reason() -> None:
    broken = SlideResult(
        key_row(slide_id="s2", timepoint="on_treatment"), None, "failed", "the file ends early"
    )
    row = density(result_of(EVEN), broken)
    assert row.change_call == "not_evaluable"
    assert "on_treatment: s2 failed: the file ends early" in row.note
    assert len(changes(broken)) == len(changes(result_of(EVEN)))


def test_every_earlier_later_pair_is_compared() -> None:
    order = ("baseline", "on_treatment", "progression")
    slides = result_of(EVEN), post(TENFOLD), result_of([2] * 6, timepoint="progression", slide_id="s3")
    rows = [row for row in changes(*slides, timepoints=order) if row.metric == DENSITY]
    found = [(row.timepoint_pre, row.timepoint_post, row.change_call) for row in rows]
    assert found == [
        ("baseline", "on_treatment", "increase"),
        ("baseline", "progression", "decrease"),
        ("on_treatment", "progression", "decrease"),
    ]


def test_slides_of_different_blocks_are_pooled_by_their_sums() -> None:
    first = result_of([10] * 6, 6.0, block_id="A")
    second = result_of([200] * 6, 12.0, block_id="B", slide_id="s1b")
    row = density(first, second, post(EVEN))
    assert row.value_pre == pytest.approx((60 + 1200) / 18)
    assert (row.n_pre, row.area_pre_mm2) == (1260, 18.0)
    # The blocks of the two slides differ, and that is uncertainty of the lesion.
    assert row.log2fc_se > 0.2


def test_serial_sections_add_cells_but_no_information() -> None:
    section = result_of([30, 10, 20, 20, 20, 20], block_id="A")
    again = replace(section, keys={**section.keys, "slide_id": "s1b"})
    one, two = density(section, post(EVEN)), density(section, again, post(EVEN))
    assert two.value_pre == pytest.approx(one.value_pre)
    assert two.n_pre == 2 * one.n_pre
    # Twice the cells at twice φ: nearly the error of one section, never half of it.
    assert two.log2fc_se == pytest.approx(one.log2fc_se, rel=0.06)
    assert "serial sections" in two.note
    named = replace(again, keys={**again.keys, "block_id": "B"})
    assert density(section, named, post(EVEN)).log2fc_se < two.log2fc_se


def test_small_pieces_of_different_blocks_reach_the_least_area_together() -> None:
    parts = [result_of([40] * 4, 0.6, block_id=name, slide_id=name) for name in "AB"]
    assert density(*parts, post(TENFOLD)).change_call != "not_evaluable"
    same = [replace(part, keys={**part.keys, "block_id": "A"}) for part in parts]
    assert "under 1 mm²" in density(*same, post(TENFOLD)).note


@pytest.mark.parametrize("stain", ["CD31", "CD8"])
def test_a_pool_of_one_slide_is_that_slide_and_so_is_one_of_twins(stain: str) -> None:
    slide = result_of([30, 10, 25, 20, 15, 20], 12.0, stain=stain, block_id="A")
    twin = replace(slide, keys={**slide.keys, "slide_id": "t", "block_id": "B"})
    single = {row.metric: row for row in changes(slide)}
    for metric, row in {row.metric: row for row in changes(slide, twin)}.items():
        if metric == "mvd_hotspot_per_mm2":
            # A maximum: the densest fields of both are denser than those of one.
            assert row.value_pre > single[metric].value_pre
        elif single[metric].value_pre is None:
            assert row.value_pre is None
        else:
            assert row.value_pre == pytest.approx(single[metric].value_pre, rel=1e-8), metric


@pytest.mark.parametrize("metric", ["til_fraction_pct", "til_area_pct", "positive_pct"])
def test_shares_are_pooled_by_their_sums(metric: str) -> None:
    first, second = result_of([10] * 6, block_id="A"), result_of([300] * 6, block_id="B", slide_id="b")
    row = density(first, second, post(UNEVEN), metric=metric)
    alone = [density(slide, metric=metric).value_pre for slide in (first, second)]
    assert min(alone) < row.value_pre < max(alone)
    assert row.value_pre != pytest.approx(np.mean(alone), rel=0.01) or metric == "til_area_pct"
    assert row.delta_ci_low < row.delta_abs < row.delta_ci_high


def test_lesions_are_paired_by_name() -> None:
    slides = (
        result_of(EVEN, lesion_id="liver"),
        result_of(TENFOLD, lesion_id="lung", slide_id="b"),
        post(TENFOLD, lesion_id="liver"),
        post(EVEN, lesion_id="node", slide_id="d"),
    )
    found = {row.lesion_id: row for row in changes(*slides) if row.metric == DENSITY}
    assert {lesion: (row.pairing, row.change_call) for lesion, row in found.items()} == {
        "liver": ("same_lesion", "increase"),
        "lung": ("none", "not_evaluable"),
        "node": ("none", "not_evaluable"),
    }


def test_an_unnamed_lesion_is_paired_within_the_patient() -> None:
    row = density(result_of(EVEN), post(TENFOLD, lesion_id="liver"))
    assert (row.pairing, row.lesion_id, row.change_call) == ("same_patient", "liver", "increase")
    assert density(result_of(EVEN), post(TENFOLD)).pairing == "same_patient"


def test_days_come_from_days_or_from_dates() -> None:
    assert density(result_of(EVEN, biopsy_day=-7), post(EVEN, biopsy_day=21)).interval_days == 28
    dated = result_of(EVEN, date="2024-02-20"), post(EVEN, date="2024-03-05")
    assert density(*dated).interval_days == 14
    assert density(result_of(EVEN, biopsy_day=3), post(EVEN)).interval_days is None


def test_different_thresholds_are_told() -> None:
    row = density(result_of(EVEN, threshold=0.2), post(EVEN, threshold=0.31))
    assert "thresholds differ: 0.2 (slide) OD before, 0.31 (slide) OD after" in row.note
    assert "thresholds" not in density(result_of(EVEN), post(EVEN)).note


def counted(counts: dict[float, int]) -> Callable[[str, float], Recount]:
    return lambda _, od: Recount(counts[od], 50.0 * counts[od])


def test_different_thresholds_give_the_change_at_both() -> None:
    before = result_of(EVEN, threshold=0.2, positive_from=counted({0.2: 120, 0.31: 30}))
    after = post(TENFOLD, threshold=0.31, positive_from=counted({0.2: 1500, 0.31: 1200}))
    row = density(before, after)
    reach = row.log2fc_ci_high - row.log2fc
    for od, counts in (("0.2", (120, 1500)), ("0.31", (30, 1200))):
        log2fc = math.log2((counts[1] + 0.5) / (counts[0] + 0.5))
        found = re.search(
            rf"at {od} OD for all: log2fc {re.escape(f'{log2fc:+.2f}')} \[(.*?), (.*?)\], increase "
            rf"\({counts[0]} cells before, {counts[1]} after\)",
            row.note,
        )
        assert found, row.note
        assert float(found[1]) < log2fc < float(found[2])
        assert float(found[2]) - log2fc > 0.7 * reach
    assert "depends on the threshold" not in row.note
    # Two slides on one side are counted together, one that is left out is not.
    again = result_of(
        EVEN, threshold=0.25, slide_id="s3", seed=4, positive_from=lambda _, od: Recount(100, 0.0)
    )
    log2fc = math.log2((1200.5 / 6) / (130.5 / 12))
    assert f"at 0.31 OD for all: log2fc {log2fc:+.2f} [" in density(before, again, after).note


def test_a_call_that_hangs_on_the_threshold_says_so() -> None:
    before = result_of(EVEN, threshold=0.2, positive_from=counted({0.2: 120, 0.31: 30}))
    after = post([30] * 6, threshold=0.31, positive_from=counted({0.2: 1500, 0.31: 35}))
    row = density(before, after)
    assert row.change_call == "within_noise"
    assert (
        "the call depends on the threshold: within_noise at each slide's own, increase at 0.2 OD, "
        "within_noise at 0.31 OD" in row.note
    )
    # One call at both thresholds, and another with each slide's own, hangs on it too.
    before = result_of(EVEN, threshold=0.2, positive_from=counted({0.2: 120, 0.31: 120}))
    after = post(TENFOLD, threshold=0.31, positive_from=counted({0.2: 120, 0.31: 120}))
    note = density(before, after).note
    assert "increase at each slide's own, within_noise at 0.2 OD, within_noise at 0.31 OD" in note


def test_shares_are_given_at_both_thresholds() -> None:
    before = result_of(EVEN, threshold=0.2, positive_from=counted({0.2: 120, 0.31: 30}))
    after = post(TENFOLD, threshold=0.31, positive_from=counted({0.2: 1500, 0.31: 1200}))
    for metric in ("positive_pct", "til_fraction_pct"):
        shares = 100 * 120 / 1120, 100 * 1500 / 2200
        note = density(before, after, metric=metric).note
        assert f"at 0.2 OD for all: {shares[0]:.3g} % before, {shares[1]:.3g} % after" in note
        assert f"difference {shares[1] - shares[0]:+.3g}" in note
        assert "call" not in note
    note = density(before, after, metric="til_area_pct").note
    assert "at 0.31 OD for all: 0.025 % before, 1 % after, difference +0.975" in note
    assert "for all" not in density(before, after, metric="til_gini").note


def test_a_pair_without_a_call_has_none_at_any_threshold() -> None:
    before = result_of([50] * 6, 0.6, threshold=0.2, positive_from=counted({0.2: 300, 0.31: 3}))
    after = post(TENFOLD, threshold=0.31, positive_from=counted({0.2: 1500, 0.31: 1200}))
    note = density(before, after).note
    assert note.count("not_evaluable (") == 2
    assert "depends on the threshold" not in note


def test_vessels_at_different_thresholds_are_not_counted_again() -> None:
    before, after = result_of(EVEN, stain="CD31"), post(TENFOLD, stain="CD31", threshold=0.31)
    note = density(before, after, metric="mvd_per_mm2").note
    assert "thresholds differ" in note
    assert "vessels are outlined by them and not counted again" in note
    assert "for all" not in note


def test_cautions_and_the_prior_reach_the_note() -> None:
    settings = MetricSettings(block_mm2=40.0, bootstrap=100)
    careful = result_of([20, 20], 2.0, settings=settings, caution="out of focus")
    note = density(careful, post(EVEN)).note
    assert "phi_prior" in note
    assert "caution on s1: out of focus" in note


def test_dejardin_thresholds_are_for_cd8_alone() -> None:
    row = density(result_of([100] * 6), post([600] * 6))
    assert (row.fc_ge_2p5, row.otd_ge_500) == (True, True)
    row = density(result_of([200] * 6), post([300] * 6))
    assert (row.fc_ge_2p5, row.otd_ge_500) == (False, False)
    row = density(result_of(EVEN, stain="CD3"), post(TENFOLD, stain="CD3"))
    assert (row.fc_ge_2p5, row.otd_ge_500) == (None, None)
    assert density(result_of(EVEN)).fc_ge_2p5 is None


def test_hostile_ids_stay_text() -> None:
    names = ["=1+1", "../evil", "<script>", "x;touch P", "{x}", "中" * 64]
    rows = [row for name in names for row in changes(result_of(EVEN, patient_id=name))]
    assert list(dict.fromkeys(row.patient_id for row in rows)) == names
    assert "'=1+1" in csv_document(change_columns(), [row.row() for row in rows])


def test_patients_do_not_mix_and_keep_the_order_of_the_sheet() -> None:
    slides = [result_of(EVEN, patient_id=name, slide_id=name) for name in ("P9", "007", "7")]
    rows = [row for row in changes(*slides, post(TENFOLD, patient_id="7")) if row.metric == DENSITY]
    assert [(row.patient_id, row.change_call) for row in rows] == [
        ("P9", "not_evaluable"), ("007", "not_evaluable"), ("7", "increase"),
    ]  # fmt: skip


def test_settings_of_the_measurement_decide_evaluability() -> None:
    strict = SETTINGS.model_copy(update={"min_area_mm2": 10.0})
    row = density(result_of(EVEN, settings=strict), post(TENFOLD, settings=strict))
    assert row.change_call == "not_evaluable"
