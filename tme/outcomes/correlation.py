"""Does the change go with the tumour's best change in size: Spearman's rank correlation."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import permutations

import numpy as np
from scipy import stats

from tme.outcomes.ranks import TOO_FEW, Whole, doubled_ranks
from tme.outcomes.types import LEVEL, Numbers, Result

EXACT_UP_TO = 8
EXACT = "Spearman on mid-ranks, p from all permutations"
APPROXIMATE = "Spearman on mid-ranks, p by Student's t"


def spearman(x: Numbers, y: Numbers) -> Result:
    """Rank correlation of two numbers a patient.

    Parameters
    ----------
    x, y : (N,) float
        At least three: two patients are always in perfect order.

    Returns
    -------
    Result
        The interval is Fisher's with the standard error of Bonett and Wright 2000, Psychometrika 65:23.
    """
    n = len(x)
    exact = n <= EXACT_UP_TO
    method = EXACT if exact else APPROXIMATE
    first, second = doubled_ranks(x), doubled_ranks(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Result(method=method, reason="all values are the same")
    rho = float(np.corrcoef(first, second)[0, 1])
    # A perfect order is 1, not nearly 1.
    rho = float(np.sign(rho)) if abs(rho) > 1 - 1e-12 else rho
    p, smallest = _exact(first, second) if exact else (_by_t(rho, n), 2 / math.factorial(min(n, 100)))
    low, high, reason = _interval(rho, n)
    return Result(
        method=method,
        estimate=rho,
        ci_low=low,
        ci_high=high,
        statistic=rho,
        p=p,
        p_smallest=smallest,
        reason=reason,
    ).honest()


def _exact(first: Whole, second: Whole) -> tuple[float, float]:
    """(p, smallest attainable p) over every order of the second ranks."""
    n = len(first)
    sums = second[_orders(n)] @ first
    distance = np.abs(n * sums - int(first.sum()) * int(second.sum()))
    observed = abs(n * int(first @ second) - int(first.sum()) * int(second.sum()))
    return float((distance >= observed).mean()), float((distance == distance.max()).mean())


@lru_cache(maxsize=EXACT_UP_TO)
def _orders(n: int) -> Whole:
    return np.array(list(permutations(range(n))), dtype=np.int64)


def _by_t(rho: float, n: int) -> float:
    least = 2 / math.factorial(min(n, 100))
    if abs(rho) == 1:
        return least
    return max(least, 2 * stats.t.sf(abs(rho) * math.sqrt((n - 2) / (1 - rho**2)), n - 2))


def _interval(rho: float, n: int) -> tuple[float | None, float | None, str]:
    if n < 4:
        return None, None, TOO_FEW
    if abs(rho) == 1:
        return None, None, "no interval at a correlation of 1 or -1"
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(rho)
    return math.tanh(centre - reach), math.tanh(centre + reach), ""
