"""Exact rank tests for few patients: Mann-Whitney, and Wilcoxon's signed ranks with Pratt's zeros.

In: one number a patient. Out: a `Result`. Ties are met by mid-ranks, whose null distribution is counted
out (the shift algorithm of Streitberg and Röhmel 1986, Stat Softw Newsl 12:10), never approximated by
that without ties. Mid-ranks are doubled, so that all sums are whole numbers and equal means equal.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tme.outcomes.types import LEVEL, Numbers, Result

Whole = NDArray[np.int64]

# Cells of the counting table up to which it is counted out: about 90 patients against 90.
MOST_CELLS = 200_000_000
TOO_FEW = "too few patients for a 95 % interval"
MANN_WHITNEY = "exact permutation Mann-Whitney on mid-ranks; Hodges-Lehmann shift, interval by inversion"
MANN_WHITNEY_LARGE = "Mann-Whitney by the normal approximation with ties; Hodges-Lehmann shift"
WILCOXON = "exact Wilcoxon signed-rank, zeros by Pratt; Hodges-Lehmann centre, interval by inversion"


def doubled_ranks(values: Numbers) -> Whole:
    """Twice the mid-rank of each of (N,) values, whole numbers."""
    return np.rint(2 * stats.rankdata(values)).astype(np.int64)


def subset_sums(scores: Whole, size: int) -> Numbers:
    """Null distribution of a rank sum.

    Parameters
    ----------
    scores : (N,) int
        Not negative.
    size : int
        How many are drawn without replacement.

    Returns
    -------
    (S,) float
        Probability of each sum 0 … S - 1.
    """
    top = int(np.sort(scores)[len(scores) - size :].sum())
    ways = np.zeros((size + 1, top + 1))
    ways[0, 0] = 1.0
    for score in scores:
        ways[1:, score:] += ways[:-1, : top + 1 - score]
    return ways[size] / ways[size].sum()


def sign_sums(scores: Whole) -> Numbers:
    """Probability of each sum of the scores whose fair coin shows heads; (N,) int -> (S,) float."""
    chances = np.zeros(int(scores.sum()) + 1)
    chances[0] = 1.0
    for score in scores:
        chances[score:] = chances[score:] + chances[: len(chances) - score]
        chances /= 2
    return chances


def two_sided(chances: Numbers, observed: int, centre: tuple[int, int]) -> tuple[float, float]:
    """(p, smallest attainable p): as far from the expectation or farther, on either side.

    Parameters
    ----------
    chances : (S,) float
        Probability of each whole sum.
    observed : int
    centre : (int, int)
        Expectation as a fraction, so that distances compare exactly.
    """
    numerator, denominator = centre
    distance = np.abs(np.arange(len(chances)) * denominator - numerator)
    possible = distance[chances > 0]
    p = float(chances[distance >= abs(observed * denominator - numerator)].sum())
    return min(1.0, p), min(1.0, float(chances[distance >= possible.max()].sum()))


def mann_whitney(first: Numbers, second: Numbers) -> Result:
    """Two groups compared.

    Parameters
    ----------
    first, second : (N,), (M,) float
        Responders and the others; at least one each.

    Returns
    -------
    Result
        ``estimate`` is the median of all differences first - second with its interval; ``statistic`` is
        U of ``first``.
    """
    both = np.concatenate([first, second])
    smaller = min(len(first), len(second))
    ranks = doubled_ranks(both)
    u = (int(ranks[: len(first)].sum()) - len(first) * (len(first) + 1)) / 2
    shift, low, high = hodges_lehmann_shift(first, second)
    if len(both) * smaller * int(ranks.sum()) > MOST_CELLS:
        method = MANN_WHITNEY_LARGE
        p = float(stats.mannwhitneyu(first, second, method="asymptotic").pvalue)
        smallest = 2 / math.comb(len(both), smaller)
    else:
        method = MANN_WHITNEY
        part = ranks[: len(first)] if len(first) == smaller else ranks[len(first) :]
        centre = (smaller * int(ranks.sum()), len(both))
        p, smallest = two_sided(subset_sums(ranks, smaller), int(part.sum()), centre)
    return Result(
        method=method,
        estimate=shift,
        ci_low=low,
        ci_high=high,
        statistic=u,
        p=p,
        p_smallest=smallest,
        reason=TOO_FEW if low is None else "",
    ).honest()


def hodges_lehmann_shift(first: Numbers, second: Numbers) -> tuple[float, float | None, float | None]:
    """Median of all differences, and the ordered differences that bound its 95 % interval.

    Hodges and Lehmann 1963, Ann Math Stat 34:598; interval: Hollander, Wolfe and Chicken 2014, 4.3. Ties
    make it wider than 95 % asks for, never narrower.
    """
    n, m = len(first), len(second)
    differences = np.sort(np.subtract.outer(first, second).ravel())
    smaller = min(n, m)
    if (n + m) ** 2 * smaller * (n + m) > MOST_CELLS:
        k = int(n * m / 2 - stats.norm.ppf(1 - LEVEL / 2) * math.sqrt(n * m * (n + m + 1) / 12))
    else:
        chances = subset_sums(np.arange(1, n + m + 1), smaller)
        k = _cut(chances[smaller * (smaller + 1) // 2 :])
    return float(np.median(differences)), *_ends(differences, k)


def wilcoxon(differences: Numbers) -> Result:
    """One group against no change.

    Parameters
    ----------
    differences : (N,) float
        At least one. Zeros keep their ranks and lose their sign (Pratt 1959, JASA 54:655).

    Returns
    -------
    Result
        ``estimate`` is the median of all pairwise means with its interval; ``statistic`` is the sum of
        the ranks of rises.
    """
    ranks = doubled_ranks(np.abs(differences))
    moved = ranks[differences != 0]
    if not len(moved):
        return Result(method=WILCOXON, estimate=0.0, reason="no patient changed")
    centre, low, high = walsh_interval(differences)
    rises = int(ranks[differences > 0].sum())
    p, smallest = two_sided(sign_sums(moved), rises, (int(moved.sum()), 2))
    return Result(
        method=WILCOXON,
        estimate=centre,
        ci_low=low,
        ci_high=high,
        statistic=rises / 2,
        p=p,
        p_smallest=smallest,
        reason=TOO_FEW if low is None else "",
    ).honest()


def walsh_interval(differences: Numbers) -> tuple[float, float | None, float | None]:
    """Median of all pairwise means (each value with itself too), and its 95 % interval.

    Hodges and Lehmann 1963; interval: Hollander, Wolfe and Chicken 2014, 3.3.
    """
    n = len(differences)
    rows, columns = np.triu_indices(n)
    averages = np.sort((differences[rows] + differences[columns]) / 2)
    k = _cut(sign_sums(np.arange(1, n + 1)))
    return float(np.median(averages)), *_ends(averages, k)


def _cut(chances: Numbers) -> int:
    """How many of the ordered values may be left out on either side for 95 %; 0 if none."""
    # A sum that is .025 but for rounding is .025.
    return int(np.searchsorted(np.cumsum(chances), LEVEL / 2 + 1e-12, side="right"))


def _ends(ordered: Numbers, k: int) -> tuple[float | None, float | None]:
    return (float(ordered[k - 1]), float(ordered[-k])) if k > 0 else (None, None)
