"""Firth, ANCOVA and Cox against closed forms, other algorithms and another library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.duration.hazard_regression import PHReg

from tme.outcomes.models import ancova, firth
from tme.outcomes.survival import AtRisk, cox, smallest_by_order
from tme.testing.bench_survival import PATIENTS, compare, from_first_dose, summary, treated_cohort

pytestmark = pytest.mark.filterwarnings("error")


def penalised(slope: float, intercept: float, x: np.ndarray, y: np.ndarray) -> float:
    """log-likelihood plus half the log-determinant of the information."""
    line = intercept + slope * x
    p = 1 / (1 + np.exp(-line))
    design = np.column_stack([np.ones_like(x), x])
    information = design.T @ (design * (p * (1 - p))[:, None])
    return float((y * line - np.logaddexp(0, line)).sum() + 0.5 * np.linalg.slogdet(information)[1])


def profile(slope: float, x: np.ndarray, y: np.ndarray) -> float:
    best = optimize.minimize_scalar(
        lambda intercept: -penalised(slope, intercept, x, y), bounds=(-30, 30), method="bounded",
        options={"xatol": 1e-11},
    )  # fmt: skip
    return -float(best.fun)


@pytest.mark.parametrize("seed", range(4))
def test_firth_is_the_top_of_the_penalised_likelihood_found_otherwise(seed: int) -> None:
    generator = np.random.default_rng(seed)
    y = np.arange(24) < 6
    x = generator.normal(0, 1, 24) + y * generator.uniform(0, 1.5)
    found = firth(x, y)
    top = optimize.minimize_scalar(lambda slope: -profile(slope, x, y), bracket=(-1, 1), tol=1e-10)
    assert np.log(found.estimate) == pytest.approx(top.x, abs=1e-5)
    ratio = 2 * (-top.fun - profile(0.0, x, y))
    assert found.p == pytest.approx(stats.chi2.sf(ratio, 1), abs=1e-5)
    for end in (found.ci_low, found.ci_high):
        drop = 2 * (-top.fun - profile(np.log(end), x, y))
        assert drop == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


def test_firth_of_two_by_two_adds_a_half_to_each_cell() -> None:
    x = np.repeat([0.0, 1.0], [9, 8])
    y = np.concatenate([np.arange(9) < 2, np.arange(8) < 5])
    assert firth(x, y).estimate == pytest.approx((5.5 / 3.5) / (2.5 / 7.5), rel=1e-6)


def test_firth_stays_finite_where_the_groups_part() -> None:
    x = np.arange(12.0)
    found = firth(x, x >= 6)
    assert found.estimate > 1
    assert np.isfinite([found.ci_low, found.ci_high]).all()
    assert found.ci_low > 1


def test_firth_says_why_it_has_no_answer() -> None:
    y = np.arange(8) < 4
    assert "cannot be told apart" in firth(np.ones(8), y).reason
    assert "cannot be told apart" in firth(np.arange(8.0), y, np.arange(8.0)[:, None] * 2 + 1).reason
    assert firth(np.array([1.0, 2.0]), np.array([True, False])).p is None


def test_firth_with_a_covariate_gives_the_odds_ratio_of_the_change() -> None:
    generator = np.random.default_rng(8)
    y = np.arange(60) < 25
    x, age = generator.normal(0, 1, 60) + y, generator.normal(60, 9, 60)
    alone, adjusted = firth(x, y, per="doubling"), firth(x, y, age[:, None], "doubling")
    assert adjusted.estimate != alone.estimate
    assert adjusted.estimate == pytest.approx(alone.estimate, rel=0.4)
    assert adjusted.effect == "odds ratio per doubling"


def test_ancova_is_least_squares() -> None:
    generator = np.random.default_rng(2)
    responder = np.arange(24) < 6
    pre = generator.normal(7, 1, 24)
    post = 2 + 0.6 * pre + 0.9 * responder + generator.normal(0, 0.5, 24)
    design = np.column_stack([np.ones(24), responder, pre])
    slopes, squares, *_ = np.linalg.lstsq(design, post, rcond=None)
    error = np.sqrt(squares[0] / 21 * np.linalg.inv(design.T @ design)[1, 1])
    found = ancova(pre, post, responder)
    assert found.estimate == pytest.approx(slopes[1])
    assert found.p == pytest.approx(2 * stats.t.sf(abs(slopes[1] / error), 21))
    assert found.ci_high - found.estimate == pytest.approx(stats.t.ppf(0.975, 21) * error)


def test_ancova_does_not_take_regression_to_the_mean_for_an_effect() -> None:
    """Groups that differ before and not after: the change differs, ANCOVA's estimate does not."""
    generator = np.random.default_rng(4)
    estimates, shifts = [], []
    for _ in range(200):
        true = generator.normal(7, 1, 60)
        pre, post = true + generator.normal(0, 0.7, 60), true + generator.normal(0, 0.7, 60)
        low = pre < np.median(pre)
        estimates.append(ancova(pre, post, low).estimate)
        shifts.append(np.mean((post - pre)[low]) - np.mean((post - pre)[~low]))
    assert abs(np.mean(estimates)) < 0.05
    assert np.mean(shifts) > 0.3


