"""The DAB optical density from which a cell is positive, read from the slide itself.

In: DAB densities of nuclear pixels of the whole-slide sample. Out: the threshold, its histogram and
a note where it may not be trusted. A slide without positive cells must not be cut through its noise:
the threshold never falls below the negative mode by less than its own spread, nor below a floor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tme.stains.nuclear import otsu

FLOOR_OD = 0.2
BINS = 150
RANGE_OD = (-0.5, 2.5)
SPREADS = 4.0
FEWEST_PIXELS = 2000


@dataclass(frozen=True)
class DabThreshold:
    """A threshold, where it came from, and what it was read from."""

    value: float
    source: str
    note: str = ""
    histogram: dict[str, list[float]] = field(default_factory=dict)


def dab_threshold(
    stains: list[NDArray[np.float32]],
    signals: list[NDArray[np.float32]],
    levels: dict[str, float],
    mpp: float,
) -> DabThreshold:
    """Threshold from the DAB densities of nuclear pixels of the sample.

    Parameters
    ----------
    stains : list of (h, w, 2) float32
        Haematoxylin and DAB.
    signals : list of (h, w) float32
        Nuclear signal of the same windows.
    levels : dict
        `tme.stains.nuclear.nuclear_levels`.
    mpp : float
        µm/px of the sample.
    """
    parts = [pair[..., 1][signal > levels["nuclear"]] for pair, signal in zip(stains, signals, strict=True)]
    dab = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    counts, edges = np.histogram(np.clip(dab, RANGE_OD[0], RANGE_OD[1] - 1e-6), BINS, RANGE_OD)
    histogram = {
        "edges": [round(float(edge), 4) for edge in edges],
        "counts": [float(count) for count in counts],
    }
    if len(dab) < FEWEST_PIXELS:
        return DabThreshold(
            FLOOR_OD, "slide", "too few nuclei to read a threshold from; the floor is used", histogram
        )
    centres = 0.5 * (edges[1:] + edges[:-1])
    mode = float(centres[int(np.argmax(np.convolve(counts, np.ones(5), "same")))])
    below = dab[dab <= mode]
    spread = 1.4826 * float(np.median(mode - below)) if len(below) else 0.0
    noise = mode + SPREADS * spread
    cut = max(FLOOR_OD, noise, min(otsu(counts, edges), 0.6))
    return DabThreshold(round(cut, 4), "slide", "", histogram)
