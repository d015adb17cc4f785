"""How well the change tells responders from the others: AUROC with an interval for few patients."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from tme.outcomes.types import LEVEL, Numbers, Result

METHOD = "AUROC with Newcombe's interval (method 5)"
AT_END = 1e-12


def auroc(first: Numbers, second: Numbers) -> Result:
    """Area under the ROC curve.

    Parameters
    ----------
    first, second : (N,), (M,) float
        Responders and the others; at least one each.

    Returns
    -------
    Result
        ``estimate`` is the chance that a responder's change is the higher one, ties counting half. It
        has no p of its own: Mann-Whitney's is that of AUROC = .5.
    """
    higher = np.greater.outer(first, second).mean()
    ties = np.equal.outer(first, second).mean()
    area = float(higher + ties / 2)
    low, high = newcombe_interval(area, len(first), len(second))
    return Result(method=METHOD, estimate=area, ci_low=low, ci_high=high, note="p: that of Mann-Whitney")


def newcombe_interval(area: float, n: int, m: int) -> tuple[float, float]:
    """95 % interval of an AUROC from n and m patients, within 0 and 1.

    Method 5 of Newcombe 2006, Stat Med 25:559: the areas that lie z standard errors from the one found,
    with the error of Hanley and McNeil at the area tried and both groups as large as their mean. Keeps
    its coverage at 6 against 18 and at an area of 0 or 1, where that of DeLong has no width.
    """
    z = float(stats.norm.ppf(1 - LEVEL / 2))
    half = (n + m) / 2 - 1

    def beyond(tried: float) -> float:
        spread = 1 + half * ((1 - tried) / (2 - tried) + tried / (1 + tried))
        return abs(area - tried) - z * math.sqrt(max(0.0, tried * (1 - tried) * spread) / (n * m))

    # At 0 and 1 the error vanishes, so that an area found there would look like an end of its own interval.
    inside = min(max(area, AT_END), 1 - AT_END)
    low = 0.0 if area == 0 else float(optimize.brentq(beyond, 0.0, inside))
    high = 1.0 if area == 1 else float(optimize.brentq(beyond, inside, 1.0))
    return low, high
