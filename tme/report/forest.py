"""Forest plots of ``cohort_tests.csv``: one panel per test, a line per metric and subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tme.outcomes.types import ALL
from tme.report.artefacts import Row
from tme.report.numbers import number_text, p_text, plain_number, value_of
from tme.report.scale import Axis, linear_axis, ratio_axis
from tme.report.words import metric_title, sentence

RATIO, FOLD, LINEAR = "ratio", "fold", "linear"
LARGEST_LOG2 = 60.0
LARGEST_SHOWN = 1000.0


@dataclass(frozen=True)
class Panel:
    """A test that is drawn: title, what left and right of the line of no effect mean, and the scale."""

    title: str
    lower: str
    higher: str
    scale: str
    none: float


PANELS: Mapping[str, Panel] = {
    "wilcoxon": Panel("Change on treatment", "fell", "rose", FOLD, 1.0),
    "mann_whitney": Panel("Change, responders against others", "less in responders", "more", FOLD, 1.0),
    "ancova": Panel(
        "On treatment at equal baseline, responders against others", "less in responders", "more", FOLD, 1.0
    ),
    "firth_logistic": Panel(
        "Odds of response per doubling", "response less likely", "more likely", RATIO, 1.0
    ),
    "cox_pfs": Panel("Hazard of progression per doubling", "later", "sooner", RATIO, 1.0),
    "cox_os": Panel("Hazard of death per doubling", "later", "sooner", RATIO, 1.0),
    "auroc": Panel("AUROC of the change for response", "higher in others", "in responders", LINEAR, 0.5),
    "spearman": Panel(
        "Rank correlation with change of tumour size", "rise with shrinking", "with growth", LINEAR, 0.0
    ),
}


@dataclass(frozen=True)
class Effect:
    """One line: places of the estimate and its interval, and the numbers as read.

    ``at`` is None where there is no estimate; ``reason`` says why.
    """

    label: str
    subset: str
    at: float | None
    low: float | None
    high: float | None
    text: str
    n: str
    p: str
    reason: str


@dataclass(frozen=True)
class Forest:
    """One panel."""

    test: str
    title: str
    lower: str
    higher: str
    none: float
    axis: Axis
    effects: tuple[Effect, ...]

    @property
    def empty(self) -> bool:
        """Whether no line has an estimate."""
        return all(effect.at is None for effect in self.effects)

    @property
    def why(self) -> str:
        """Why no metric has an estimate in all patients: one reason, or that of each metric."""
        reasons = {effect.label: effect.reason for effect in self.effects if not effect.subset}
        if len(set(reasons.values())) > 1:
            return "; ".join(f"{label}: {reason}" for label, reason in reasons.items())
        return sentence(next(iter(reasons.values()), ""))


def forests(tests: Sequence[Row], declared: Sequence[str]) -> list[Forest]:
    """A panel for each test, of metrics of the declared family with a fold change.

    Parameters
    ----------
    tests : sequence of rows
        ``cohort_tests.csv``.
    declared : sequence of str
        STAIN.metric names of the family.

    Notes
    -----
    Effects per standard deviation, of metrics without a fold change, stand in the table alone: on one
    axis with effects per doubling they would be taken for the same.
    """
    found = []
    for test, panel in PANELS.items():
        rows = [row for row in tests if row["test"] == test and not row["adjusted_for"]]
        rows = [row for row in rows if f"{row['stain']}.{row['metric']}" in declared]
        rows = [row for row in rows if row["measure"] == "log2fc" or panel.scale == LINEAR]
        if rows:
            found.append(_forest(test, panel, rows))
    return found


def _forest(test: str, panel: Panel, rows: Sequence[Row]) -> Forest:
    numbers = [_numbers(row, panel.scale) for row in rows]
    estimates = [one[0] for one in numbers if one[0] is not None]
    ends = [end for one in numbers for end in one[1:] if end is not None]
    axis = _axis(panel.scale, estimates, ends, panel.none)
    effects = tuple(_effect(row, one, axis) for row, one in zip(rows, numbers, strict=True))
    return Forest(test, panel.title, panel.lower, panel.higher, axis.place(panel.none), axis, effects)


def _numbers(row: Row, scale: str) -> list[float | None]:
    """Estimate and ends of its interval; a difference of log2 as the fold it is."""
    numbers = [value_of(row[name]) for name in ("estimate", "ci_low", "ci_high")]
    if scale != FOLD:
        return numbers
    return [None if value is None else 2 ** max(-LARGEST_LOG2, min(LARGEST_LOG2, value)) for value in numbers]


def _axis(scale: str, estimates: Sequence[float], ends: Sequence[float], none: float) -> Axis:
    """An axis that shows every estimate, and intervals as far as they stay readable."""
    if scale in (RATIO, FOLD):
        # An interval may end at 0 or a million; a decade or three times the estimate say that as well.
        reach = max([10.0, *(max(value, 1 / value) * 3 for value in estimates if value > 0)])
        return ratio_axis([min(reach, max(1 / reach, value)) for value in [*estimates, *ends]])
    return (
        Axis(-0.03, 1.03, tuple((v / 4, f"{v / 4:g}") for v in range(5)))
        if none
        else linear_axis([-1.0, 1.0])
    )


def _effect(row: Row, numbers: Sequence[float | None], axis: Axis) -> Effect:
    estimate, low, high = numbers
    subset = "" if row["subset"] == ALL else row["subset"]
    places = [None if value is None else axis.place(value) for value in numbers]
    return Effect(
        metric_title(row["stain"], row["metric"]),
        subset,
        None if estimate is None else places[0],
        places[1] if low is not None else None,
        places[2] if high is not None else None,
        _text(estimate, low, high),
        number_text(value_of(row["n"])),
        p_text(value_of(row["p"])),
        row["reason"],
    )


def _text(estimate: float | None, low: float | None, high: float | None) -> str:
    if estimate is None:
        return "not estimable"
    if low is None or high is None:
        return f"{_shown(estimate)}, no interval"
    return f"{_shown(estimate)} ({_shown(low)} to {_shown(high)})"


def _shown(value: float) -> str:
    """A number as a forest plot has room for."""
    if value > LARGEST_SHOWN:
        return f">{LARGEST_SHOWN:g}"
    if 0 < value < 1 / LARGEST_SHOWN:
        return f"<{1 / LARGEST_SHOWN:g}"
    return plain_number(value)
