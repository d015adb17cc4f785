"""Folds: long dark bands with the stain of what lies beside them, about twice as dense.

A row of nuclei or a strand of lymphocytes is dark too, but bluer than its surroundings; where a
section lies on itself every colour is denser alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.tissue.foreground import grown, opened
from tme.tissue.runs import find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_px, um_to_whole_px

RATIO = 1.6
DARK = 1.3
MIN_PLAIN = 0.8
MIN_DENSITY = 0.25
MIN_COSINE = 0.985
AROUND_UM = 150.0
SMOOTH_UM = 12.0
MIN_WIDTH_UM = 16.0
MAX_WIDTH_UM = 250.0
MIN_LENGTH_UM = 200.0
MIN_SLENDER = 4.0
MIN_AREA_MM2 = 0.008
RIM_UM = 8.0

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


def find_folds(density: Sequence[Floats], share: Floats, mpp: float) -> Mask:
    """Folded tissue, (H, W) bool.

    Parameters
    ----------
    density : three (H, W) float32
        Optical density of red, green and blue.
    share : (H, W) float32
        Share of each pixel that is clear tissue.
    mpp : float
        µm/px of all.
    """
    near = [_average(plane, share, um_to_px(SMOOTH_UM, mpp)) for plane in density]
    around = _surroundings(density, share, mpp)
    found = _bands(near, around, share, mpp)
    # What is dark itself does not belong to the surroundings it is compared with; but where little
    # else is left there is nothing to compare with.
    plain = share * (_length(near) < DARK * _length(around))
    enough = _weight(plain, mpp) >= MIN_PLAIN * _weight(share, mpp)
    refined = _surroundings(density, plain, mpp)
    around = [np.where(enough, better, first) for better, first in zip(refined, around, strict=True)]
    found |= _bands(near, around, share, mpp)
    return grown(found, um_to_whole_px(RIM_UM, mpp)) & (share > 0)


def _bands(near: Sequence[Floats], around: Sequence[Floats], share: Floats, mpp: float) -> Mask:
    dot = near[0] * around[0] + near[1] * around[1] + near[2] * around[2]
    long, wide = _length(near), _length(around)
    found = (share > 0.5) & (long >= RATIO * wide) & (long >= MIN_DENSITY * np.float32(np.sqrt(3.0)))
    found &= dot >= MIN_COSINE * long * wide
    found = opened(found, um_to_whole_px(MIN_WIDTH_UM / 2, mpp))
    _keep_bands(found, mpp)
    return found


def _surroundings(density: Sequence[Floats], share: Floats, mpp: float) -> list[Floats]:
    return [_average(plane, share, um_to_px(AROUND_UM, mpp)) for plane in density]


def _weight(share: Floats, mpp: float) -> Floats:
    weight: Floats = cv2.GaussianBlur(share, (0, 0), um_to_px(AROUND_UM, mpp))
    return weight


def _average(plane: Floats, share: Floats, sigma: float) -> Floats:
    weight = cv2.GaussianBlur(share, (0, 0), sigma)
    mean: Floats = cv2.GaussianBlur(plane * share, (0, 0), sigma) / np.maximum(weight, np.float32(1e-3))
    return mean


def _length(planes: Sequence[Floats]) -> Floats:
    red, green, blue = planes
    return np.sqrt(red * red + green * green + blue * blue)


def _keep_bands(found: Mask, mpp: float) -> None:
    """Drop, in place, what is not long and narrow."""
    depth = cv2.distanceTransform(found.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    pieces = find_pieces(found, diagonal=True)
    areas = pieces.areas(np.ones(found.shape[0]), np.ones(found.shape[1]))
    # The mean depth of a band is a quarter of its width.
    width = 4.0 * pieces.sums(depth) / np.maximum(areas, 1.0)
    length = areas / np.maximum(width, 1.0)
    band = (areas >= um2_to_px(mm2_to_um2(MIN_AREA_MM2), mpp)) & (width <= um_to_px(MAX_WIDTH_UM, mpp))
    band &= (length >= um_to_px(MIN_LENGTH_UM, mpp)) & (length >= MIN_SLENDER * width)
    pieces.paint(found, ~band, False)
