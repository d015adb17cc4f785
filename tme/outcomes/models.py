"""Regression models for few patients: Firth's logistic regression and the analysis of covariance."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import scipy.linalg
import statsmodels.api as sm
from firthmodels import FirthLogisticRegression
from numpy.typing import NDArray

from tme.outcomes.types import LEVEL, Numbers, Result

FIRTH = "Firth's penalised logistic regression, profile-likelihood interval, penalised likelihood-ratio p"
ANCOVA = "least squares of log2 post on log2 pre and response; Student's t"
PRECISION = 1e-6
ITERATIONS = 100
# exp(700) is about the largest number there is.
MOST_LOG = 700.0


def firth(
    change: Numbers, responder: NDArray[np.bool_], covariates: Numbers | None = None, per: str = ""
) -> Result:
    """Odds of response by the change.

    Parameters
    ----------
    change : (N,) float
        In units of which one step is reported: doublings, or standard deviations.
    responder : (N,) bool
        Both kinds are there.
    covariates : (N, K) float, optional
        What else the model holds.
    per : str
        The step, for the name of the effect.

    Returns
    -------
    Result
        ``estimate`` is the odds ratio per step. Finite where the groups part completely too (Firth 1993,
        Biometrika 80:27; Heinze and Schemper 2002, Stat Med 21:2409).
    """
    effect = f"odds ratio per {per}" if per else "odds ratio"
    empty = Result(method=FIRTH, effect=effect)
    columns = change[:, None] if covariates is None else np.column_stack([change, covariates])
    if _lacks_rank(columns):
        return _because(empty, "the model's terms cannot be told apart with these patients")
    model = FirthLogisticRegression(backend="numpy", max_iter=ITERATIONS, gtol=PRECISION, xtol=PRECISION)
    # Centred and scaled, which changes nothing but the speed: uncentred, Newton's steps may not end.
    spread = columns.std(axis=0)
    scaled = (columns - columns.mean(axis=0)) / spread
    try:
        with warnings.catch_warnings():
            # Whether it converged is asked below; a warning would say it twice.
            warnings.simplefilter("ignore")
            model.fit(scaled, responder.astype(int)).lrt(0)
            low, high = model.conf_int(method="pl", features=0, max_iter=ITERATIONS, tol=PRECISION)[0]
    except (scipy.linalg.LinAlgError, ValueError):
        return _because(empty, "the fit found no solution")
    logs = np.array([model.coef_[0], low, high]) / spread[0]
    p = float(model.lrt_pvalues_[0])
    if not (model.converged_ and np.isfinite([*logs, p]).all() and logs[1] <= logs[0] <= logs[2]):
        return _because(empty, "the fit found no solution")
    if np.abs(logs).max() > MOST_LOG:
        return _because(empty, "the odds ratio is too large for a number")
    estimate, ci_low, ci_high = (float(value) for value in np.exp(logs))
    return Result(
        method=FIRTH,
        effect=effect,
        estimate=estimate,
        ci_low=ci_low,
        ci_high=ci_high,
        p=p,
        p_smallest=smallest_by_groups(responder),
    ).honest()


def ancova(pre: Numbers, post: Numbers, responder: NDArray[np.bool_]) -> Result:
    """Responders against the others after treatment, at equal values before it.

    Parameters
    ----------
    pre, post : (N,) float
        log2 values.
    responder : (N,) bool
        Both kinds are there.

    Returns
    -------
    Result
        ``estimate`` is the difference on the log2 scale. Regression to the mean does not enter it
        (Vickers and Altman 2001, BMJ 323:1123).
    """
    empty = Result(method=ANCOVA)
    terms = np.column_stack([responder.astype(float), pre])
    if len(pre) < 4:
        return _because(empty, "fewer than 4 patients")
    if _lacks_rank(terms):
        return _because(empty, "all values before treatment are the same, or go with the groups")
    fit: Any = sm.OLS(post, sm.add_constant(terms)).fit()
    # Residuals that are rounding alone carry no error to judge by.
    if fit.ssr <= 1e-18 * max(1.0, float(fit.uncentered_tss)):
        return _because(empty, "the values after treatment follow from those before without error")
    low, high = fit.conf_int(LEVEL)[1]
    return Result(
        method=ANCOVA,
        estimate=float(fit.params[1]),
        ci_low=float(low),
        ci_high=float(high),
        statistic=float(fit.tvalues[1]),
        p=float(fit.pvalues[1]),
        p_smallest=smallest_by_groups(responder),
    ).honest()


def smallest_by_groups(responder: NDArray[np.bool_]) -> float:
    """The smallest two-sided p of a test that exchanges patients between groups of these sizes.

    A model's p may look smaller; with so few patients it rests on the model's form alone.
    """
    return min(1.0, 2 / math.comb(len(responder), int(responder.sum())))


def _lacks_rank(terms: Numbers) -> bool:
    """Whether a column, with the intercept, says nothing of its own."""
    spread = np.ptp(terms, axis=0)
    if (spread == 0).any():
        return True
    scaled = (terms - terms.mean(axis=0)) / spread
    rank = np.linalg.matrix_rank(np.column_stack([np.ones(len(terms)), scaled]))
    return bool(rank < terms.shape[1] + 1)


def _because(empty: Result, reason: str) -> Result:
    return Result(method=empty.method, effect=empty.effect, reason=reason)
