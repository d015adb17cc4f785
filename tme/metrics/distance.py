"""How far tissue is from the nearest vessel: to points along the walls, and 0 inside an outline."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.distance import distance_px
from tme.regions.raster import pixels_within
from tme.regions.walls import wall_points
from tme.tissue.types import TissueMask

CHUNK = 20_000
ROWS = 256


def distance_to_vessels(geometry: pa.ChunkedArray, mpp: float, tissue: TissueMask) -> NDArray[np.float32]:
    """Distance from each pixel's centre to the nearest vessel.

    Parameters
    ----------
    geometry : Arrow binary column
        WKB polygons in level-0 pixels; lumens are part of the vessel.
    mpp : float
        µm/px of level 0.
    tissue : TissueMask
        The grid.

    Returns
    -------
    (H, W) float32
        µm; 0 in a vessel. On tissue right to 1 µm beside a wall and to 0.1 µm from 5 µm on, however coarse
        the grid; off the tissue to about a pixel.
    """
    points, _ = wall_points(geometry, mpp)
    inside = np.zeros(tissue.shape, np.bool_)
    for start in range(0, len(geometry), CHUNK):
        polygons = shapely.from_wkb(geometry.slice(start, CHUNK).to_pylist())
        inside.ravel()[pixels_within(polygons, tissue.shape, tissue.mpp, mpp)[1]] = True
    seeds = inside.copy()
    seeds[tissue.pixel_at(*points.T)] = True
    distance = distance_px(~seeds)
    np.multiply(distance, np.float32(tissue.mpp), out=distance)
    # Distances are interpolated between pixels, so a pixel beside the tissue is wanted too.
    wanted = cv2.dilate(tissue.tissue.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_) & ~inside
    tree = cKDTree(points)
    for start in range(0, len(wanted), ROWS):
        row, column = np.nonzero(wanted[start : start + ROWS])
        centres = (np.stack([column, row + start], axis=1) + 0.5) * tissue.mpp
        distance[start + row, column] = tree.query(centres)[0]
    distance[inside] = 0.0
    return distance


def distance_at(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], distance_um: NDArray[np.float32], tissue: TissueMask
) -> NDArray[np.float64]:
    """Distances (N,) at points in µm from an (H, W) map of the grid, linear between pixels' centres."""
    (left, right, x), (above, below, y) = (
        _between(axis / tissue.mpp - 0.5, size)
        for axis, size in zip((x_um, y_um), tissue.shape[::-1], strict=True)
    )
    top = distance_um[above, left] * (1 - x) + distance_um[above, right] * x
    bottom = distance_um[below, left] * (1 - x) + distance_um[below, right] * x
    return np.asarray(top * (1 - y) + bottom * y, np.float64)


def _between(
    place: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels before and after places (N,) on an axis, and how far from the first towards the second, 0-1."""
    place = np.clip(place, 0, size - 1)
    before = place.astype(np.int64)
    return before, np.minimum(before + 1, size - 1), place - before
