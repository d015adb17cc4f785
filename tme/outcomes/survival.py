"""Survival by the change, without immortal time: a patient is at risk from the on-treatment biopsy on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError
from numpy.typing import NDArray
from scipy import stats

from tme.outcomes.types import LEVEL, Numbers, Result

COX = "Cox regression from first dose, delayed entry at the on-treatment biopsy, Efron's ties; Wald"
MOST_LOG = 700.0


@dataclass(frozen=True)
class AtRisk:
    """Follow-up of those who were still at risk at their biopsy.

    Attributes
    ----------
    entry, time : (N,) float
        Days from first dose: the biopsy, and the event or the last day known; entry < time.
    event : (N,) bool
    """

    entry: Numbers
    time: Numbers
    event: NDArray[np.bool_]


def cox(at_risk: AtRisk, change: Numbers, covariates: Numbers | None = None, per: str = "") -> Result:
    """Hazard by the change known at the biopsy.

    Parameters
    ----------
    at_risk : AtRisk
        N patients.
    change : (N,) float
        In units of which one step is reported.
    covariates : (N, K) float, optional
    per : str
        The step, for the name of the effect.

    Returns
    -------
    Result
        ``estimate`` is the hazard ratio per step. Time before the biopsy is not counted, as whoever has a
        biopsy was alive and under observation until it (Anderson 1983, J Clin Oncol 1:710; Dafni 2011,
        Circ Cardiovasc Qual Outcomes 4:363).
    """
    events = int(at_risk.event.sum())
    effect = f"hazard ratio per {per}" if per else "hazard ratio"
    empty = Result(method=COX, effect=effect, n_events=events)
    reason = _without_estimate(at_risk, change)
    if reason:
        return replace(empty, reason=reason)
    table = pd.DataFrame({"entry": at_risk.entry, "time": at_risk.time, "event": at_risk.event})
    table["change"] = change
    for index in range(0 if covariates is None else covariates.shape[1]):
        table[f"covariate_{index}"] = covariates[:, index]  # type: ignore[index]
    try:
        with warnings.catch_warnings():
            # Whether it converged is seen by the numbers; the separation lifelines warns of was looked for.
            warnings.simplefilter("ignore")
            model = CoxPHFitter().fit(
                table, "time", "event", entry_col="entry", fit_options={"precision": 1e-14}
            )
    except (ConvergenceError, np.linalg.LinAlgError, ValueError):
        return replace(empty, reason="the fit found no solution")
    log_ratio, error = float(model.params_["change"]), float(model.standard_errors_["change"])
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) * error
    logs = [log_ratio, log_ratio - reach, log_ratio + reach]
    if not np.isfinite(logs).all() or max(map(abs, logs)) > MOST_LOG:
        return replace(empty, reason="the fit found no solution")
    return replace(
        empty,
        estimate=math.exp(logs[0]),
        ci_low=math.exp(logs[1]),
        ci_high=math.exp(logs[2]),
        statistic=log_ratio / error,
        p=float(2 * stats.norm.sf(abs(log_ratio) / error)),
        p_smallest=smallest_by_order(at_risk),
    ).honest()


def smallest_by_order(at_risk: AtRisk) -> float:
    """The smallest two-sided p of an exact test on who, of those at risk, had each event."""
    ways = 0.0
    for day in np.unique(at_risk.time[at_risk.event]):
        there, failed = _sets(at_risk, day)
        n, d = int(there.sum()), int(failed.sum())
        ways += math.lgamma(n + 1) - math.lgamma(d + 1) - math.lgamma(n - d + 1)
    return min(1.0, 2 * math.exp(-ways))


def _without_estimate(at_risk: AtRisk, change: Numbers) -> str:
    """Why there is no finite hazard ratio, or "": found by looking at who failed first.

    Where at every event those who failed have the highest values of all at risk (or the lowest), the
    likelihood rises without end (Bryson and Johnson 1981, Technometrics 23:381).
    """
    if not at_risk.event.any():
        return "no event after the biopsy"
    if len(change) == 1:
        return "a single patient"
    if np.ptp(change) == 0:
        return "all changes are the same"
    highest = lowest = True
    for day in np.unique(at_risk.time[at_risk.event]):
        there, failed = _sets(at_risk, day)
        others = change[there & ~failed]
        if len(others):
            highest &= bool(change[failed].min() >= others.max())
            lowest &= bool(change[failed].max() <= others.min())
    if highest and lowest:
        return "at no event was another patient with another change at risk"
    if highest or lowest:
        return f"separation: at every event the {'highest' if highest else 'lowest'} change at risk failed"
    return ""


def _sets(at_risk: AtRisk, day: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(at risk, failed) on a day."""
    there = (at_risk.entry < day) & (at_risk.time >= day)
    return there, there & at_risk.event & (at_risk.time == day)