def test_ancova_says_why_it_has_no_answer() -> None:
    responder = np.array([True, False, True, False, True])
    line = np.arange(5.0)
    assert "fewer than 4" in ancova(line[:3], line[:3], responder[:3]).reason
    assert "all values before" in ancova(np.ones(5), line, responder).reason
    assert "all values before" in ancova(responder * 1.0, line, responder).reason
    assert "without error" in ancova(line, 2 * line, responder).reason


def cohort(seed: int, n: int = 40) -> tuple[AtRisk, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(0, 1, n)
    entry = np.round(generator.uniform(20, 60, n))
    time = entry + np.ceil(generator.exponential(200 * np.exp(-0.5 * x)))
    last = entry + np.ceil(generator.uniform(50, 400, n))
    return AtRisk(entry, np.minimum(time, last), time <= last), x


def otherwise(at_risk: AtRisk, x: np.ndarray) -> Any:
    """statsmodels' fit; it has patients at risk on the day of entry already, so that comes a moment later."""
    return PHReg(at_risk.time, x, status=at_risk.event, entry=at_risk.entry + 1e-6, ties="efron").fit(
        disp=False
    )


@pytest.mark.parametrize("seed", range(4))
def test_cox_is_that_of_another_library(seed: int) -> None:
    at_risk, x = cohort(seed)
    # Days in tens make ties.
    at_risk = AtRisk(at_risk.entry, np.ceil(at_risk.time / 10) * 10 + 1, at_risk.event)
    found = cox(at_risk, x)
    other = otherwise(at_risk, x)
    assert np.log(found.estimate) == pytest.approx(other.params[0], abs=1e-6)
    assert found.p == pytest.approx(other.pvalues[0], abs=1e-6)
    assert np.log([found.ci_low, found.ci_high]) == pytest.approx(other.conf_int()[0], abs=1e-6)
    assert found.n_events == at_risk.event.sum()


def test_cox_with_a_covariate() -> None:
    at_risk, x = cohort(9, 80)
    age = np.random.default_rng(1).normal(60, 9, 80)
    found = cox(at_risk, x, age[:, None], "doubling")
    other = otherwise(at_risk, np.column_stack([x, age]))
    assert np.log(found.estimate) == pytest.approx(other.params[0], abs=1e-6)
    assert found.effect == "hazard ratio per doubling"


def test_cox_says_why_it_has_no_answer() -> None:
    entry, time, x = np.zeros(6), np.arange(10.0, 16.0), np.arange(6.0)
    seen = np.ones(6, bool)
    assert cox(AtRisk(entry, time, ~seen), x).reason == "no event after the biopsy"
    assert cox(AtRisk(entry, time, seen), np.ones(6)).reason == "all changes are the same"
    single = AtRisk(entry[:1], time[:1], seen[:1])
    assert cox(single, x[:1]).reason == "a single patient"
    assert "the lowest change at risk failed" in cox(AtRisk(entry, time, seen), x).reason
    assert "the highest change at risk failed" in cox(AtRisk(entry, time, seen), -x).reason
    alone = AtRisk(np.array([0.0, 30.0]), np.array([20.0, 40.0]), np.array([True, True]))
    assert "at no event" in cox(alone, np.array([1.0, 2.0])).reason


def test_the_smallest_p_counts_who_could_have_failed() -> None:
    at_risk = AtRisk(np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True]))
    # 4, then 3, then 1 at risk.
    assert smallest_by_order(at_risk) == pytest.approx(2 / 12)
    assert cox(at_risk, np.array([1.0, -1.0, 2.0, 0.0])).p is None


@pytest.mark.slow
def test_delayed_entry_takes_immortal_time_away() -> None:
    """The first of the 500 cohorts; `python -m tme.testing.bench_survival` runs them all."""
    truth = -0.4
    naive, delayed = compare(30, truth)
    assert naive.mean < truth - 0.1
    assert abs(delayed.mean - truth) < 0.05
    assert naive.coverage < 0.85 < delayed.coverage


def test_the_simulation_biopsies_responders_later_and_keeps_who_lives_to_it() -> None:
    at_risk, change = treated_cohort(3, -0.4)
    assert 100 < len(change) < PATIENTS
    assert (at_risk.time > at_risk.entry).all()
    assert at_risk.entry[change > 1.5].mean() > at_risk.entry[change < -0.5].mean() + 60
    assert not from_first_dose(at_risk).entry.any()
    with pytest.raises(ValueError, match="no event after the biopsy"):
        summary([cox(AtRisk(at_risk.entry, at_risk.time, np.zeros(len(change), bool)), change)], -0.4)
