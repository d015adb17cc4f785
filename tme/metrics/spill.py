"""How much of a cluster of cells one block holds, and by how much blocks understate clustering for that.

A cluster on the border of two blocks raises both their counts, so the scatter *between* blocks shows less
of the clustering than the count of the whole compartment suffers from. In: block labels and the spread of
a cluster. Out: `Shares`, and from those of one or several slides the factor `spill`.

With the cells of a cluster normal about its middle with standard deviation σ (Thomas 1949, Biometrika
36:18), the displacement of two of them is normal with σ√2. The excess of a count's variance over
Poisson's law is then μ·c(W)/|W|, c(W) being that density integrated over both points in W (Illian 2008,
Statistical Analysis and Modelling of Spatial Point Patterns, §4.3), and μ cancels between two regions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CELLS_PER_SPREAD = 4
"""Coarse cells to a cluster's standard deviation; shares are right to a hundredth."""
LARGEST_SPILL = 4.0
"""Above this hardly any of the clustering is left between blocks, and a factor would only blow up noise."""


@dataclass(frozen=True)
class Shares:
    """Of the other cells of a random cell's cluster, how many lie where it lies; 0-1.

    Attributes
    ----------
    block : float
        In its block, the mean of the blocks.
    tissue : float
        In its compartment.
    """

    block: float
    tissue: float


WHOLE = Shares(1.0, 1.0)
"""Clusters lie in one block each: nothing to make good."""


def cluster_shares(labels: NDArray[np.int32], count: int, spread_px: float) -> Shares:
    """Shares of clusters of one size in these blocks.

    Parameters
    ----------
    labels : (H, W) int32
        Block of each pixel, 0 to ``count`` - 1; -1 outside.
    count : int
        At least 1.
    spread_px : float
        Standard deviation of a cluster's cells about its middle, px.
    """
    step = max(1, int(spread_px / CELLS_PER_SPREAD))
    reach = math.sqrt(2) * spread_px / step
    blocks = [
        _share(_coarse(labels[window] == number, step), reach)
        for number, window in enumerate(ndimage.find_objects(labels + 1, count))
    ]
    return Shares(float(np.mean(blocks)), _share(_coarse(labels >= 0, step), reach))


def spill(shares: Sequence[Shares], blocks: Sequence[int], areas_mm2: Sequence[float]) -> float:
    """By what factor clustering in the whole exceeds that between blocks; 1 to `LARGEST_SPILL`.

    E[X²/(B − 1)] − 1 = μ·(Σ_b block share − tissue share)/(B − 1) where the tissue as a whole has
    μ·(tissue share); the factor is their quotient.

    Parameters
    ----------
    shares, blocks, areas_mm2 : sequences
        Of each slide that is pooled: its shares, number of blocks and area.
    """
    total, count = math.fsum(areas_mm2), sum(blocks)
    if count < 2:
        return 1.0
    whole = math.fsum(one.tissue * area for one, area in zip(shares, areas_mm2, strict=True)) / total
    kept = math.fsum(one.block * number for one, number in zip(shares, blocks, strict=True))
    between = (kept - whole) / (count - 1)
    if between * LARGEST_SPILL <= whole:
        return LARGEST_SPILL
    return max(1.0, whole / between)


def _coarse(region: NDArray[np.bool_], step: int) -> NDArray[np.float64]:
    """Share of each cell of ``step`` x ``step`` pixels that lies in the region."""
    height, width = region.shape
    padded = np.pad(region, ((0, -height % step), (0, -width % step)))
    cells = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.asarray(cells.mean(axis=(1, 3)))


def _share(region: NDArray[np.float64], reach: float) -> float:
    """Mean over a region of how much of a normal density about each of its places lies in it."""
    within = ndimage.gaussian_filter(region, reach, mode="constant")
    return float((region * within).sum() / region.sum())
