"""How far tissue is from the nearest vessel: outlines drawn on the tissue grid, then a distance map."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tme.distance import distance_px
from tme.tissue.types import TissueMask

SUBPIXEL_BITS = 4
CHUNK = 20_000


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
        µm; 0 in a vessel. Right to about half a pixel of the grid.
    """
    away = np.ones(tissue.shape, np.uint8)
    scale = mpp / tissue.mpp
    for start in range(0, len(geometry), CHUNK):
        parts = shapely.get_parts(shapely.from_wkb(geometry.slice(start, CHUNK).to_pylist()))
        rings = shapely.get_exterior_ring(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
        points, ring = shapely.get_coordinates(rings, return_index=True)
        # OpenCV's pixel (0, 0) has its centre at (0, 0), tme's at (0.5, 0.5).
        fixed = np.rint((points * scale - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        for outline in np.split(fixed, np.flatnonzero(np.diff(ring)) + 1):
            if len(outline):
                cv2.fillPoly(away, [outline], 0, shift=SUBPIXEL_BITS)
    distance = distance_px(away)
    return np.multiply(distance, np.float32(tissue.mpp), out=distance)
