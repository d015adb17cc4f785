"""Label map -> true outlines: polygons along the pixels' edges, so that area and mask agree.

In: an (H, W) int32 label map. Out: one polygon per label in pixel coordinates, where pixel (i, j)
covers [i, i+1) x [j, j+1). All labels are traced at once: every pixel edge that parts two labels
knows its successor from its 2 x 2 surroundings, and the rings are put in order by pointer jumping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

# Edges run clockwise on screen (y down): top, right, bottom, left of their pixel.
STEP = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.int64)
START = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.int64)
OUTER = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)], np.int64)


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


def trace(labels: NDArray[np.int32]) -> Outlines:
    """Outlines of every label > 0 of an (H, W) int32 map; holes are filled, crumbs left out."""
    padded = np.pad(labels, 1)
    pixel, side = _edges(padded)
    if not len(pixel):
        return Outlines(np.zeros(0, np.int64), np.zeros(0, object))
    following = _successors(padded, pixel, side)
    ring, rank = _ordered(following)
    corner = side != side[_inverse(following)]
    pixel, side, ring, rank = pixel[corner], side[corner], ring[corner], rank[corner]
    order = np.lexsort((rank, ring))
    pixel, side, ring = pixel[order], side[order], ring[order]
    width = padded.shape[1]
    # The padding of one pixel is taken off again.
    x = pixel % width - 1 + START[side, 0]
    y = pixel // width - 1 + START[side, 1]
    return _polygons(padded.ravel()[pixel], x, y, ring)


def _edges(padded: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat pixel index and side (0-3) of every edge with a label on its inner side."""
    flat = padded.ravel()
    width = padded.shape[1]
    inside = np.flatnonzero(flat != 0)
    pixels, sides = [], []
    for side, (dx, dy) in enumerate(OUTER):
        edge = inside[flat[inside + dy * width + dx] != flat[inside]]
        pixels.append(edge)
        sides.append(np.full(len(edge), side, np.int64))
    return np.concatenate(pixels), np.concatenate(sides)


def _successors(
    padded: NDArray[np.int32], pixel: NDArray[np.int64], side: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index of the edge that follows each edge along its label's border (4-connected)."""
    flat = padded.ravel()
    width = padded.shape[1]
    # Only places of edges are written and read.
    lookup = np.empty((4, flat.size), np.int32)
    lookup[side, pixel] = np.arange(len(pixel), dtype=np.int32)
    ahead = pixel + STEP[side, 1] * width + STEP[side, 0]
    beyond = ahead + OUTER[side, 1] * width + OUTER[side, 0]
    own = flat[pixel]
    turn_in = flat[ahead] != own
    straight = ~turn_in & (flat[beyond] != own)
    next_side = np.where(turn_in, (side + 1) % 4, np.where(straight, side, (side + 3) % 4))
    next_pixel = np.where(turn_in, pixel, np.where(straight, ahead, beyond))
    return lookup[next_side, next_pixel].astype(np.int64)


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
    label: NDArray[np.int32], x: NDArray[np.int64], y: NDArray[np.int64], ring: NDArray[np.int64]
) -> Outlines:
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    number = np.cumsum(np.diff(ring, prepend=ring[0]) != 0)
    after = np.arange(len(ring)) + 1
    after[np.append(first[1:], len(ring)) - 1] = first
    doubled = np.bincount(number, (x * y[after] - x[after] * y).astype(np.float64), len(first))
    owner = label[first]
    # Outer rings have positive area; of several parts the largest is kept, the earlier one on a tie.
    order = np.lexsort((first, -doubled, owner))
    best = order[np.diff(owner[order], prepend=0) != 0]
    place = np.full(len(first), -1, np.int64)
    place[best] = np.arange(len(best))
    keep = place[number] >= 0
    coordinates = np.column_stack([x[keep], y[keep]]).astype(np.float64)
    index = place[number[keep]]
    by_label = np.argsort(index, kind="stable")
    rings = shapely.linearrings(coordinates[by_label], indices=index[by_label])
    polygons = np.asarray(shapely.polygons(rings), object)
    for wrong in np.flatnonzero(~shapely.is_valid(polygons)):
        # A ring that touches itself in a corner encloses a hole there; said as a hole it is valid.
        polygons[wrong] = _largest(shapely.buffer(polygons[wrong], 0))
    return Outlines(owner[best].astype(np.int64), polygons)


def _largest(geometry: shapely.Geometry) -> shapely.Geometry:
    parts = shapely.get_parts(geometry)
    return parts[int(np.argmax(shapely.area(parts)))]
