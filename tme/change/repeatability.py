"""Repeats of lesions -> between-repeat SD and repeatability coefficient, counting error taken off.

The repeats of a lesion scatter with variance s_b² + v, v being each one's own counting error. s_b² is where
Q(s²) = Σ (y − ȳ_w)²/(s² + v), ȳ_w the mean of the lesion weighted by 1/(s² + v), equals its degrees of
freedom (Paule and Mandel 1982, J Res Natl Bur Stand 87:377; with equal v this is the observed variance less
v), truncated at 0; its interval is where Q equals the quantiles of chi-square (Viechtbauer 2007, Stat Med
26:37). Coefficient and limits of agreement: Bland and Altman 1999, Stat Methods Med Res 8:135.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincinv

from tme.change.compare import CALLED_KINDS
from tme.change.repeats import KINDS, RESCAN, Repeat, Repeats, repeats
from tme.change.types import SlideResult
from tme.metrics.family import metric_columns
from tme.metrics.intervals import LEVEL, t_quantile
from tme.tables import significant

MIN_DEGREES = 10
"""Ten lesions measured twice: with fewer the interval reaches beyond 1.75 times the coefficient."""
COEFFICIENT = 1.96 * math.sqrt(2)
TINY = 1e-12
Lesions = Sequence[Sequence[Repeat]]


@dataclass(frozen=True)
class Agreement:
    """How far consecutive repeats lie apart, log2: Bland and Altman's numbers.

    Attributes
    ----------
    pairs : tuple of (mean, difference)
        log2 value and later less earlier, for each two consecutive repeats of a lesion.
    bias, bias_low, bias_high : float or None
        Mean difference and its 95 % interval.
    low, high : float or None
        95 % limits of agreement, counting error included.
    """

    pairs: tuple[tuple[float, float], ...]
    bias: float | None = None
    bias_low: float | None = None
    bias_high: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Coefficient:
    """Repeatability of one metric from one kind of repeat.

    Attributes
    ----------
    kind : {"block", "section", "rescan"}
    n_lesions, n_repeats, degrees, n_left_out : int
    observed_sd, counting_sd : float or None
        SD within lesions as found, and what counting makes of it, log2.
    s_b, s_b_low, s_b_high : float or None
        Between-repeat SD and its 95 % interval, log2.
    rc_log2, rc_low, rc_high : float or None
        1.96·√2 times these.
    agreement : Agreement
    used : bool
        Whether changes are called with it.
    reason : str
        Why there is no coefficient, or why it is not used.
    """

    stain: str
    metric: str
    kind: str
    n_lesions: int
    n_repeats: int
    degrees: int
    n_left_out: int
    agreement: Agreement
    observed_sd: float | None = None
    counting_sd: float | None = None
    s_b: float | None = None
    s_b_low: float | None = None
    s_b_high: float | None = None
    rc_log2: float | None = None
    rc_low: float | None = None
    rc_high: float | None = None
    used: bool = False
    reason: str = ""


def coefficients(slides: Sequence[SlideResult]) -> list[Coefficient]:
    """Every metric that is called, by stain and kind of repeat, where there is any repeat.

    Of several kinds of one metric the largest coefficient is used; re-scans alone never are.
    """
    found: list[Coefficient] = []
    for stain in sorted({slide.stain.name for slide in slides}):
        own = [slide for slide in slides if slide.stain.name == stain]
        for metric in metric_columns():
            if metric.kind not in CALLED_KINDS or not metric.applies(own[0].stain):
                continue
            of_metric = [coefficient(stain, metric.name, kind, repeats(own, metric, kind)) for kind in KINDS]
            found += _chosen([one for one in of_metric if one.n_lesions or one.n_left_out])
    return found


def coefficient(stain: str, metric: str, kind: str, found: Repeats) -> Coefficient:
    """The coefficient of one metric and kind, or the reason why there is none; not yet `used`."""
    lesions = found.lesions
    n_repeats = sum(len(lesion) for lesion in lesions)
    degrees = n_repeats - len(lesions)
    plain = Coefficient(
        stain, metric, kind, len(lesions), n_repeats, degrees, found.left_out, agreement(lesions)
    )
    if degrees:
        counting = math.fsum(one.variance for lesion in lesions for one in lesion) / n_repeats
        plain = replace(
            plain,
            observed_sd=significant(math.sqrt(_table(lesions).scatter / degrees)),
            counting_sd=significant(math.sqrt(counting)),
        )
    if degrees < MIN_DEGREES:
        few = f"{degrees} repeats beyond the first of each lesion, and {MIN_DEGREES} are needed"
        lost = f"; {found.left_out} cannot be judged" if found.left_out else ""
        return replace(plain, reason=few + lost)
    variance, low, high = between_variance(lesions)
    if high <= 0:
        return replace(plain, reason="repeats differ less than counting error alone lets them")
    numbers: dict[str, Any] = {
        "s_b": significant(math.sqrt(variance)),
        "s_b_low": significant(math.sqrt(low)),
        "s_b_high": significant(math.sqrt(high)),
    }
    rc: dict[str, Any] = {
        name: significant(COEFFICIENT * numbers[source])
        for name, source in (("rc_log2", "s_b"), ("rc_low", "s_b_low"), ("rc_high", "s_b_high"))
    }
    return replace(plain, **numbers, **rc)


def between_variance(lesions: Lesions) -> tuple[float, float, float]:
    """(s_b², lower, upper) with its 95 % interval, log2²; all 0 where repeats differ too little even for v.

    Parameters
    ----------
    lesions : sequence of sequences of Repeat
        At least one with two repeats.
    """
    degrees = sum(len(lesion) - 1 for lesion in lesions)
    # 2 gammaincinv(k/2, p) is the quantile of chi-squared; scipy.stats takes half a second to import.
    low, high = (2 * float(gammaincinv(degrees / 2, level)) for level in (1 - LEVEL, LEVEL))
    targets = (float(degrees), high, low)
    middle, low, high = map(_table(lesions).where_q_is, targets)
    return middle, low, high


def agreement(lesions: Lesions) -> Agreement:
    """Bland and Altman's bias and limits of agreement over consecutive repeats; with one pair, the pair."""
    pairs = tuple(
        (significant((one.value + other.value) / 2), significant(other.value - one.value))
        for lesion in lesions
        for one, other in pairwise(lesion)
    )
    if len(pairs) < 2:
        return Agreement(pairs)
    differences = np.array([difference for _, difference in pairs])
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    reach = t_quantile(len(pairs) - 1) * sd / math.sqrt(len(pairs))
    ends = (bias, bias - reach, bias + reach, bias - 1.96 * sd, bias + 1.96 * sd)
    return Agreement(pairs, *(significant(end) for end in ends))


