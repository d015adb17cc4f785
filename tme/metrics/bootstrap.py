"""Block bootstrap: how sure a number is that is not a count (Künsch 1989; Davison and Hinkley 1997, §2).

Whole blocks are drawn with replacement, so that neighbours that depend on each other stay together.
The interval is the estimate ± t(.975, B − 1) standard errors, on the log scale for positive metrics:
with few blocks this covers better than the percentiles of the replicates.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tme.config import MetricSettings
from tme.metrics.intervals import MIN_BLOCKS_FOR_OWN_PHI, Information, t_quantile
from tme.metrics.types import BlockSums, Estimate, Spread
from tme.tables import significant

Numbers = NDArray[np.float64]
FEW_BLOCKS = "fewer than 4 blocks: no interval"
NO_SCATTER = "all blocks agree: no interval"
SPREAD_POINTS = 101
CHUNK_VALUES = 4_000_000


def draws(blocks: int, replicates: int, seed: int, name: str) -> Numbers:
    """(replicates, blocks) float64: how often each block is drawn; the same for the same arguments."""
    chances = np.full(blocks, 1 / blocks)
    return seeded(seed, name).multinomial(blocks, chances, size=replicates).astype(np.float64)


def seeded(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for what is called ``name``; the same for the same arguments."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def ratio(sums: BlockSums) -> float | None:
    """scale · Σ numerator / Σ denominator; None without a denominator."""
    below = math.fsum(sums.denominator)
    return sums.scale * math.fsum(sums.numerator) / below if below > 0 else None


def ratio_error(sums: BlockSums, drawn: Numbers) -> float | None:
    """Bootstrap standard error of `ratio`, in its unit."""
    above, below = drawn @ np.asarray(sums.numerator), drawn @ np.asarray(sums.denominator)
    good = below > 0
    return standard_error(sums.scale * above[good] / below[good], drawn.shape[1])


def standard_error(replicates: Numbers, blocks: int) -> float | None:
    """Standard deviation of the replicates, enlarged for the blocks' degrees of freedom.

    None with fewer than four blocks, or where the replicates do not differ.
    """
    if blocks < MIN_BLOCKS_FOR_OWN_PHI or len(replicates) < 2:
        return None
    error = float(np.std(replicates)) * math.sqrt(blocks / (blocks - 1))
    return error if error > 1e-12 * max(1.0, float(np.abs(replicates).max())) else None


def bounded_interval(value: float, error: float | None, blocks: float) -> tuple[float | None, float | None]:
    """95 % interval of a percentage, kept within 0 and 100."""
    low, high = plain_interval(value, error, blocks)
    return (None, None) if low is None or high is None else (max(low, 0.0), min(high, 100.0))


def plain_interval(value: float, error: float | None, blocks: float) -> tuple[float | None, float | None]:
    """value ± t·error; (None, None) without an error."""
    if error is None:
        return None, None
    reach = t_quantile(blocks - 1) * error
    return value - reach, value + reach


def positive_interval(
    value: float, log2_error: float | None, blocks: float
) -> tuple[float | None, float | None]:
    """value ·/÷ 2^(t·error), the error being on the log2 scale."""
    if log2_error is None:
        return None, None
    factor = 2.0 ** (t_quantile(blocks - 1) * log2_error)
    return value / factor, value * factor


def bounded_estimate(
    name: str, numerator: Numbers, denominator: Numbers, n: int, settings: MetricSettings
) -> Estimate:
    """A percentage 100 Σ numerator / Σ denominator with its interval.

    Parameters
    ----------
    name : str
        The column, which also seeds the draws.
    numerator, denominator : (B,) float64
        By block.
    n : int
        Objects behind it.
    settings : MetricSettings
    """
    sums = BlockSums(_rounded(numerator), _rounded(denominator), 100.0)
    value = ratio(sums)
    if value is None:
        return Estimate(None, n=n, n_blocks=len(numerator), note="nothing to take a share of")
    value = min(value, 100.0)
    blocks = len(numerator)
    error = ratio_error(sums, draws(blocks, settings.bootstrap, settings.seed, name))
    low, high = bounded_interval(value, error, blocks)
    return Estimate(value, low, high, n, None, blocks, error, _why_none(error, blocks), sums)


def quantile_estimate(
    name: str, value: float, replicates: Numbers, spread: Spread, n: int, blocks: int
) -> Estimate:
    """A positive metric that is a quantile, from its value and bootstrap replicates (R,)."""
    good = replicates[np.isfinite(replicates) & (replicates > 0)]
    error = standard_error(np.log2(good), blocks) if value > 0 else None
    low, high = positive_interval(value, error, blocks)
    return Estimate(value, low, high, n, None, blocks, error, _why_none(error, blocks), None, spread)


def index_estimate(
    value: float,
    replicates: Numbers,
    n: int,
    blocks: int,
    highest: float = math.inf,
    information: Information | None = None,
) -> Estimate:
    """An index between 0 and ``highest``, from its value and bootstrap replicates (R,); NaN is left out.

    ``information`` says how much the blocks tell, where they are of several slides.
    """
    information = information or Information(blocks)
    error = information.error(standard_error(replicates[np.isfinite(replicates)], blocks))
    low, high = plain_interval(value, error, information.blocks)
    return Estimate(
        value,
        None if low is None else max(low, 0.0),
        None if high is None else min(high, highest),
        n,
        None,
        blocks,
        error,
        _why_none(error, information.blocks),
    )


def weighted_quantile(values: Numbers, weights: Numbers, level: float) -> Numbers:
    """Quantile of ``values`` (N,), ascending, under each row of ``weights`` (R, N); (R,) float64.

    The smallest value at which the weights reach ``level`` of their sum, the mean with the next one
    where they reach it exactly; NaN where a row's weights are all zero.
    """
    out = np.empty(len(weights))
    for row, weight in enumerate(weights):
        reached = np.cumsum(weight)
        if not len(reached) or reached[-1] <= 0:
            out[row] = np.nan
            continue
        goal = level * reached[-1]
        first = int(np.searchsorted(reached, goal * (1 - 1e-12)))
        exact = abs(reached[first] - goal) <= 1e-9 * reached[-1]
        after = int(np.searchsorted(reached, reached[first], side="right")) if exact else first
        out[row] = (values[first] + values[min(after, len(values) - 1)]) / 2
    return out


def mixture_quantile(spreads: Sequence[Spread]) -> float:
    """The quantile of several distributions together, each weighing as its spread says; at least one spread.

    A distribution is known by its quantiles at evenly spaced levels, and each stands for the levels nearest
    to it: a step function, as that of a slide's objects is. What is stored tells a level to one step, so the
    answer is the mean of the mixture's quantiles over the one step around ``level``. Copies of one slide
    give its own value.
    """
    step = 1 / (len(spreads[0].points) - 1)
    masses = []
    for spread in spreads:
        mass = np.full(len(spread.points), spread.weight)
        # The first and the last point have levels on one side alone.
        mass[[0, -1]] /= 2
        masses.append(mass)
    points, mass = np.concatenate([spread.points for spread in spreads]), np.concatenate(masses)
    order = np.argsort(points, kind="stable")
    reached = np.cumsum(mass[order]) / mass.sum()
    low, high = spreads[0].level - step / 2, spreads[0].level + step / 2
    share = np.diff(np.clip(reached, low, high), prepend=low)
    return float(share @ points[order] / share.sum())


def median_estimate(
    name: str, values: Numbers, block: NDArray[np.int32], blocks: int, settings: MetricSettings,
    weights: Numbers | None = None,
) -> Estimate:  # fmt: skip
    """Median of a positive quantity of objects, with its interval.

    Parameters
    ----------
    name : str
    values : (N,) float64
    block : (N,) int32
        Block of each object.
    blocks : int
    settings : MetricSettings
    weights : (N,) float64, optional
        What each object weighs; 1 if left out.
    """
    weights = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, kind="stable")
    order = order[weights[order] > 0]
    values, block, weights = values[order], block[order], weights[order]
    if not len(values):
        return Estimate(None, n=0, n_blocks=blocks, note="no object to measure")
    drawn = draws(blocks, settings.bootstrap, settings.seed, name)
    step = max(1, CHUNK_VALUES // len(values))
    replicates = np.concatenate(
        [
            weighted_quantile(values, drawn[start : start + step, block] * weights, 0.5)
            for start in range(0, len(drawn), step)
        ]
    )
    median = float(weighted_quantile(values, weights[None], 0.5)[0])
    levels = np.linspace(0, 1, SPREAD_POINTS)
    points = np.array([weighted_quantile(values, weights[None], level)[0] for level in levels])
    spread = Spread(0.5, _rounded(points), float(len(values)))
    return quantile_estimate(name, median, replicates, spread, len(values), blocks)


def _why_none(error: float | None, blocks: float) -> str:
    if error is not None:
        return ""
    return FEW_BLOCKS if blocks < MIN_BLOCKS_FOR_OWN_PHI else NO_SCATTER


def _rounded(values: Numbers) -> tuple[float, ...]:
    return tuple(significant(float(value)) for value in values)
