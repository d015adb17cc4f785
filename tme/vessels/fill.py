"""Stained fragments of one vessel -> its filled outline and its lumen.

In: the stained pixels of one vessel in its own box, and what its surroundings look like. Out: one
connected outline. A hole is filled where the wall encloses it, gaps up to the joining distance
allowed; a large hole that holds nuclei is tissue that vessels surround, and stays open. A lumen has a
wall all around, also where nothing of it is stained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.config import VesselSettings
from tme.distance import distance_px
from tme.units import um_to_px, um_to_whole_px
from tme.vessels.morphology import (
    Bits,
    Bytes,
    Place,
    closed,
    opened,
    pieces,
    rim,
    sealed,
    widened,
    without_holes,
)

SMALL_HOLE_UM = 12.0
"""Equivalent diameter up to which an enclosed hole is filled whatever it holds."""
PALE_SHARE = 0.5
DARK_SHARE = 0.08
"""A hole is a lumen with this share of empty pixels, or with no more nuclei than this."""
LINED_SHARE = 0.7
"""Share of a hole's rim that endothelium must line where gaps are wider than the joining distance."""
WIDE_GAP_UM = 16.0
"""Widest gap in a wall."""
WIDER_THAN_GAP = 1.0
"""Half width of a lumen over half the gap that was sealed: the bay between two vessels is narrower."""
NARROW = 0.5
"""The same of a hole that is partly empty: a bay is tissue, a lumen holds blood at most."""
EMPTY_SHARE = 0.2
"""Share of empty pixels from which a hole is partly empty: what red cells leave between them."""
WALL_UM = 1.0
"""Thickness of a wall where none is stained, that of flat endothelium."""
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
    lumen : (H, W) bool
        Holes of at least the least lumen, inside the outline.
    """

    outline: Bits
    lumen: Bits


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
    lumen = sealed_lumens(stained, lined & ~stained, around, (max(1, reach // 2), reach), settings, mpp)
    outline = closed((stained | lumen).view(np.uint8), reach)
    # Its wall goes all around a lumen, also where nothing of it is stained.
    outline |= widened(lumen.view(np.uint8), um_to_whole_px(WALL_UM, mpp))
    small = np.pi / 4 * um_to_px(SMALL_HOLE_UM, mpp) ** 2
    for place, hole, area in pieces(without_holes(outline) - outline):
        # The wall's own nuclei bulge into small holes, which are filled whatever they hold.
        if area <= small:
            outline[place][hole] = 1
    _bridge(outline)
    return Filled(outline.view(bool), lumen)


def gapped_lumens(
    stained: Bits, lined: Bits, around: Surroundings, settings: VesselSettings, mpp: float
) -> Bits:
    """Lumens whose wall has gaps wider than the joining distance, up to `WIDE_GAP_UM`; (H, W) bool.

    Parameters as for `fill_vessel`; the margin is `wide_radius` + 1.
    """
    first, last = join_radius(settings, mpp), wide_radius(settings, mpp)
    radii = tuple(sorted({(first + last) // 2, last}))
    return sealed_lumens(stained, lined & ~stained, around, radii, settings, mpp)


def sealed_lumens(
    stained: Bits,
    known: Bits,
    around: Surroundings,
    radii: Sequence[int],
    settings: VesselSettings,
    mpp: float,
) -> Bits:
    """What walls enclose as they are, and when gaps up to twice each radius are sealed in turn.

    Narrow gaps come first: a wide sealing would swallow a slit before it is seen to be a lumen.
    """
    lumen = known.copy()
    _add_lumens(lumen, stained, 0, around, settings, mpp)
    least = least_lumen_px(settings, mpp)
    # Most walls have no gap: one look at the widest sealing says whether there is anything to find.
    whole = (stained | lumen).view(np.uint8)
    if radii and any(True for _ in pieces(_enclosed(whole, radii[-1]), least)):
        for radius in radii:
            _add_lumens(lumen, stained, radius, around, settings, mpp)
    return lumen


def _add_lumens(
    lumen: Bits, stained: Bits, radius: int, around: Surroundings, settings: VesselSettings, mpp: float
) -> None:
    """Add to ``lumen`` what one sealing encloses."""
    reach, contact = join_radius(settings, mpp), um_to_whole_px(CONTACT_UM, mpp)
    whole = (stained | lumen).view(np.uint8)
    near: Bytes | None = None
    for place, hole, area in pieces(_enclosed(whole, radius), least_lumen_px(settings, mpp)):
        if radius > reach and not _is_wide(place, hole, area, radius, around):
            continue
        if not is_lumen(place, hole, area, around, settings, mpp):
            continue
        near = widened(whole, contact) if near is None else near
        if _lined(place, hole, near):
            lumen[place][hole] = True


def _enclosed(whole: Bytes, radius: int) -> Bytes:
    inner = sealed(whole, radius) & (1 - whole)
    return opened(inner, 1) if radius else inner


def least_lumen_px(settings: VesselSettings, mpp: float) -> float:
    return float(np.pi / 4 * um_to_px(settings.min_lumen_um, mpp) ** 2)


def is_lumen(
    place: Place, hole: Bits, area: int, around: Surroundings, settings: VesselSettings, mpp: float
) -> bool:
    """Whether what a wall encloses is lumen: not too large, and without nuclei or mostly empty."""
    if area > np.pi / 4 * um_to_px(settings.max_lumen_um, mpp) ** 2:
        return False
    if np.count_nonzero(hole & around.dark[place]) <= DARK_SHARE * area:
        return True
    return bool(np.count_nonzero(hole & around.pale[place]) >= PALE_SHARE * area)


def _is_wide(place: Place, hole: Bits, area: int, radius: int, around: Surroundings) -> bool:
    """Whether a hole is wide enough for the gap that was sealed to be one in its wall."""
    width = _half_width(hole) / radius
    if width >= WIDER_THAN_GAP:
        return True
    return bool(width >= NARROW and np.count_nonzero(hole & around.pale[place]) >= EMPTY_SHARE * area)


def _half_width(hole: Bits) -> float:
    """Radius of the largest disc inside, px."""
    return float(distance_px(np.pad(hole, 1)).max())


def _lined(place: Place, hole: Bits, near: Bytes) -> bool:
    border = rim(hole.view(np.uint8))
    touching = np.count_nonzero(border & near[place])
    return bool(touching >= LINED_SHARE * np.count_nonzero(border))


def _bridge(outline: Bytes) -> None:
    """Draw the shortest lines that make the outline one piece, in place."""
    count, labels = cv2.connectedComponents(outline, connectivity=8, ltype=cv2.CV_32S)
    if count <= 2:
        return
    rims = [np.argwhere(rim(np.asarray(labels == label, np.uint8))) for label in range(1, count)]
    reached, left = rims[0], list(range(1, len(rims)))
    while left:
        near = [_nearest(reached, rims[index]) for index in left]
        best = min(range(len(left)), key=lambda position: near[position][0])
        _, start, end = near[best]
        cv2.line(outline, (int(start[1]), int(start[0])), (int(end[1]), int(end[0])), 1, 1)
        reached = np.concatenate([reached, rims[left.pop(best)]])


def _nearest(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[float, NDArray, NDArray]:
    distance, index = (np.atleast_1d(values) for values in cKDTree(one).query(other))
    at = int(np.argmin(distance))
    return float(distance[at]), one[index[at]], other[at]
