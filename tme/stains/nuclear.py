"""The one grey image nuclei stand out in, and its levels on a slide.

In: optical densities of two stains. Out: the nuclear signal, and the cut between nuclei and the rest.
On H&E the signal is haematoxylin. On a DAB section nuclei are blue or brown and brown ones many times
darker, so the sum s of both is squashed to s / (s + `SQUASH_OD`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.stains.types import Stain, StainProfile
from tme.units import um_to_px

SMOOTH_UM = 0.4
FINE_UM = 1.0
COARSE_UM = 3.0
BINS = 256
TOP_OD = {"he": 1.5, "dab": 1.0}
DAB_WEIGHT = 0.5
SQUASH_OD = 0.3
TISSUE_SIGNAL = 0.03
LOWEST_NUCLEUS = 0.1
TYPICAL = {"he": 0.45, "dab": 0.5}
FEWEST_PIXELS = 100


def nuclear_signal(density: NDArray[np.float32], kind: str, mpp: float) -> NDArray[np.float32]:
    """Smoothed density in which nuclei are bright, cut off where darker says nothing more.

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
        Optical density on H&E; squashed, 0-0.77, on DAB sections.
    """
    if kind == "dab":
        second = np.maximum(density[..., 1], 0)
        signal = np.asarray(density[..., 0] + np.float32(DAB_WEIGHT) * second, np.float32)
    else:
        signal = density[..., 0].copy()
    np.clip(signal, 0, TOP_OD[kind], out=signal)
    if kind == "dab":
        signal /= signal + np.float32(SQUASH_OD)
    return np.asarray(cv2.GaussianBlur(signal, (0, 0), um_to_px(SMOOTH_UM, mpp)), np.float32)


def nuclear_levels(signals: list[NDArray[np.float32]]) -> dict[str, float]:
    """Cut between nuclei and the rest (Otsu on the sample) and the medians on either side."""
    values = np.concatenate([signal.ravel() for signal in signals]) if signals else np.zeros(0, np.float32)
    values = values[values > TISSUE_SIGNAL]
    if len(values) < FEWEST_PIXELS:
        return {"nuclear": LOWEST_NUCLEUS, "background": 0.0, "nucleus": LOWEST_NUCLEUS}
    counts, edges = np.histogram(values, BINS, (0.0, max(TOP_OD.values())))
    cut = otsu(counts, edges)
    dark, pale = values[values > cut], values[values <= cut]
    nucleus = float(np.median(dark)) if len(dark) else cut
    return {
        "nuclear": round(cut, 6),
        "background": round(float(np.median(pale)), 6) if len(pale) else 0.0,
        "nucleus": round(max(nucleus, LOWEST_NUCLEUS), 6),
    }


def nuclear_detail(signals: list[NDArray[np.float32]], mpp: float) -> float:
    """How crisp nuclei are: contrast at 1 µm over contrast at 3 µm, about 0.5 in focus; 0 without signal.

    It does not depend on how dark the stain is, and falls with blur, coarse scanning and compression.
    """
    fine = middle = 0.0
    for signal in signals:
        near, far = (
            cv2.GaussianBlur(signal, (0, 0), um_to_px(sigma_um, mpp)) for sigma_um in (FINE_UM, COARSE_UM)
        )
        fine += float(np.square(signal - near, dtype=np.float64).sum())
        middle += float(np.square(near - far, dtype=np.float64).sum())
    return round((fine / middle) ** 0.5, 6) if middle > 0 else 0.0


def typical_nucleus(profile: StainProfile, stain: Stain) -> float:
    """Nuclear signal of a typical nucleus of this slide; a guess where the profile was not measured."""
    return profile.levels.get("nucleus", TYPICAL[stain.kind])


def nucleus_od(profile: StainProfile, stain: Stain) -> float:
    """`typical_nucleus` as optical density."""
    signal = typical_nucleus(profile, stain)
    return signal if stain.kind == "he" else SQUASH_OD * signal / (1 - signal)


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
