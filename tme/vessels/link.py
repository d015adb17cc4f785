"""Objects that are fragments of one vessel because they lie end to end -> which belong together.

A section meets the wall of a narrow vessel here and there: what it leaves are stretches in one line, farther
apart than two vessels side by side may be joined. Two ends face each other where each points at the other,
across a gap shorter than what it joins, and both stretches are about as wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from tme.units import um_to_px
from tme.vessels.table import Row

TURN_DEG = 25.0
"""Most an end may point past the other."""
SLENDER = 1.8
"""Least length over width of a stretch."""
LIKE = 2.0
"""Most the wider end is wider than the other."""
REACH_UM = 12.0
"""Stretch behind an end that says where it points and how wide it is."""

END_UM = 4.0
"""What counts as the end itself."""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ends:
    """Both ends of every slender object.

    Attributes
    ----------
    owner : (N,) int64
        Index of the object.
    tip, way : (N, 2) float64
        Place, px, and unit vector outwards.
    width : (N,) float64
        px
    """

    owner: NDArray[np.int64]
    tip: Points
    way: Points
    width: NDArray[np.float64]


def in_line(rows: Sequence[Row], gap_um: float, mpp: float) -> list[tuple[int, int]]:
    """Pairs of rows end to end, at most ``gap_um`` apart: each end in one pair, the nearest first."""
    ends = _ends(rows, mpp)
    if len(ends.owner) < 2:
        return []
    pairs = cKDTree(ends.tip).query_pairs(um_to_px(gap_um, mpp), output_type="ndarray")
    one, other = pairs.T
    across = ends.tip[other] - ends.tip[one]
    gap = np.linalg.norm(across, axis=1)
    across /= np.maximum(gap, 1e-9)[:, None]
    straight = np.cos(np.deg2rad(TURN_DEG))
    width = np.stack([ends.width[one], ends.width[other]])
    facing = (
        (ends.owner[one] != ends.owner[other])
        & ((ends.way[one] * across).sum(axis=1) >= straight)
        & ((ends.way[other] * -across).sum(axis=1) >= straight)
        & (width.max(axis=0) <= LIKE * width.min(axis=0))
    )
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for index in np.flatnonzero(facing)[np.argsort(gap[facing], kind="stable")]:
        if taken.isdisjoint(pairs[index].tolist()):
            taken.update(pairs[index].tolist())
            found.append((int(ends.owner[one[index]]), int(ends.owner[other[index]])))
    return found


def _ends(rows: Sequence[Row], mpp: float) -> Ends:
    owner, tips, ways, widths = [], [], [], []
    reach, near = um_to_px(REACH_UM, mpp), um_to_px(END_UM, mpp)
    for index, row in enumerate(rows):
        if row.evidence.max_feret_um < SLENDER * row.evidence.min_feret_um:
            continue
        # Where an outline touches itself, GEOS would refuse to cut it.
        outline = shapely.make_valid(row.polygon)
        for corner in _farthest(outline):
            behind, end = (outline.intersection(shapely.Point(corner).buffer(by)) for by in (reach, near))
            # The outermost point is a corner; the end is where the middle line leaves the outline.
            middle = shapely.get_coordinates(behind.centroid)[0]
            way = shapely.get_coordinates(end.centroid)[0] - middle
            way /= max(float(np.hypot(*way)), 1e-9)
            owner.append(index)
            tips.append(middle + ((corner - middle) @ way) * way)
            ways.append(way)
            widths.append(behind.area / min(reach, um_to_px(row.evidence.max_feret_um, mpp)))
    shape = (len(owner), 2)
    return Ends(
        np.array(owner, np.int64),
        np.array(tips, np.float64).reshape(shape),
        np.array(ways, np.float64).reshape(shape),
        np.array(widths, np.float64),
    )


def _farthest(polygon: BaseGeometry) -> tuple[Points, Points]:
    """The two points of an outline that lie farthest apart."""
    hull = shapely.get_coordinates(polygon.convex_hull)[:-1]
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    first, second = np.unravel_index(int(apart.argmax()), apart.shape)
    return hull[first], hull[second]
