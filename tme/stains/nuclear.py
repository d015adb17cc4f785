"""The one grey image nuclei stand out in, and its levels on a slide.

In: optical densities of two stains. Out: the nuclear signal, and the cut between nuclei and the rest.
On a DAB section nuclei are blue or brown, so both densities count; on H&E haematoxylin alone does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.units import um_to_px

SMOOTH_UM = 0.5
BINS = 256
TOP_OD = 3.0
LOWEST_CUT_OD = 0.08
TISSUE_OD = 0.02


def nuclear_signal(density: NDArray[np.float32], kind: str, mpp: float) -> NDArray[np.float32]:
    """Smoothed density in which nuclei are bright.

    Parameters
    ----------
    density : (H, W, 2) float32
        Haematoxylin, then eosin or DAB (`tme.stains.deconvolve.stain_od`).
    kind : {"he", "dab"}
    mpp : float
        µm/px of the image.

    Returns
    -------
    (H, W) float32
    """
    if kind == "dab":
        signal = density[..., 0] + np.maximum(density[..., 1], 0)
    else:
        signal = np.ascontiguousarray(density[..., 0])
    return np.asarray(cv2.GaussianBlur(signal, (0, 0), um_to_px(SMOOTH_UM, mpp)), np.float32)


def nuclear_levels(signals: list[NDArray[np.float32]]) -> dict[str, float]:
    """Cut between nuclei and the rest (Otsu on the sample) and the medians on either side, OD."""
    values = np.concatenate([signal.ravel() for signal in signals]) if signals else np.zeros(0, np.float32)
    values = values[values > TISSUE_OD]
    if not len(values):
        return {"nuclear": LOWEST_CUT_OD, "background": 0.0, "nucleus": LOWEST_CUT_OD}
    counts, edges = np.histogram(values, BINS, (0.0, TOP_OD))
    cut = max(otsu(counts, edges), LOWEST_CUT_OD)
    dark, pale = values[values > cut], values[values <= cut]
    return {
        "nuclear": round(cut, 6),
        "background": round(float(np.median(pale)), 6) if len(pale) else 0.0,
        "nucleus": round(float(np.median(dark)), 6) if len(dark) else cut,
    }


def otsu(counts: NDArray[np.int64], edges: NDArray[np.float64]) -> float:
    """The edge that best parts a histogram in two (Otsu, IEEE Trans SMC 1979)."""
    centres = 0.5 * (edges[1:] + edges[:-1])
    weight = np.cumsum(counts, dtype=np.float64)
    total = np.cumsum(counts * centres)
    rest = weight[-1] - weight
    inside = (weight > 0) & (rest > 0)
    gain = np.zeros(len(counts))
    part = (total[-1] * weight[inside] / weight[-1] - total[inside]) ** 2
    gain[inside] = part / (weight[inside] * rest[inside])
    return float(edges[1 + int(np.argmax(gain))])
