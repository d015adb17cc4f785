"""Label map -> true outlines: polygons between the pixels of a label and those around it.

In: an (H, W) int32 label map, and how far above the border's level each pixel is, where that is known. Out:
one polygon per label in pixel coordinates, where pixel (i, j) covers [i, i+1) x [j, j+1). An outline crosses
the way from a pixel's centre to its neighbour's where the level falls to 0, halfway where nothing is known of
it (marching squares, Lorensen and Cline 1987 in two dimensions): it holds the centres of the label's pixels
and no others. All labels are traced at once: every pixel edge that parts two labels knows its successor from
its 2 x 2 surroundings, and the rings are put in order by pointer jumping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

# Edges run clockwise on screen (y down): top, right, bottom, left of their pixel.
AHEAD = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.int64)
OUTER = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)], np.int64)
PLACES = 8
"""Between two pixel centres, at which an outline may cross."""
THIN_PX = 1 / 16
"""How far from its outline a point may lie that is left out. Less than half of what two outlines that pass a
pixel's centre, a place away from it, leave between them: neither crosses the other or the centre."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """Polygons of a label map.

    Attributes
    ----------
    labels : (n,) int64
        Labels that are present, ascending.
    polygons : (n,) object
        shapely polygons in pixel coordinates: the outer ring of the label's largest 4-connected part.
    """

    labels: NDArray[np.int64]
    polygons: NDArray[np.object_]


def trace(labels: NDArray[np.int32], level: NDArray[np.float32] | None = None) -> Outlines:
    """Outlines of every label > 0; holes are filled, crumbs left out.

    Parameters
    ----------
    labels : (H, W) int32
    level : (H, W) float32, optional
        Above 0 in nuclei, 0 or less outside, NaN where nothing is known; only asked between a label and
        background.
    """
    padded = np.pad(labels, 1)
    pixel, side = _edges(padded)
    if not len(pixel):
        return Outlines(np.zeros(0, np.int64), np.zeros(0, object))
    along = _crossings(padded, level, pixel, side)
    following = _successors(padded, pixel, side)
    ring, rank = _ordered(following)
    bend = _bends(side, along, following)
    pixel, side, along, ring, rank = pixel[bend], side[bend], along[bend], ring[bend], rank[bend]
    order = np.lexsort((rank, ring))
    pixel, side, along, ring = pixel[order], side[order], along[order], ring[order]
    # The padding of one pixel is taken off again.
    row, column = np.divmod(pixel, padded.shape[1])
    x = column - 0.5 + OUTER[side, 0] * along / PLACES
    y = row - 0.5 + OUTER[side, 1] * along / PLACES
    return _polygons(padded.ravel()[pixel], x, y, ring)


def large_enough(outlines: Outlines, least_px: float) -> Outlines:
    """Those of at least ``least_px`` pixels, of which an outline may cut half a one off its corners."""
    keep = shapely.area(outlines.polygons) >= least_px - 0.5
    return Outlines(outlines.labels[keep], outlines.polygons[keep])


def _edges(padded: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat pixel index and side (0-3) of every edge with a label on its inner side."""
    flat = padded.ravel()
    width = padded.shape[1]
    inside = np.flatnonzero(flat != 0)
    own = flat[inside]
    pixels, sides = [], []
    for side, (dx, dy) in enumerate(OUTER):
        edge = inside[flat[inside + dy * width + dx] != own]
        pixels.append(edge)
        sides.append(np.full(len(edge), side, np.int64))
    return np.concatenate(pixels), np.concatenate(sides)


def _successors(
    padded: NDArray[np.int32], pixel: NDArray[np.int64], side: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index of the edge that follows each edge along its label's border (4-connected)."""
    flat = padded.ravel()
    width = padded.shape[1]
    ahead = pixel + AHEAD[side, 1] * width + AHEAD[side, 0]
    beyond = ahead + OUTER[side, 1] * width + OUTER[side, 0]
    own = flat[pixel]
    turn_in = flat[ahead] != own
    straight = ~turn_in & (flat[beyond] != own)
    next_side = np.where(turn_in, (side + 1) % 4, np.where(straight, side, (side + 3) % 4))
    next_pixel = np.where(turn_in, pixel, np.where(straight, ahead, beyond))
    # Edges come by side, then pixel, and most of those asked for follow one another too.
    return np.searchsorted(side * flat.size + pixel, next_side * flat.size + next_pixel)


def _crossings(
    padded: NDArray[np.int32],
    level: NDArray[np.float32] | None,
    pixel: NDArray[np.int64],
    side: NDArray[np.int64],
) -> NDArray[np.int64]:
    """How far from its pixel's centre to its neighbour's each edge's point lies, in `PLACES`; on neither."""
    along = np.full(len(pixel), PLACES // 2)
    if level is None:
        return along
    beside = pixel + OUTER[side, 1] * padded.shape[1] + OUTER[side, 0]
    levels = np.pad(level, 1, constant_values=np.nan).ravel()
    inner, outer = levels[pixel], levels[beside]
    known = np.flatnonzero((padded.ravel()[beside] == 0) & (inner > 0) & (inner < np.inf) & (outer <= 0))
    inner, outer = inner[known], outer[known]
    along[known] = np.clip(np.rint(PLACES * inner / (inner - outer)), 1, PLACES - 1)
    return along


def _bends(
    side: NDArray[np.int64], along: NDArray[np.int64], following: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which edges' points do not lie on a row or column with the one before and the one after."""
    same = (side == side[following]) & (along == along[following])
    return ~(same & same[_inverse(following)])


def _inverse(following: NDArray[np.int64]) -> NDArray[np.int64]:
    before = np.empty_like(following)
    before[following] = np.arange(len(following))
    return before


def _ordered(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ring of each edge (its lowest edge index) and the edge's place along the ring."""
    ring = np.arange(len(following))
    jump = following
    while True:
        lower = np.minimum(ring, ring[jump])
        if np.array_equal(lower, ring):
            break
        ring, jump = lower, jump[jump]
    # Steps to the ring's end, found by doubling on the ring cut open before its lowest edge.
    last = following == ring
    jump = np.where(last, np.arange(len(following)), following)
    steps = np.where(last, 0, 1)
    while True:
        further = steps + steps[jump]
        if np.array_equal(further, steps):
            return ring, -steps
        steps, jump = further, jump[jump]


def _polygons(
    label: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64], ring: NDArray[np.int64]
) -> Outlines:
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    number = np.cumsum(np.diff(ring, prepend=ring[0]) != 0)
    after = np.arange(len(ring)) + 1
    after[np.append(first[1:], len(ring)) - 1] = first
    doubled = np.bincount(number, x * y[after] - x[after] * y, len(first))
    owner = label[first]
    # Outer rings have positive area; of several parts the largest is kept, the earlier one on a tie.
    order = np.lexsort((first, -doubled, owner))
    best = order[np.diff(owner[order], prepend=0) != 0]
    place = np.full(len(first), -1, np.int64)
    place[best] = np.arange(len(best))
    keep = place[number] >= 0
    coordinates = np.column_stack([x[keep], y[keep]])
    index = place[number[keep]]
    by_label = np.argsort(index, kind="stable")
    polygons = shapely.polygons(shapely.linearrings(coordinates[by_label], indices=index[by_label]))
    thinned = shapely.simplify(polygons, THIN_PX, preserve_topology=False)
    return Outlines(owner[best].astype(np.int64), np.asarray(thinned, object))
