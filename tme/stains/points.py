"""Where a sample is darkest: one point per nucleus or stained cell, and its colour there.

Colour and threshold are read at these points, not from all pixels: between nuclei a section is grey
with stroma and background, which says nothing of the counterstain's hue and drowns few positive cells.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.units import um_to_px, um_to_whole_px

SMOOTH_UM = 1.0
APART_UM = 5.0
AROUND_UM = 8.0
LEAST_SUM_OD = 0.15
OVER_AROUND = 1.15


def dark_points(density: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    """Smoothed densities at local maxima of their sum that stand out of what is around them.

    Parameters
    ----------
    density : (H, W, 3) float32
        Optical density of the channels R, G, B.
    mpp : float
        µm/px of the window.

    Returns
    -------
    (n, 3) float32
    """
    smooth = cv2.GaussianBlur(density, (0, 0), um_to_px(SMOOTH_UM, mpp))
    total = smooth.sum(axis=2)
    side = um_to_whole_px(APART_UM, mpp) | 1
    highest = cv2.dilate(total, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    around = cv2.GaussianBlur(total, (0, 0), um_to_px(AROUND_UM, mpp))
    point = (total >= highest) & (total > LEAST_SUM_OD) & (total > OVER_AROUND * around)
    return np.asarray(smooth[point], np.float32)
