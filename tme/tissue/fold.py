"""Folds: long dark bands with the stain of what lies beside them, about twice as dense.

A row of nuclei or a strand of lymphocytes is dark too, but bluer than its surroundings; where a
section lies on itself every colour is denser alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.distance import rough_distance_px
from tme.slide.types import RGB
from tme.tissue.glass import Glass
from tme.tissue.morphology import Mask, even, grown, opened
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
STEP = 4
ROWS = 256

Floats = NDArray[np.float32]


def find_folds(coarse: RGB, glass: Glass, share: NDArray[np.uint8], mpp: float) -> Mask:
    """Folded tissue, (H, W) bool.

    Parameters
    ----------
    coarse : (H, W, 3) uint8
        Mean RGB at ``mpp``.
    glass : Glass
    share : (H, W) uint8
        Share of each pixel that is clear tissue, in 1/255.
    mpp : float
        µm/px of both.
    """
    picture = _Picture(coarse, glass, share, mpp)
    around = picture.surroundings(None)
    found = _bands(picture.denser_than(around, RATIO), mpp)
    # What is dark itself does not belong to the surroundings it is compared with; but where little
    # else is left there is nothing to compare with.
    dark = picture.denser_than(around, DARK, any_colour=True)
    found |= _bands(picture.denser_than(picture.surroundings(dark), RATIO), mpp)
    return grown(found, um_to_whole_px(RIM_UM, mpp)) & (share > 0)


@dataclass(frozen=True, eq=False)
class _Picture:
    """Stain of a slide; worked through in bands, so that densities never exist as a whole."""

    coarse: RGB
    glass: Glass
    share: NDArray[np.uint8]
    mpp: float

    def surroundings(self, without: Mask | None) -> list[Floats]:
        """Mean densities of red, green and blue within about 150 µm, ``STEP`` times coarser."""
        sums = [np.zeros(_coarser(self.share.shape), np.float32) for _ in range(4)]
        for rows, density in self._bands(0):
            part = self.share[rows].astype(np.float32)
            if without is not None:
                part *= ~without[rows]
            for target, plane in zip(sums, [*(plane * part for plane in density), part], strict=True):
                small = _shrunk(plane)
                target[rows.start // STEP : rows.start // STEP + small.shape[0]] = small
        sigma = um_to_px(AROUND_UM, self.mpp) / STEP
        *planes, total = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in sums)
        means = [plane / np.maximum(total, np.float32(1e-3)) for plane in planes]
        if without is None:
            return means
        full = cv2.GaussianBlur(_shrunk(self.share).astype(np.float32), (0, 0), sigma)
        enough = total >= MIN_PLAIN * full
        return [np.where(enough, mean, old) for mean, old in zip(means, self.surroundings(None), strict=True)]

    def denser_than(self, around: Sequence[Floats], ratio: float, any_colour: bool = False) -> Mask:
        """Pixels ``ratio`` times denser than their surroundings, and of their colour."""
        height, width = self.share.shape
        found = np.zeros((height, width), np.bool_)
        sigma = um_to_px(SMOOTH_UM, self.mpp)
        margin = math.ceil(5.0 * sigma)
        for rows, density in self._bands(margin):
            start = max(rows.start - margin, 0)
            share = self.share[start : rows.stop + margin].astype(np.float32)
            near = [_average(plane, share, sigma)[rows.start - start :] for plane in density]
            size = min(rows.stop, height) - rows.start
            near = [plane[:size] for plane in near]
            beside = [_finer(plane, rows.start, (size, width)) for plane in around]
            dot = near[0] * beside[0] + near[1] * beside[1] + near[2] * beside[2]
            long, wide = _length(near), _length(beside)
            here = (self.share[rows] >= 128) & (long >= ratio * wide)
            if not any_colour:
                here &= (long >= MIN_DENSITY * math.sqrt(3.0)) & (dot >= MIN_COSINE * long * wide)
            found[rows] = here
        return found

    def _bands(self, margin: int) -> Iterator[tuple[slice, tuple[Floats, Floats, Floats]]]:
        """Rows to work on, and the densities of these rows and a margin."""
        for top in range(0, self.share.shape[0], ROWS):
            rows = slice(top, top + ROWS)
            part = self.coarse[max(top - margin, 0) : top + ROWS + margin]
            yield rows, self.glass.density(np.ascontiguousarray(part))


def _coarser(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // STEP), -(-shape[1] // STEP)


def _shrunk(plane: NDArray) -> NDArray:
    below, right = -plane.shape[0] % STEP, -plane.shape[1] % STEP
    padded = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // STEP, padded.shape[0] // STEP)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA))


def _finer(plane: Floats, top: int, shape: tuple[int, int]) -> Floats:
    """Rows from ``top`` of a coarser plane, interpolated to full size."""
    first = top // STEP
    last = first + _coarser(shape)[0]
    start = max(first - 1, 0)
    rows = plane[start : last + 1]
    size = (rows.shape[1] * STEP, rows.shape[0] * STEP)
    large = cv2.resize(rows, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[(first - start) * STEP :][: shape[0], : shape[1]])


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
    depth = rough_distance_px(found)
    pieces = find_pieces(found, diagonal=True)
    areas = pieces.areas(*even(found.shape))
    # The mean depth of a band is a quarter of its width.
    width = 4.0 * pieces.sums(depth) / np.maximum(areas, 1.0)
    length = areas / np.maximum(width, 1.0)
    band = (areas >= um2_to_px(mm2_to_um2(MIN_AREA_MM2), mpp)) & (width <= um_to_px(MAX_WIDTH_UM, mpp))
    band &= (length >= um_to_px(MIN_LENGTH_UM, mpp)) & (length >= MIN_SLENDER * width)
    pieces.paint(found, ~band, False)
    return found
