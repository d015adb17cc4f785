"""The places of waterfall, forest and Kaplan–Meier plots, and the figures drawn from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.made_cohort import write_cohort
from tme.config import Config
from tme.report.artefacts import read_run
from tme.report.figures import write_figures
from tme.report.forest import forests
from tme.report.scale import fold_axis, linear_axis, log_axis, ratio_axis
from tme.report.survival import kaplan_meiers
from tme.report.waterfall import Change, waterfall

TEST = {
    "stain": "CD8", "compartment": "evaluable", "metric": "til_density_per_mm2", "measure": "log2fc",
    "test": "cox_pfs", "subset": "all", "adjusted_for": "", "n": "24", "estimate": "0.5", "ci_low": "0.25",
    "ci_high": "1", "p": "0.04", "reason": "", "effect": "hazard ratio per doubling",
}  # fmt: skip
FAMILY = ("CD8.til_density_per_mm2",)
CURVE = {"stain": "CD8", "compartment": "evaluable", "metric": "til_density_per_mm2", "endpoint": "pfs"}


class TestWaterfall:
    def test_the_largest_rise_comes_first_and_who_has_no_change_last(self) -> None:
        changes = [
            Change("a", -1.0, -2.0, 0.1, "within_noise", "PR"),
            Change("b", None, None, None, "", "NE"),
            Change("c", 3.0, 2.0, 4.0, "increase", ""),
        ]
        made = waterfall(changes, log2=True)
        assert made is not None
        assert [(bar.label, bar.group, bar.call) for bar in made.bars] == [
            ("c", "unknown", "increase"),
            ("a", "responder", "within_noise"),
            ("b", "unknown", "not_evaluable"),
        ]
        assert made.by_response

    def test_nobody_with_a_change_is_no_plot(self) -> None:
        assert waterfall([Change("a", None, None, None, "not_evaluable", "")], log2=True) is None

    def test_the_band_of_noise_is_drawn_only_where_all_share_one(self) -> None:
        one, other = (Change(str(rc), 1.0, None, None, "", "", rc=rc) for rc in (1.0, 0.6))
        alone, both = waterfall([one], log2=True), waterfall([one, other], log2=True)
        assert alone is not None
        assert both is not None
        assert (alone.rc, both.rc) == (1.0, None)

    def test_an_endless_interval_does_not_flatten_the_bars(self) -> None:
        made = waterfall([Change("a", 1.0, -40.0, 42.0, "within_noise", "")], log2=True)
        assert made is not None
        assert made.axis.high < 2


class TestForest:
    def test_places_are_on_the_axis_of_ratios(self) -> None:
        (panel,) = forests([TEST], FAMILY)
        (effect,) = panel.effects
        assert panel.none == 0
        assert effect.at == pytest.approx(-0.30103, abs=1e-5)
        assert effect.text == "0.50 (0.25 to 1.00)"
        assert panel.axis.low < panel.axis.place(0.25)

    def test_a_difference_of_log2_is_shown_as_the_fold_it_is(self) -> None:
        row = {**TEST, "test": "wilcoxon", "estimate": "1", "ci_low": "0", "ci_high": "2"}
        (panel,) = forests([row], FAMILY)
        assert panel.effects[0].text == "2.00 (1.00 to 4.00)"

    def test_without_an_estimate_there_is_the_reason(self) -> None:
        row = {**TEST, "estimate": "", "ci_low": "", "ci_high": "", "reason": "no event after the biopsy"}
        (panel,) = forests([row], FAMILY)
        assert panel.empty
        assert panel.effects[0].reason == "no event after the biopsy"

    def test_an_interval_from_nothing_to_millions_keeps_a_readable_axis(self) -> None:
        (panel,) = forests([{**TEST, "ci_low": "1e-300", "ci_high": "1e300"}], FAMILY)
        assert -1.5 < panel.axis.low < panel.axis.high < 1.5
        assert panel.effects[0].text == "0.50 (<0.001 to >1000)"

    def test_effects_per_standard_deviation_adjusted_ones_and_other_metrics_stay_out(self) -> None:
        changes = ({"metric": "mvd_per_mm2"}, {"measure": "delta_abs"}, {"adjusted_for": "age"})
        assert forests([{**TEST, **change} for change in changes], FAMILY) == []


class TestKaplanMeier:
    def rows(self, group: str) -> list[dict[str, str]]:
        table = [(0, 3, 0, 0, 1.0), (40, 3, 1, 0, 0.667), (90, 2, 0, 1, 0.667), (200, 1, 1, 0, 0.0)]
        names = ("day", "n_at_risk", "n_events", "n_censored", "survival")
        return [
            {
                **CURVE,
                "group": group,
                "ci_low": "",
                "ci_high": "",
                **dict(zip(names, map(str, row), strict=True)),
            }
            for row in table
        ]

    def test_numbers_at_risk_are_those_of_the_table(self) -> None:
        (plot,) = kaplan_meiers([*self.rows("all"), *self.rows("increase")], [TEST])
        (curve,) = plot.curves
        assert (curve.title, curve.n, curve.events) == ("Increase", 3, 2)
        assert plot.times == (0, 60, 120, 180)
        assert curve.at_risk == (3, 2, 1, 1)
        assert curve.censored == ((90.0, 0.667),)
        assert plot.hazard == "Hazard ratio per doubling: 0.50 (0.25 to 1.00)"

    def test_everybody_is_shown_where_nothing_is_called(self) -> None:
        (plot,) = kaplan_meiers(self.rows("all"), [{**TEST, "estimate": "", "reason": "separation"}])
        assert [curve.title for curve in plot.curves] == ["All patients"]
        assert plot.hazard == "No hazard ratio: separation"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
@example([5e-324])
def test_ticks_lie_on_the_axis_are_few_and_differ(values: list[float]) -> None:
    ratios = [min(1e6, max(1e-6, abs(value))) for value in values]
    folds = [value / 2e4 for value in values]
    made = [
        linear_axis(values),
        linear_axis(values, True),
        log_axis(ratios),
        ratio_axis(ratios),
        fold_axis(folds),
    ]
    for axis in made:
        places = [place for place, _ in axis.ticks]
        assert 1 <= len(places) <= 13
        assert places == sorted(places)
        assert all(axis.low <= place <= axis.high for place in places)
        assert len({text for _, text in axis.ticks}) == len(places)


def test_figures_are_the_same_bytes_twice_and_take_any_name(tmp_path: Path) -> None:
    results, _ = write_cohort(tmp_path, 3, names=("$x$<script>", "=1+1", "很" * 64))
    run = read_run(results, Config())
    made = write_figures(run, tmp_path / "figures")
    assert {path.suffix for path in made} == {".svg", ".pdf"}
    before = {path.name: path.read_bytes() for path in made}
    assert any(name.endswith("waterfall.svg") for name in before)
    assert all(b"<script" not in content for content in before.values())
    write_figures(run, tmp_path / "figures")
    assert before == {path.name: path.read_bytes() for path in made}