@dataclass(frozen=True, eq=False)
class _Table:
    """Repeats of all lesions in a row: distance from the lesion's mean, v, and where lesions begin."""

    distance: NDArray[np.float64]
    variance: NDArray[np.float64]
    starts: NDArray[np.int64]

    @property
    def scatter(self) -> float:
        """Σ of squared distances."""
        return float((self.distance**2).sum())

    def q(self, between: float) -> float:
        """Q at a between-repeat variance."""
        weight = 1 / (max(between, TINY) + self.variance)
        sums = np.add.reduceat(np.stack([weight, weight * self.distance]), self.starts, axis=1)
        return float((weight * self.distance**2).sum() - (sums[1] ** 2 / sums[0]).sum())

    def where_q_is(self, target: float) -> float:
        """The variance at which Q, which falls as it grows, is ``target``; 0 where Q is less at 0."""
        if self.q(0.0) <= target:
            return 0.0
        high = 1.0
        while self.q(high) > target:
            high *= 4
        return float(brentq(lambda between: self.q(between) - target, 0.0, high, xtol=1e-12))


def _table(lesions: Lesions) -> _Table:
    means = [math.fsum(one.value for one in lesion) / len(lesion) for lesion in lesions]
    repeats_of = [one.value - mean for lesion, mean in zip(lesions, means, strict=True) for one in lesion]
    variance = [one.variance for lesion in lesions for one in lesion]
    starts = np.cumsum([0, *(len(lesion) for lesion in lesions[:-1])])
    return _Table(np.array(repeats_of), np.array(variance), starts)


def _chosen(found: list[Coefficient]) -> list[Coefficient]:
    """Of one metric: the largest coefficient is marked as used, the others say why not."""
    able = [one for one in found if one.rc_log2 is not None and one.kind != RESCAN]
    best = max(able, key=lambda one: (one.rc_log2 or 0.0, -KINDS.index(one.kind)), default=None)
    out = []
    for one in found:
        if one is best:
            out.append(replace(one, used=True))
        elif one.rc_log2 is not None and one.kind == RESCAN:
            out.append(
                replace(one, reason="re-scans show the scanner alone, not what lies in the next block")
            )
        elif one.rc_log2 is not None:
            out.append(replace(one, reason="the coefficient from another kind of repeat is larger"))
        else:
            out.append(one)
    return out
