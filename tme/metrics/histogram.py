"""Distances of many pixels by block, kept as histograms so that memory does not grow with the slide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
BIN_UM = 1.0
MAX_BINS = 4096
ROWS = 256


@dataclass(frozen=True, eq=False)
class Histogram:
    """Pixels by block and distance.

    Attributes
    ----------
    counts : (B, K) float64
        Pixels of each block in each bin ((k-1)·width, k·width] µm; the first holds those at 0 alone, a
        vessel's own.
    width_um : float
    beyond : (B,) float64
        Pixels of each block beyond the limit asked for.
    """

    counts: Numbers
    width_um: float
    beyond: Numbers

    def quantiles(self, weights: Numbers, level: float) -> Numbers:
        """Quantile under each row of block weights (R, B); (R,) float64 µm, interpolated in its bin."""
        reached = np.cumsum(weights @ self.counts, axis=1)
        goal = level * reached[:, -1:]
        place = np.argmax((reached >= goal) & (reached > 0), axis=1)
        rows = np.arange(len(reached))
        before = np.where(place > 0, reached[rows, np.maximum(place - 1, 0)], 0.0)
        inside = reached[rows, place] - before
        share = np.divide(goal[:, 0] - before, inside, out=np.zeros(len(place)), where=inside > 0)
        return np.asarray(np.where(place > 0, place - 1 + share, 0.0) * self.width_um)


def distance_histogram(
    distance_um: NDArray[np.float32], labels: NDArray[np.int32], blocks: int, limit_um: float
) -> Histogram:
    """Histogram of an (H, W) float32 map over blocks, (H, W) int32 with -1 outside."""
    inside = labels >= 0
    longest = float(distance_um.max(where=inside, initial=0.0))
    width = max(BIN_UM, longest / (MAX_BINS - 2))
    bins = math.ceil(longest / width) + 1
    counts = np.zeros(blocks * bins, np.int64)
    beyond = np.zeros(blocks, np.int64)
    for start in range(0, labels.shape[0], ROWS):
        keep = inside[start : start + ROWS]
        block = labels[start : start + ROWS][keep].astype(np.int64)
        away = distance_um[start : start + ROWS][keep]
        place = np.minimum(np.ceil(away / width).astype(np.int64), bins - 1)
        counts += np.bincount(block * bins + place, minlength=blocks * bins)
        beyond += np.bincount(block[away > limit_um], minlength=blocks)
    return Histogram(counts.reshape(blocks, bins).astype(np.float64), width, beyond.astype(np.float64))
