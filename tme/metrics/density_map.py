"""Density map of points in a mask, and where it is higher than a random pattern's would be.

In: points in µm and the mask they lie in. Out: the hotspots of Kather 2015 as an (R, C) map of squares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.metrics.squares import Squares, make_squares
from tme.tissue.types import Mask, TissueMask
from tme.units import mm2_to_um2

Numbers = NDArray[np.float64]
BANDWIDTH_UM = 114.0
"""Standard deviation of the Gaussian kernel: the optimal one of Kather 2015, given in the authors' own
program (github.com/jnkather/AngiogenicZone, getConstants.m) as 114 µm at 0.6 µm/px. It weighs like a
disc of twice that radius, 0.16 mm²."""
SQUARES_PER_BANDWIDTH = 3
"""Points count from the middle of their square, which widens the kernel by no more than half a percent."""
REACH = 4
"""Standard deviations after which the kernel is cut off."""
LEAST_ON_TISSUE = 0.25
"""Share of the kernel that must lie on the mask, that of a right-angled corner. In crumbs and slips below
it one point is a peak: with forty crumbs of 60 µm beside 8 mm² of tissue, the random patterns' peaks
raise the level from 212 to 296 per mm² and hide hotspots of twice the density."""
POOLED_MM2 = 5000.0
"""Area of all random patterns together. The level rests on the densest thousandth of it, some thirty
kernels: with another seed it moves by 0.3 % on 20 mm² and, `MOST_PATTERNS` being fewer, by 1 % on 2 mm²."""
FEWEST_PATTERNS, MOST_PATTERNS = 99, 499
"""No slide is compared with fewer than the TILs are, and the smallest does not cost more than the others."""
LEVEL = 0.999


@dataclass(frozen=True, eq=False)
class Hotspots:
    """Where a pattern is denser than random.

    Attributes
    ----------
    squares : Squares
        The grid of the map.
    judged : (R, C) bool
        Squares with enough of the mask around them to tell.
    hot : (R, C) bool
        Judged squares whose density is above the level.
    level_per_mm2 : float
    """

    squares: Squares
    judged: NDArray[np.bool_]
    hot: NDArray[np.bool_]
    level_per_mm2: float


def find_hotspots(
    x_um: Numbers, y_um: Numbers, mask: Mask, tissue: TissueMask, generator: np.random.Generator
) -> Hotspots:
    """Squares whose density is above the `LEVEL` quantile of random patterns' densities.

    Parameters
    ----------
    x_um, y_um : (N,) float64
        Points inside the mask.
    mask : (H, W) bool
    tissue : TissueMask
        The grid.
    generator : numpy.random.Generator
        Draws the random patterns: N points each, uniform over the mask.
    """
    side_um = max(BANDWIDTH_UM / SQUARES_PER_BANDWIDTH, tissue.mpp)
    squares = make_squares(mask, tissue, side_um)
    kernel = _kernel(BANDWIDTH_UM / side_um)
    area_near = _smooth(squares.areas_mm2, kernel)
    judged = (squares.areas_mm2 > 0) & (mm2_to_um2(1.0) * area_near >= LEAST_ON_TISSUE * side_um**2)
    near = area_near[judged]

    def densities(counts: Numbers) -> Numbers:
        # Points over area under the same kernel: Diggle's correction of the edge (1985, Appl Stat 34:138).
        return np.asarray(_smooth(counts, kernel)[judged] / near)

    number = pattern_count(float(squares.areas_mm2.sum()))
    patterns = (densities(counts) for counts in _random_counts(squares, len(x_um), number, generator))
    level = upper_level(patterns, squares.areas_mm2[judged], number, 1 - LEVEL)
    hot = np.zeros(judged.shape, bool)
    hot[judged] = densities(squares.sums(squares.at(x_um, y_um, tissue))) > level
    return Hotspots(squares, judged, hot, level)


def pattern_count(area_mm2: float) -> int:
    """How many random patterns a mask of this area, above 0, is compared with."""
    return math.ceil(min(max(POOLED_MM2 / area_mm2, FEWEST_PATTERNS), MOST_PATTERNS))


def upper_level(patterns: Iterable[Numbers], areas: Numbers, count: int, share: float) -> float:
    """The value that ``share`` of the pooled area of all patterns lies above.

    Parameters
    ----------
    patterns : iterable of (N,) float64
        Maps, one after the other; never all in memory.
    areas : (N,) float64
        What each place of a map weighs.
    count : int
        Number of patterns.
    share : float
        Between 0 and 1.

    Returns
    -------
    float
        0 without a place.
    """
    limit = share * count * float(areas.sum())
    values, weights, level = np.zeros(0), np.zeros(0), -np.inf
    for pattern in patterns:
        # What is below the level so far can never come above it.
        candidates = pattern >= level
        values = np.concatenate([values, pattern[candidates]])
        weights = np.concatenate([weights, areas[candidates]])
        order = np.argsort(-values, kind="stable")
        values, weights = values[order], weights[order]
        kept = int(np.searchsorted(np.cumsum(weights), limit, side="right")) + 1
        if kept <= len(values):
            values, weights = values[:kept], weights[:kept]
            level = float(values[-1])
    return max(level, 0.0)


def _random_counts(
    squares: Squares, points: int, number: int, generator: np.random.Generator
) -> Iterator[Numbers]:
    """Counts (R, C) of a number of patterns of points uniform over the mask, one after the other."""
    reached = np.cumsum(squares.areas_mm2)
    for _ in range(number):
        # Sorted, because a search in ascending order stays in the cache; their order means nothing.
        drawn = np.sort(generator.uniform(0, reached[-1], points))
        # From the right, so that no point falls on a square without area.
        yield squares.sums(np.searchsorted(reached[:-1], drawn, side="right"))


def _kernel(sigma: float) -> Numbers:
    reach = int(np.ceil(REACH * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def _smooth(values: Numbers, kernel: Numbers) -> Numbers:
    """Values (R, C) under the kernel (K,) in both directions; nothing lies beyond the edge."""
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT))
