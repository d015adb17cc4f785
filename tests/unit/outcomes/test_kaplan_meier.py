"""Kaplan–Meier rows: by hand, re-zeroed at the biopsy, and who is in no curve."""

from __future__ import annotations

import pytest

from tme.metrics.family import metric_columns
from tme.outcomes.columns import survival_columns
from tme.outcomes.kaplan_meier import survival_rows
from tme.outcomes.types import Outcome, Subject, Variable

METRIC = next(column for column in metric_columns() if column.name == "til_density_per_mm2")


def subject(name: str, days: float, event: bool, call: str = "increase", entry: int | None = 10) -> Subject:
    outcome = Outcome(name, pfs_days=days, pfs_event=event)
    return Subject(name, 1.0, "", 1.0, 2.0, entry, outcome, call)


def variable(*subjects: Subject, declared: bool = True) -> Variable:
    return Variable("CD8", "evaluable", METRIC, "log2fc", subjects, declared)


def curve(*subjects: Subject) -> list[tuple[float, int, int, int, float]]:
    rows = [row for row in survival_rows([variable(*subjects)]) if row["group"] == "all"]
    return [
        (row["day"], row["n_at_risk"], row["n_events"], row["n_censored"], row["survival"]) for row in rows
    ]


def test_by_hand() -> None:
    patients = [
        subject("a", 30, True),
        subject("b", 40, False),
        subject("c", 60, True),
        subject("d", 60, False),
    ]
    assert curve(*patients) == [
        (0.0, 4, 0, 0, 1.0),
        (20.0, 4, 1, 0, 0.75),
        (30.0, 3, 0, 1, 0.75),
        (50.0, 2, 1, 1, 0.375),
    ]


def test_groups_are_what_was_called() -> None:
    calls = ("increase", "within_noise", "decrease")
    rows = survival_rows([variable(*(subject(call, 30, True, call) for call in calls))])
    assert list(dict.fromkeys(row["group"] for row in rows)) == ["all", *calls]
    assert set(rows[0]) <= set(survival_columns())
    assert {row["n_at_risk"] for row in rows if row["group"] != "all"} == {1}


def test_who_was_not_followed_beyond_the_biopsy_is_in_no_curve() -> None:
    assert curve(subject("a", 10, True), subject("b", 5, False), subject("c", 40, True, entry=None)) == []
    # A biopsy on treatment before treatment is a date gone wrong: whoever it belongs to is not followed.
    assert curve(subject("a", 30, True, entry=-5)) == []
    assert curve(subject("a", 30, True, entry=0))[-1][0] == 30


@pytest.mark.parametrize("event", [True, False])
def test_no_interval_where_there_is_no_variance(event: bool) -> None:
    rows = survival_rows([variable(subject("a", 30, event))])
    assert rows
    assert all(row["ci_low"] is None and row["ci_high"] is None for row in rows)


def test_metrics_outside_the_family_have_no_curve() -> None:
    assert survival_rows([variable(subject("a", 30, True), declared=False)]) == []
