"""The index and the report: counts, words and plots read from the cohort's tables."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page_checks import check_page, check_scripts, element_tree, page_data, page_text
from tme.config import Config
from tme.errors import ArtefactError
from tme.report import write_index, write_report
from tme.report.numbers import (
    fold_text,
    interval_text,
    number_text,
    p_text,
    plain_number,
    signed_text,
    value_of,
)
from tme.report.slope import LABEL_GAP, Line, slope_plot
from tme.tables import write_csv

SLIDE_COLUMNS = (
    "patient_id", "lesion_id", "slide_id", "timepoint", "stain", "compartment", "evaluable_area_mm2",
    "evaluable", "not_evaluable_reason", "status", "reason", "caution", "code_version", "config_sha256",
    "til_density_per_mm2", "til_density_ci_low", "til_density_ci_high", "mvd_per_mm2", "mvd_ci_low",
    "mvd_ci_high", "positive_pct",
)  # fmt: skip
PAIR_COLUMNS = (
    "patient_id", "lesion_id", "stain", "compartment", "metric", "kind", "timepoint_pre", "timepoint_post",
    "value_pre", "value_post", "area_pre_mm2", "area_post_mm2", "delta_abs", "delta_ci_low", "delta_ci_high",
    "log2fc", "log2fc_ci_low",
    "log2fc_ci_high", "rc_log2", "rc_source",
    "change_call", "interval_days", "note",
)  # fmt: skip


def slide(slide_id: str, patient: str = "P01", **columns: Any) -> dict[str, Any]:
    return {
        "patient_id": patient, "slide_id": slide_id, "timepoint": "baseline", "stain": "CD8",
        "compartment": "evaluable", "evaluable_area_mm2": 3.2, "evaluable": True, "status": "ok",
        "til_density_per_mm2": 312.4, "til_density_ci_low": 250.0, "til_density_ci_high": 390.0,
        "code_version": "0.1.0", "config_sha256": "ab" * 32,
    } | columns  # fmt: skip


def change(patient: str, call: str, **columns: Any) -> dict[str, Any]:
    return {
        "patient_id": patient, "stain": "CD8", "compartment": "evaluable", "metric": "til_density_per_mm2",
        "kind": "count density", "timepoint_pre": "baseline", "timepoint_post": "on_treatment",
        "value_pre": 100.0, "value_post": 640.0, "area_pre_mm2": 3.0, "area_post_mm2": 2.0,
        "log2fc": 2.68, "log2fc_ci_low": 2.0, "log2fc_ci_high": 3.3,
        "rc_log2": 1.0, "rc_source": "default", "change_call": call, "interval_days": 42,
    } | columns  # fmt: skip


def index_page(
    results: Path, rows: list[dict[str, Any]], outcomes: list[dict[str, Any]] | None = None
) -> str:
    write_csv(results / "slide_metrics.csv", SLIDE_COLUMNS, rows)
    known = outcomes or [{"slide_id": row["slide_id"], "status": row["status"]} for row in rows]
    write_index(results, known)
    return (results / "index.html").read_text()


def report_page(results: Path, rows: list[dict[str, Any]], pairs: list[dict[str, Any]], **config: Any) -> str:
    write_csv(results / "slide_metrics.csv", SLIDE_COLUMNS, rows)
    write_csv(results / "pairs.csv", PAIR_COLUMNS, pairs)
    write_report(results, Config.model_validate(config))
    return (results / "report" / "index.html").read_text()


class TestIndex:
    def test_a_registered_section_is_linked_with_its_picture_where_there_is_one(self, tmp_path: Path) -> None:
        row = slide("a", til_vessel_slide_id="b", til_vessel_error_um=12.3)
        columns = (*SLIDE_COLUMNS, "til_vessel_slide_id", "til_vessel_error_um")
        write_csv(tmp_path / "slide_metrics.csv", columns, [row])
        outcomes = [{"slide_id": "a", "status": "ok"}]
        write_index(tmp_path, outcomes)
        assert "Vessels of" not in (tmp_path / "index.html").read_text(encoding="utf-8")
        picture = tmp_path / "registrations" / "a" / "b" / "picture.jpg"
        picture.parent.mkdir(parents=True)
        picture.touch()
        write_index(tmp_path, outcomes)
        page = (tmp_path / "index.html").read_text(encoding="utf-8")
        check_page(page)
        assert 'href="registrations/a/b/picture.jpg"' in page
        assert "Vessels of b laid on this section to within 12 µm" in page_text(page)

    def test_a_failed_slide_raises_a_banner_and_says_why_and_what_to_do(self, tmp_path: Path) -> None:
        problem = {
            "what": "the file is cut off",
            "where": "x.svs",
            "why": "a tile is missing",
            "fix": "copy it again",
        }
        rows = [
            slide("a"),
            {**slide("b"), "status": "failed", "evaluable": None, "til_density_per_mm2": None},
        ]
        outcomes = [{"slide_id": "a", "status": "ok"}, {"slide_id": "b", "status": "failed", **problem}]
        page = index_page(tmp_path, rows, outcomes)
        text = page_text(page)
        check_page(page)
        assert "1 of 2 slides failed" in text
        assert 'role="alert"' in page
        for part in problem.values():
            assert part in text

    def test_without_a_failure_there_is_no_banner(self, tmp_path: Path) -> None:
        page = index_page(tmp_path, [slide("a")])
        assert 'role="alert"' not in page
        assert "312 /mm² TILs250 – 390" in page_text(page)

    def test_counts_are_those_of_the_tables(self, tmp_path: Path) -> None:
        empty = {"til_density_per_mm2": None, "evaluable": None}
        rows = [
            slide("a"),
            slide("b", "P02", evaluable=False, not_evaluable_reason="0.4 mm² of tissue"),
            slide("c", "P02", status="excluded", **empty),
            slide("d", "P03", status="failed", **empty),
        ]
        page = index_page(tmp_path, rows)
        cards = page.split('<dl class="summary">')[1].split("</dl>")[0]
        shown = page_text(cards).split()
        assert " ".join(shown) == "Patients3 Slides4 Ok2 of these not evaluable1 Failed1 Excluded1"
        assert "0.4 mm² of tissue" in page_text(page)

    def test_a_slide_is_shown_as_on_its_own_page_also_where_tumour_is_annotated(self, tmp_path: Path) -> None:
        rows = [slide("a"), slide("a", compartment="tumour", til_density_per_mm2=99.0)]
        text = page_text(index_page(tmp_path, rows, [{"slide_id": "a", "status": "ok"}]))
        assert "312 /mm²" in text
        assert "99 /mm²" not in text

    def test_links_only_to_what_is_there(self, tmp_path: Path) -> None:
        overlay = tmp_path / "slides" / "a" / "overlay"
        overlay.mkdir(parents=True)
        (overlay / "index.html").write_text("")
        (overlay.parent / "thumbnail.jpg").write_bytes(b"")
        page = index_page(tmp_path, [slide("a"), slide("b")])
        assert page.count('href="slides/') == 1
        assert 'href="slides/a/overlay/index.html"' in page
        assert page.count("<img") == 1

    def test_a_missing_value_is_a_dash_never_zero(self, tmp_path: Path) -> None:
        row = slide("a", til_density_per_mm2=None, evaluable_area_mm2=None)
        page = index_page(tmp_path, [row])
        assert 'data-title="Area, mm²">–</td>' in page
        assert page_text(index_page(tmp_path, [slide("a", til_density_per_mm2=0.0)])).count("0 /mm²") == 1

    def test_without_the_table_the_error_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactError, match=r"slide_metrics\.csv"):
            write_index(tmp_path, [])


class TestReport:
    def test_every_call_is_shown_with_its_note(self, tmp_path: Path) -> None:
        pairs = [
            change("P01", "increase"),
            change("P02", "decrease", log2fc=-1.5, value_post=35.0),
            change("P03", "within_noise"),
            change("P04", "not_evaluable", value_pre=None, log2fc=None, note="no slide at baseline"),
        ]
        page = report_page(tmp_path, [slide(f"s{i}", f"P0{i}") for i in range(1, 5)], pairs)
        text = page_text(page)
        check_page(page)
        for expected in ("Increase", "Decrease", "Within noise", "Not evaluable", "no slide at baseline"):
            assert expected in text
        assert "÷ 2.8" in text
        assert "\u22121.50" in text
        assert "Of 4 patients: 1 increase, 1 decrease, 1 within noise, 1 not evaluable." in text
        assert re.search(r"with a value at both time points\s*3\s", text)
        charts = page_data(page)["metrics"]["CD8.til_density_per_mm2"]
        assert len(charts["slope"]["strokes"]) == 3
        bars = [(bar["label"], bar["value"], bar["call"]) for bar in charts["waterfall"]["bars"]]
        assert bars[-2:] == [("P02", -1.5, "decrease"), ("P04", None, "not_evaluable")]
        assert charts["waterfall"]["rc"] == 1.0
        assert not charts["waterfall"]["by_response"]

    def test_a_pair_with_two_thresholds_says_its_result_at_both(self, tmp_path: Path) -> None:
        again = "at 0.21 OD for all: log2fc +0.42 [+0.10, +0.80], within_noise (90 cells before, 120 after)"
        other = "at 0.27 OD for all: log2fc +1.90 [+1.20, +2.50], increase (30 cells before, 110 after)"
        depends = "the call depends on the threshold: increase at each slide's own, within_noise at 0.21 OD"
        differ = "thresholds differ: 0.21 (slide) OD before, 0.27 (control) OD after"
        pairs = [
            change("P01", "increase", note="; ".join((differ, depends, again, other))),
            change("P02", "increase", note="baseline: phi_prior; caution on s2: <b>"),
        ]
        page = report_page(tmp_path, [slide("a"), slide("b", "P02")], pairs)
        check_page(page)
        cell = page.split(f'<td class="note">{differ}')[1].split("</td>")[0]
        assert cell.count("<b>") == 1
        assert cell.count("<small>") == 2
        text = page_text(cell)
        assert text.index("depends on the threshold") < text.index(again) < text.index(other)
        assert "a usual clustering is assumed (phi_prior); caution on s2: &lt;b&gt;</td>" in page

    def test_a_share_has_a_difference_and_no_call(self, tmp_path: Path) -> None:
        columns = {
            "metric": "positive_pct", "kind": "bounded", "value_pre": 12.0, "value_post": 7.5,
            "delta_abs": -4.5, "delta_ci_low": -9.25, "delta_ci_high": 0.25,
        }  # fmt: skip
        missing = dict.fromkeys(("log2fc", "log2fc_ci_low", "log2fc_ci_high", "rc_log2", "rc_source"))
        page = report_page(
            tmp_path,
            [slide("a")],
            [change("P01", "", **columns, **missing)],
            change={"primary_metrics": ["CD8.positive_pct"]},
        )
        check_page(page)
        section = page_text(page).split("CD8 positive cells")[2].split("Slides and quality")[0]
        assert "−4.5−9.25 to +0.250" in section
        assert "no change is called" in section
        assert "not evaluable" not in section.lower()
        charts = page_data(page)["metrics"]["CD8.positive_pct"]
        assert charts["slope"]["axis"]["log"] is False
        assert charts["waterfall"]["bars"][0]["value"] == -4.5

    def test_a_pair_that_is_not_evaluable_is_no_bar(self, tmp_path: Path) -> None:
        page = report_page(
            tmp_path, [slide("a")], [change("P01", "not_evaluable"), change("P02", "increase")]
        )
        charts = page_data(page)["metrics"]["CD8.til_density_per_mm2"]
        calls = {stroke["label"]: stroke["call"] for stroke in charts["slope"]["strokes"]}
        assert calls == {"P01": "not_evaluable", "P02": "increase"}
        assert [bar["value"] for bar in charts["waterfall"]["bars"]] == [2.68, None]

    def test_a_share_of_samples_that_cannot_be_judged_is_no_bar(self, tmp_path: Path) -> None:
        share = {"metric": "positive_pct", "kind": "bounded", "delta_abs": 5.0, "log2fc": None}
        pairs = [change("P01", "not_evaluable"), change("P01", "", **share), change("P02", "", **share)]
        page = report_page(tmp_path, [slide("a")], pairs)
        bars = page_data(page)["metrics"]["CD8.positive_pct"]["waterfall"]["bars"]
        assert [(bar["label"], bar["value"]) for bar in bars] == [("P02", 5.0), ("P01", None)]

    def test_lesions_are_named_only_where_a_patient_has_several(self, tmp_path: Path) -> None:
        pairs = [change("P01", "increase", lesion_id=lesion) for lesion in ("liver", "lung")]
        pairs.append(change("P02", "increase", lesion_id="lung"))
        page = report_page(tmp_path, [slide("a")], pairs)
        strokes = page_data(page)["metrics"]["CD8.til_density_per_mm2"]["slope"]["strokes"]
        assert {stroke["label"] for stroke in strokes} == {"P01 liver", "P01 lung", "P02"}
        assert "Of 3 lesions" in page_text(page)

    def test_tumour_rows_come_before_evaluable_ones_unless_configured(self, tmp_path: Path) -> None:
        pairs = [change("P01", "increase"), change("P01", "decrease", compartment="tumour")]
        auto = page_text(report_page(tmp_path, [slide("a")], pairs))
        forced = page_text(
            report_page(tmp_path, [slide("a")], pairs, change={"primary_compartment": "evaluable"})
        )
        assert ("P01tumour" in auto, "P01tumour" in forced) == (True, False)

    def test_a_tumour_annotated_on_one_side_only_is_no_primary_row(self, tmp_path: Path) -> None:
        one_side = change("P01", "not_evaluable", compartment="tumour", area_pre_mm2=None)
        text = page_text(report_page(tmp_path, [slide("a")], [change("P01", "increase"), one_side]))
        assert "P01tumour" not in text

    def test_only_the_primary_pair_of_time_points_is_shown(self, tmp_path: Path) -> None:
        other = change("P09", "increase", timepoint_post="progression")
        config = {"cohort": {"timepoints": ["baseline", "on_treatment", "progression"]}}
        assert "P09" not in page_text(report_page(tmp_path, [slide("a")], [other], **config))
        config["cohort"]["primary_pair"] = ["baseline", "progression"]  # type: ignore[assignment]
        assert "P09" in page_text(report_page(tmp_path, [slide("a")], [other], **config))

    def test_failed_slides_are_listed(self, tmp_path: Path) -> None:
        rows = [slide("a"), slide("b", status="failed", reason="the file is cut off")]
        text = page_text(report_page(tmp_path, rows, []))
        assert "1 of 2 slides failed" in text
        assert "the file is cut off" in text
        assert "No slide of this cohort carries this metric." in text

    def test_it_is_one_file(self, tmp_path: Path) -> None:
        page = report_page(tmp_path, [slide("a")], [change("P01", "increase")])
        tags = {tag for tag, _ in element_tree(page)}
        assert not tags & {"link", "iframe", "object"}
        assert "src=" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        check_scripts(page)
        assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]
        again = report_page(tmp_path, [slide("a")], [change("P01", "increase")])
        assert page == again


class TestSlope:
    def test_higher_values_stand_higher_and_zero_below_all(self) -> None:
        made = slope_plot([Line("a", 10, 100, "increase"), Line("b", 0, 50, "increase")])
        assert made is not None
        by_label = {stroke.label: stroke for stroke in made.strokes}
        assert by_label["a"].post > by_label["b"].post > by_label["a"].pre > by_label["b"].pre
        assert by_label["b"].pre == made.axis.zero
        assert made.axis.ticks[0] == (made.axis.zero, "0")

    def test_nothing_gives_no_plot_and_only_zeros_one_with_an_axis(self) -> None:
        assert slope_plot([]) is None
        made = slope_plot([Line("a", 0, 0, "within_noise")])
        assert made is not None
        assert made.axis.ticks

    def test_names_are_left_out_where_there_is_no_room(self) -> None:
        made = slope_plot([Line(f"P{i}", i + 1, i + 2, "increase") for i in range(25)])
        assert made is not None
        assert not made.labelled

    @given(
        st.lists(
            st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.sampled_from(["increase", "within_noise"])),
            min_size=1,
            max_size=20,
        ),
        st.booleans(),
    )
    def test_all_lies_inside_and_labels_never_touch(
        self, values: list[tuple[float, float, str]], log: bool
    ) -> None:
        values = [(a if a > 1e-3 else 0.0, b if b > 1e-3 else 0.0, call) for a, b, call in values]
        made = slope_plot([Line(f"P{i}", a, b, call) for i, (a, b, call) in enumerate(values)], log)
        assert made is not None
        low, high = made.axis.low, made.axis.high
        places = [place for stroke in made.strokes for place in (stroke.pre, stroke.post)]
        assert all(low <= place <= high for place in [*places, *(place for place, _ in made.axis.ticks)])
        labels = sorted(stroke.label_at for stroke in made.strokes)
        assert all(b - a >= LABEL_GAP * (high - low) * (1 - 1e-9) for a, b in pairwise(labels))
        assert all(low - 1e-9 * abs(low) <= place <= high * (1 + 1e-9) for place in labels)


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "–"), (0.0, "0"), (1234.56, "1,235"), (312.4, "312"), (55.44, "55.4"),
            (60.0, "60"), (0.0123, "0.0123"), (0.5, "0.500"), (-3.2, "-3.2"), (100.0, "100"),
        ],
    )  # fmt: skip
    def test_number_text(self, value: float | None, text: str) -> None:
        assert number_text(value) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "–"), (0.0, "0.00"), (1.234, "1.23"), (-0.5, "\u22120.50"), (33.3, "33"),
            (0.0123, "0.012"), (72000.0, "7.2e4"), (1e-9, "1.0e\u22129"),
        ],
    )  # fmt: skip
    def test_plain_number(self, value: float | None, text: str) -> None:
        assert plain_number(value) == text

    def test_p(self) -> None:
        assert [p_text(p) for p in (None, 0.0004, 0.0123, 0.2)] == ["–", "<0.001", "0.012", "0.20"]

    def test_the_rest(self) -> None:
        assert value_of("") is None
        assert value_of("nan") is None
        assert value_of("abc") is None
        assert value_of("1.5") == 1.5
        assert interval_text(1.0, None) == ""
        assert interval_text(1.66e-8, 431.0) == "<0.001 – 431"
        assert interval_text(0.0005, 0.0008) == "0.000500 – 0.000800"
        assert (fold_text(1.0), fold_text(-1.0), fold_text(None)) == ("× 2", "÷ 2", "–")
        assert signed_text(-0.5) == "\u22120.50"
