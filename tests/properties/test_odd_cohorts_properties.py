"""Whatever few patients bring, every row of the outcome tests has numbers that hold together, or a reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme.config import OutcomeSettings
from tme.metrics.family import metric_columns
from tme.outcomes.associate import OutcomeRow, associate
from tme.outcomes.types import DELTA_ABS, LOG2FC, NO_PAIR, NOT_JUDGED, RESPONSES, Outcome, Subject, Variable

pytestmark = pytest.mark.filterwarnings("error")

METRICS = {column.name: column for column in metric_columns()}
# Few values, so that ties, equal groups and separation are common; some so large or near that fits break.
CHANGES = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 0.5 + 1e-9, 1e-12, -3.25, 40.0, 1e6])
LOGS = st.none() | st.sampled_from([-1.0, 0.0, 0.0, 3.5, 7.0])
AGES = st.sampled_from(["", "50", "50", "61", "oldest"])
DAYS = st.sampled_from([0.0, 1.0, 30.0, 42.0, 42.0, 43.0, 90.5, 400.0])


@st.composite
def subjects(draw: st.DrawFn, index: int) -> Subject:
    name = f"P{index}"
    entry = draw(st.none() | st.sampled_from([-10, 0, 30, 42, 42, 60]))
    outcome = draw(st.none() | outcomes(name)) if draw(st.integers(0, 9)) == 0 else draw(outcomes(name))
    if draw(st.integers(0, 9)) == 0:
        return Subject(
            name, None, draw(st.sampled_from([NO_PAIR, NOT_JUDGED])), entry_day=entry, outcome=outcome
        )
    return Subject(name, draw(CHANGES), "", draw(LOGS), draw(LOGS), entry, outcome)


@st.composite
def outcomes(draw: st.DrawFn, name: str) -> Outcome:
    pfs, os = (draw(st.none() | DAYS) for _ in range(2))
    return Outcome(
        name,
        draw(st.sampled_from(("", *RESPONSES))),
        draw(st.none() | st.sampled_from([-100.0, -30.0, 0.0, 0.0, 12.5])),
        pfs,
        None if pfs is None else draw(st.booleans()),
        os,
        None if os is None else draw(st.booleans()),
        extra={"histology": draw(st.sampled_from(["", "LMS", "liposarcoma"])), "age": draw(AGES)},
    )


COHORTS = st.integers(0, 9).flatmap(lambda n: st.tuples(*(subjects(index) for index in range(n))))


def is_sound(row: OutcomeRow) -> None:
    numbers = [row.estimate, row.ci_low, row.ci_high, row.statistic, row.p, row.p_smallest, row.p_adjusted]
    assert all(number is None or math.isfinite(number) for number in numbers), row
    if row.estimate is None:
        assert row.reason, row
        assert row.p is None, row
    if row.p is None:
        assert row.reason or row.test == "auroc", row
    else:
        assert 0 <= row.p <= 1, row
        assert row.p_smallest is not None, row
        assert row.p_smallest <= 0.05, row
        assert row.p_adjusted is None or row.p <= row.p_adjusted <= 1, row
    if row.ci_low is not None and row.ci_high is not None and row.estimate is not None:
        assert row.ci_low <= row.estimate <= row.ci_high, row
    elif row.estimate is not None:
        assert row.reason, row
    assert "normalis" not in row.reason + row.note


@given(COHORTS, st.sampled_from([LOG2FC, DELTA_ABS]), st.booleans())
def test_every_row_has_numbers_that_hold_together_or_a_reason(
    cohort: tuple[Subject, ...], measure: str, adjusts: bool
) -> None:
    metric = METRICS["til_density_per_mm2" if measure == LOG2FC else "til_fraction_pct"]
    variable = Variable("CD8", "evaluable", metric, measure, cohort, declared=True)
    covariates = ("age", "histology") if adjusts else ()
    rows = associate([variable], OutcomeSettings(covariates=covariates))
    assert {row.test for row in rows} >= {"wilcoxon", "mann_whitney", "auroc", "firth_logistic", "cox_os"}
    for row in rows:
        is_sound(row)
        if row.subset == "all":
            assert row.n + row.n_left_out == len(cohort)
