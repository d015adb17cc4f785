"""Nearest neighbours inside a mask of any shape, with Hanisch's correction for its edge.

A point's nearest neighbour is known for sure where it is nearer than the edge. Points that pass are
those far from the edge or close to a neighbour; weighing each by 1 / (area farther than d from the
edge) takes out that choice (Hanisch 1984, Statistics 15:409).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.distance import distance_px
from tme.tissue.types import Mask, TissueMask
from tme.units import px_to_mm2, px_to_um

Numbers = NDArray[np.float64]
ROWS = 256


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest neighbours of N points.

    Attributes
    ----------
    distance_um : (N,) float64
        To the nearest other point, µm; 0 where there is none.
    weight : (N,) float64
        1/mm²; 0 where the edge is nearer than the neighbour.
    """

    distance_um: Numbers
    weight: Numbers


def nearest_neighbours(x_um: Numbers, y_um: Numbers, mask: Mask, tissue: TissueMask) -> Neighbours:
    """Distances and Hanisch weights of points (N,) in µm that lie in an (H, W) bool mask."""
    if len(x_um) < 2:
        return Neighbours(np.zeros(len(x_um)), np.zeros(len(x_um)))
    points = np.stack([x_um, y_um], axis=1)
    distance = np.asarray(cKDTree(points).query(points, k=2)[0], np.float64)[:, 1]
    to_edge = _to_edge_px(mask)
    edge = np.asarray(tissue.values_at(x_um, y_um, to_edge), np.float64)
    edge_um = edge * px_to_um(1.0, tissue.mpp)
    inner_mm2 = _area_beyond_mm2(distance / px_to_um(1.0, tissue.mpp), to_edge, tissue.mpp)
    known = (distance <= edge_um) & (inner_mm2 > 0)
    weight = np.divide(1.0, inner_mm2, out=np.zeros(len(distance)), where=known)
    return Neighbours(distance, weight)


def _to_edge_px(mask: Mask) -> NDArray[np.float32]:
    """(H, W) float32 px from a pixel's centre to the mask's edge; the image's edge is one too."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = distance_px(padded)
    # The map measures to the next pixel's centre; the edge is half a pixel before it.
    return np.asarray(np.maximum(distance[1:-1, 1:-1] - np.float32(0.5), 0.0), np.float32)


def _area_beyond_mm2(distance_px: Numbers, to_edge: NDArray[np.float32], mpp: float) -> Numbers:
    """Area of the mask farther than each distance (N,) from its edge, mm²."""
    halves = np.zeros(int(2 * float(to_edge.max())) + 2, np.int64)
    for start in range(0, to_edge.shape[0], ROWS):
        part = to_edge[start : start + ROWS]
        halves += np.bincount((2 * part[part > 0]).astype(np.int64), minlength=len(halves))
    beyond = np.concatenate([np.cumsum(halves[::-1])[::-1], [0]])
    pixels = np.interp(2 * distance_px, np.arange(len(beyond)), beyond)
    return np.asarray(pixels * px_to_mm2(1.0, mpp))
