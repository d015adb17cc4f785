"""Folds: long dark bands with the stain of what lies beside them, about twice as dense.

A row of nuclei or a strand of lymphocytes is dark too, but bluer than its surroundings; where a
section lies on itself every colour is denser alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.glass import Glass
from tme.tissue.morphology import BAND_ROWS, Mask, even, grown, opened
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

Floats = NDArray[np.float32]


def find_folds(coarse: RGB, glass: Glass, share: Floats, mpp: float) -> Mask:
    """Folded tissue, (H, W) bool.

    Parameters
    ----------
    coarse : (H, W, 3) uint8
        Mean RGB at ``mpp``.
    glass : Glass
    share : (H, W) float32
        Share of each pixel that is clear tissue.
    mpp : float
        µm/px of both.
    """
    plain, refined = np.zeros(share.shape, np.bool_), np.zeros(share.shape, np.bool_)
    margin = math.ceil(8.0 * um_to_px(AROUND_UM, mpp)) + 1
    for top in range(0, share.shape[0], BAND_ROWS):
        start = max(top - margin, 0)
        rows = slice(start, top + BAND_ROWS + margin)
        density = glass.density(np.ascontiguousarray(coarse[rows]))
        own = slice(top - start, top - start + BAND_ROWS)
        first, second = _denser(density, share[rows], mpp)
        plain[top : top + BAND_ROWS], refined[top : top + BAND_ROWS] = first[own], second[own]
    found = _bands(plain, mpp) | _bands(refined, mpp)
    return grown(found, um_to_whole_px(RIM_UM, mpp)) & (share > 0)


def _denser(density: Sequence[Floats], share: Floats, mpp: float) -> tuple[Mask, Mask]:
    """Pixels much denser than, and of the colour of, their surroundings: two views of those."""
    near = [_average(plane, share, um_to_px(SMOOTH_UM, mpp)) for plane in density]
    around = _surroundings(density, share, mpp)
    first = _stands_out(near, around, share)
    # What is dark itself does not belong to the surroundings it is compared with; but where little
    # else is left there is nothing to compare with.
    plain = share * (_length(near) < DARK * _length(around))
    enough = _weight(plain, mpp) >= MIN_PLAIN * _weight(share, mpp)
    refined = _surroundings(density, plain, mpp)
    around = [np.where(enough, better, old) for better, old in zip(refined, around, strict=True)]
    return first, _stands_out(near, around, share)


def _stands_out(near: Sequence[Floats], around: Sequence[Floats], share: Floats) -> Mask:
    dot = near[0] * around[0] + near[1] * around[1] + near[2] * around[2]
    long, wide = _length(near), _length(around)
    found = (share > 0.5) & (long >= RATIO * wide) & (long >= MIN_DENSITY * np.float32(np.sqrt(3.0)))
    found &= dot >= MIN_COSINE * long * wide
    return np.asarray(found)


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
    return np.asarray(np.sqrt(red * red + green * green + blue * blue))


def _bands(dense: Mask, mpp: float) -> Mask:
    """What is long and narrow."""
    found = opened(dense, um_to_whole_px(MIN_WIDTH_UM / 2, mpp))
    if not found.any():
        return found
    depth = cv2.distanceTransform(found.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    pieces = find_pieces(found, diagonal=True)
    areas = pieces.areas(*even(found.shape))
    # The mean depth of a band is a quarter of its width.
    width = 4.0 * pieces.sums(depth) / np.maximum(areas, 1.0)
    length = areas / np.maximum(width, 1.0)
    band = (areas >= um2_to_px(mm2_to_um2(MIN_AREA_MM2), mpp)) & (width <= um_to_px(MAX_WIDTH_UM, mpp))
    band &= (length >= um_to_px(MIN_LENGTH_UM, mpp)) & (length >= MIN_SLENDER * width)
    pieces.paint(found, ~band, False)
    return found
