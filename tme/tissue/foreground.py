"""Which pixels are clearly not glass."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.tissue.morphology import BAND_ROWS, Mask, Weights, close, drop_small
from tme.units import mm2_to_um2, um2_to_px, um_to_whole_px

STRONG = 0.050
PALE = 0.020
PALE_OWN = 0.015
PALE_SIGMA_PX = 1.5
RIM_SHARE = 0.5
SPECK_MM2 = 0.0003
SPECK_SHARE = 0.05
JOIN_UM = 24.0
MARGIN_PX = 8

Bytes = NDArray[np.uint8]


def threshold(evidence: Bytes, per_od: float, mpp: float, weights: Weights) -> Mask:
    """Pixels that are clearly not glass, by themselves or with their neighbours.

    Specks are dropped and narrow clefts closed.

    Parameters
    ----------
    evidence : (H, W) uint8
    per_od : float
        Evidence units per OD.
    mpp : float
        µm/px of the mask.
    weights : ((H,), (W,)) float64
        Share of each row and column that lies on the slide.
    """
    strong = np.empty(evidence.shape, np.bool_)
    for top in range(0, evidence.shape[0], BAND_ROWS):
        start = max(top - MARGIN_PX, 0)
        part = _clear(evidence[start : top + BAND_ROWS + MARGIN_PX], per_od)
        strong[top : top + BAND_ROWS] = part[top - start : top - start + BAND_ROWS]
    speck_px = min(um2_to_px(mm2_to_um2(SPECK_MM2), mpp), SPECK_SHARE * evidence.size)
    drop_small(strong, speck_px, weights, spare_edge=False)
    return close(strong, um_to_whole_px(JOIN_UM / 2, mpp))


def _clear(evidence: Bytes, per_od: float) -> Mask:
    clear = round(STRONG * per_od)
    # Cut off at "clear", so that dark tissue does not spill over its border.
    pale = cv2.GaussianBlur(np.minimum(evidence, np.uint8(clear)), (0, 0), PALE_SIGMA_PX)
    found: Mask = (pale >= round(PALE * per_od)) & (evidence >= round(PALE_OWN * per_od))
    found |= evidence >= clear
    found &= ~_rim(found, evidence)
    return found


def _rim(mask: Mask, evidence: Bytes) -> Mask:
    """Border pixels that owe most of their evidence to a much clearer neighbour.

    A pixel that tissue covers only in part, or that only touches its rough edge, would otherwise
    count in full and tissue would be too large by about half a pixel all around.
    """
    inner = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    clearest = cv2.dilate(evidence, np.ones((3, 3), np.uint8))
    rim: Mask = mask & ~inner & (evidence < RIM_SHARE * clearest)
    return rim
