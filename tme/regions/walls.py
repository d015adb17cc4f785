"""Where vessels lie: with their walls, as a wide lumen is no tissue and its middle lies in nothing.

In: outlines of vessels and the tissue grid. Out: points along the outlines, and which vessels lie in a
mask. Depends on the outlines alone, so tiles have no say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tme.tissue.types import Mask, TissueMask
from tme.units import px_to_um, um_to_px

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
STEP_UM = 2.0
"""Points along a wall lie no farther apart: a distance of 5 µm to them is right to 0.1 µm."""
CHUNK = 20_000
"""Outlines decoded together, so that memory does not grow with the slide."""


@dataclass(frozen=True, eq=False)
class Walls:
    """Points along the outlines of N vessels, on the tissue grid.

    Attributes
    ----------
    tissue : TissueMask
        The grid.
    x_um, y_um : (N,) float64
        Centroids.
    owner : (P,) int64
        Vessel of each point, ascending.
    pixel : (P,) int64
        Pixel of the grid each point lies in, row by row.
    """

    tissue: TissueMask
    x_um: Numbers
    y_um: Numbers
    owner: Indices
    pixel: Indices

    @property
    def on_tissue(self) -> NDArray[np.bool_]:
        """(N,) bool: vessels whose centroid lies on tissue, or most of their outline."""
        middle: NDArray[np.bool_] = self.tissue.values_at(self.x_um, self.y_um, self.tissue.tissue)
        whole = np.bincount(self.owner, minlength=len(self.x_um))
        return np.asarray(middle | (2 * self._points_in(self.tissue.tissue) > whole))

    def inside(self, mask: Mask) -> NDArray[np.bool_]:
        """Vessels that lie in an (H, W) bool part of the tissue; (N,) bool.

        They are on tissue, with most of what of their outline lies on tissue in the mask. Of masks
        without a common pixel a vessel lies in one at most.
        """
        there, whole = self._points_in(mask), self._points_in(self.tissue.tissue)
        middle = self.tissue.values_at(self.x_um, self.y_um, mask)
        # A speck on tissue whose outline is not leaves only its centroid.
        return np.asarray(self.on_tissue & np.where(whole > 0, 2 * there > whole, middle))

    def labels_of(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Label of each vessel on an (H, W) int32 map, -1 being none; (N,) int32.

        That of the centroid; where it has none, the one that most points of the outline have.
        """
        found = np.array(self.tissue.values_at(self.x_um, self.y_um, labels), np.int32)
        ends = np.searchsorted(self.owner, np.arange(len(found) + 1))
        for vessel in np.flatnonzero(found < 0):
            along = labels.ravel()[self.pixel[ends[vessel] : ends[vessel + 1]]]
            if (along >= 0).any():
                found[vessel] = np.bincount(along[along >= 0]).argmax()
        return found

    def _points_in(self, mask: Mask) -> Indices:
        """(N,) int64: points of each vessel in an (H, W) bool mask."""
        return np.bincount(self.owner[mask.ravel()[self.pixel]], minlength=len(self.x_um))


def make_walls(vessels: pa.Table, mpp: float, tissue: TissueMask) -> Walls:
    """Walls of the rows of a vessel table, whose outlines are in level-0 pixels of ``mpp`` µm/px."""
    x, y = (np.asarray(vessels[name].to_numpy(), np.float64) for name in ("x_um", "y_um"))
    points, owner = wall_points(vessels["geometry"], mpp)
    row, column = tissue.pixel_at(*points.T)
    return Walls(tissue, x, y, owner, row * tissue.shape[1] + column)


def wall_points(geometry: pa.ChunkedArray, mpp: float) -> tuple[Numbers, Indices]:
    """Points evenly along outlines, unfilled holes included, `STEP_UM` apart at most.

    Parameters
    ----------
    geometry : Arrow binary column
        WKB polygons in level-0 pixels.
    mpp : float
        µm/px of level 0.

    Returns
    -------
    points : (P, 2) float64
        x and y, µm.
    owner : (P,) int64
        Row of each, ascending.
    """
    points, owners = [np.empty((0, 2))], [np.empty(0, np.int64)]
    for start in range(0, len(geometry), CHUNK):
        polygons = shapely.from_wkb(geometry.slice(start, CHUNK).to_pylist())
        parts, of_part = shapely.get_parts(polygons, return_index=True)
        rings, of_ring = shapely.get_rings(parts, return_index=True)
        found, ring = _along(rings, um_to_px(STEP_UM, mpp))
        points.append(found * px_to_um(1.0, mpp))
        owners.append(start + of_part[of_ring[ring]])
    return np.concatenate(points), np.concatenate(owners)


def _along(rings: NDArray[np.object_], step: float) -> tuple[Numbers, Indices]:
    """Points (P, 2) evenly along rings, ``step`` apart at most, and the ring (P,) of each."""
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(corners):
        return corners, ring
    sides = np.hypot(*np.diff(corners, axis=0).T)
    sides[ring[1:] != ring[:-1]] = 0.0
    # Length from the first corner of all, one ring after the other.
    reached = np.concatenate([[0.0], np.cumsum(sides)])
    first = np.searchsorted(ring, np.arange(len(rings)))
    length = np.add.reduceat(np.append(sides, 0.0), first)
    number = np.maximum(np.ceil(length / step), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(rings)), number)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    # Half a step from a ring's ends, where the next ring begins at the same length.
    at = reached[first][owner] + (place + 0.5) * (length / number)[owner]
    return np.stack([np.interp(at, reached, axis) for axis in corners.T], axis=1), owner
