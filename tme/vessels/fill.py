"""Stained fragments of one vessel -> its filled outline and its lumen.

In: the stained pixels of one vessel in its own box, and which pixels are empty. Out: one connected
outline. A hole is a lumen where the wall encloses it, gaps up to the joining distance allowed; a
large hole must look empty, else it is tissue that vessels surround.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.config import VesselSettings
from tme.units import um_to_px, um_to_whole_px

Bits = NDArray[np.bool_]

SMALL_HOLE_UM = 12.0
"""Equivalent diameter up to which an enclosed hole is filled whatever it holds."""
PALE_SHARE = 0.35
"""Share of empty pixels from which a larger hole is a lumen; the rest is blood and plasma."""


@dataclass(frozen=True, eq=False)
class Filled:
    """One vessel in its box.

    Attributes
    ----------
    outline : (H, W) bool
        Stain, lumen and bridged gaps: 8-connected.
    lumen_px : int
        Pixels in holes of at least the least lumen.
    lumen_pale_px : int
        Empty pixels among them.
    """

    outline: Bits
    lumen_px: int
    lumen_pale_px: int


def disc(radius: int) -> NDArray[np.uint8]:
    """Structuring element of all pixels within ``radius`` of the rims one."""
    axis = np.arange(-radius, radius + 1)
    return np.asarray(axis[:, None] ** 2 + axis[None, :] ** 2 <= radius * (radius + 1), np.uint8)


def join_radius(settings: VesselSettings, mpp: float) -> int:
    """Pixels by which two fragments are widened to see whether they belong together."""
    return um_to_whole_px(settings.join_um / 2, mpp)


def fill_vessel(stained: Bits, pale: Bits, settings: VesselSettings, mpp: float) -> Filled:
    """Close gaps step by step and fill what each step encloses.

    Parameters
    ----------
    stained, pale : (H, W) bool
        With a margin of at least `join_radius` + 1 empty pixels on all sides of ``stained``.
    settings : VesselSettings
    mpp : float
    """
    reach = join_radius(settings, mpp)
    outline = stained.view(np.uint8).copy()
    lumen = np.zeros(stained.shape, bool)
    # Narrow gaps first: a wide closing would swallow a slit before it is seen to be a lumen.
    for radius in sorted({0, max(1, reach // 2), reach}):
        if radius:
            outline = np.asarray(cv2.morphologyEx(outline, cv2.MORPH_CLOSE, disc(radius)), np.uint8)
        _fill_holes(outline, lumen, pale, settings, mpp)
    _bridge(outline)
    return Filled(outline.view(bool), int(lumen.sum()), int((lumen & pale).sum()))


def _fill_holes(
    outline: NDArray[np.uint8], lumen: Bits, pale: Bits, settings: VesselSettings, mpp: float
) -> None:
    """Fill holes of ``outline`` in place and mark those that are lumens."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - outline, connectivity=4, ltype=cv2.CV_32S)
    if count <= 2:
        return
    largest = np.pi / 4 * um_to_px(settings.max_lumen_um, mpp) ** 2
    small = np.pi / 4 * um_to_px(SMALL_HOLE_UM, mpp) ** 2
    least = np.pi / 4 * um_to_px(settings.min_lumen_um, mpp) ** 2
    outside = labels[0, 0]
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        if label == outside or area > largest:
            continue
        box = (slice(y, y + height), slice(x, x + width))
        hole = labels[box] == label
        if area > small and np.count_nonzero(hole & pale[box]) < PALE_SHARE * area:
            continue
        outline[box][hole] = 1
        if area >= least:
            lumen[box][hole] = True


def _bridge(outline: NDArray[np.uint8]) -> None:
    """Draw the shortest lines that make the outline one piece, in place."""
    count, labels = cv2.connectedComponents(outline, connectivity=8, ltype=cv2.CV_32S)
    if count <= 2:
        return
    rims = [np.argwhere(_rim(labels == label)) for label in range(1, count)]
    reached, left = rims[0], list(range(1, len(rims)))
    while left:
        near = [_nearest(reached, rims[index]) for index in left]
        best = min(range(len(left)), key=lambda position: near[position][0])
        _, start, end = near[best]
        cv2.line(outline, (int(start[1]), int(start[0])), (int(end[1]), int(end[0])), 1, 1)
        reached = np.concatenate([reached, rims[left.pop(best)]])


def _rim(piece: Bits) -> Bits:
    inner = cv2.erode(piece.view(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(piece & (inner == 0), bool)


def _nearest(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[float, NDArray, NDArray]:
    distance, index = cKDTree(one).query(other)
    at = int(np.argmin(distance))
    return float(distance[at]), one[index[at]], other[at]
