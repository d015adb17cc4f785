"""Stained fragments of one vessel -> its filled outline and its lumen.

In: the stained pixels of one vessel in its own box, and what its surroundings look like. Out: one
connected outline. A hole is filled where the wall encloses it, gaps up to the joining distance
allowed; a large hole that holds nuclei is tissue that vessels surround, and stays open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.config import VesselSettings
from tme.units import um_to_px, um_to_whole_px

Bits = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Place = tuple[slice, slice]

SMALL_HOLE_UM = 12.0
"""Equivalent diameter up to which an enclosed hole is filled whatever it holds."""
PALE_SHARE = 0.5
DARK_SHARE = 0.08
"""A larger hole is a lumen with this share of empty pixels, or with no more nuclei than this."""
LINED_SHARE = 0.7
"""Share of a hole's rim that endothelium must line where gaps are wider than the joining distance."""
WIDE_GAP_UM = 12.0
"""Widest gap in a wall."""
CONTACT_UM = 2.0
"""Reach within which endothelium lines a rim."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What the pixels of a box look like, each (H, W) bool: ``pale`` empty, ``dark`` nuclei."""

    pale: Bits
    dark: Bits


@dataclass(frozen=True, eq=False)
class Filled:
    """One vessel in its box.

    Attributes
    ----------
    outline : (H, W) bool
        Stain, lumen and bridged gaps: 8-connected.
    lumen_px : int
        Pixels in holes of at least the least lumen.
    """

    outline: Bits
    lumen_px: int


def disc(radius: int) -> Bytes:
    """Structuring element of all pixels within ``radius`` of the middle one."""
    axis = np.arange(-radius, radius + 1)
    return np.asarray(axis[:, None] ** 2 + axis[None, :] ** 2 <= radius * (radius + 1), np.uint8)


def join_radius(settings: VesselSettings, mpp: float) -> int:
    """Pixels by which two fragments are widened to see whether they belong together."""
    return um_to_whole_px(settings.join_um / 2, mpp)


def wide_radius(settings: VesselSettings, mpp: float) -> int:
    """The same for the two ends of a gap in a wall."""
    return max(join_radius(settings, mpp), um_to_whole_px(WIDE_GAP_UM / 2, mpp))


def fill_vessel(
    stained: Bits, lined: Bits, around: Surroundings, settings: VesselSettings, mpp: float
) -> Filled:
    """Close gaps up to the joining distance and fill what is enclosed.

    Parameters
    ----------
    stained, lined : (H, W) bool
        Endothelium, and lumens already known. With a margin of at least `join_radius` + 1 empty
        pixels on all sides.
    around : Surroundings
        Of the same box.
    settings : VesselSettings
    mpp : float
    """
    reach = join_radius(settings, mpp)
    lumen = sealed_lumens(stained, lined & ~stained, around, (0, max(1, reach // 2), reach), settings, mpp)
    outline = _close((stained | lumen).view(np.uint8), reach)
    for place, hole, area in _pieces(1 - outline):
        if not _is_outside(place, outline) and is_lumen(place, hole, area, around, settings, mpp):
            outline[place][hole] = 1
    _bridge(outline)
    return Filled(outline.view(bool), int(lumen.sum()))


def gapped_lumens(
    stained: Bits, lined: Bits, around: Surroundings, settings: VesselSettings, mpp: float
) -> Bits:
    """Lumens whose wall has gaps wider than the joining distance, up to `WIDE_GAP_UM`; (H, W) bool.

    Parameters as for `fill_vessel`; the margin is `wide_radius` + 1.
    """
    first, last = join_radius(settings, mpp), wide_radius(settings, mpp)
    radii = tuple(range(first + 2, last + 1, 2))
    return sealed_lumens(stained, lined & ~stained, around, radii, settings, mpp)


def sealed_lumens(
    stained: Bits,
    known: Bits,
    around: Surroundings,
    radii: Sequence[int],
    settings: VesselSettings,
    mpp: float,
) -> Bits:
    """What walls enclose when gaps up to twice each radius are sealed, in turn; (H, W) bool.

    Narrow gaps come first: a wide sealing would swallow a slit before it is seen to be a lumen.
    """
    lumen = known.copy()
    contact = disc(um_to_whole_px(CONTACT_UM, mpp))
    least = np.pi / 4 * um_to_px(settings.min_lumen_um, mpp) ** 2
    for radius in radii:
        whole = (stained | lumen).view(np.uint8)
        near = cv2.dilate(whole, contact)
        inner = _sealed(whole, radius) & (1 - whole)
        if radius:
            inner = np.asarray(cv2.morphologyEx(inner, cv2.MORPH_OPEN, disc(1)), np.uint8)
        for place, hole, area in _pieces(inner):
            if (
                area >= least
                and is_lumen(place, hole, area, around, settings, mpp)
                and _lined(place, hole, near)
            ):
                lumen[place][hole] = True
    return lumen


def is_lumen(
    place: Place, hole: Bits, area: int, around: Surroundings, settings: VesselSettings, mpp: float
) -> bool:
    """Whether what a wall encloses is filled: small, or not too large and without nuclei."""
    if area <= np.pi / 4 * um_to_px(SMALL_HOLE_UM, mpp) ** 2:
        return True
    if area > np.pi / 4 * um_to_px(settings.max_lumen_um, mpp) ** 2:
        return False
    if np.count_nonzero(hole & around.dark[place]) <= DARK_SHARE * area:
        return True
    return np.count_nonzero(hole & around.pale[place]) >= PALE_SHARE * area


def _lined(place: Place, hole: Bits, near: Bytes) -> bool:
    padded = np.pad(hole.view(np.uint8), 1)
    rim = hole & (cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1] == 0)
    return bool(np.count_nonzero(rim & (near[place] > 0)) >= LINED_SHARE * np.count_nonzero(rim))


def _sealed(whole: Bytes, radius: int) -> Bytes:
    """The object widened, its holes filled, and narrowed again: gaps up to twice the radius are shut."""
    wide = cv2.dilate(whole, disc(radius)) if radius else whole.copy()
    for place, hole, _ in _pieces(1 - wide):
        if not _is_outside(place, wide):
            wide[place][hole] = 1
    return np.asarray(cv2.erode(wide, disc(radius)) if radius else wide, np.uint8)


def _close(whole: Bytes, radius: int) -> Bytes:
    return np.asarray(cv2.morphologyEx(whole, cv2.MORPH_CLOSE, disc(radius)), np.uint8)


def _pieces(mask: Bytes) -> Iterator[tuple[Place, Bits, int]]:
    """Place, mask and pixels of every 4-connected piece."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        place = (slice(y, y + height), slice(x, x + width))
        yield place, labels[place] == label, area


def _is_outside(place: Place, whole: Bytes) -> bool:
    """Whether a piece of the background is what lies around the object: it reaches the box's border."""
    rows, columns = place
    return (
        rows.start == 0 or columns.start == 0 or rows.stop == whole.shape[0] or columns.stop == whole.shape[1]
    )


def _bridge(outline: Bytes) -> None:
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
