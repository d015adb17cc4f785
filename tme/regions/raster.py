"""Polygons onto the grid of a tissue mask: a pixel belongs to the area its centre lies in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tme.tissue.types import Mask
from tme.units import px_to_um, um_to_px

Numbers = NDArray[np.float64]


def rasterise(
    polygons: Sequence[BaseGeometry], shape: tuple[int, int], mask_mpp: float, slide_mpp: float
) -> Mask:
    """Pixels whose centre lies in any of the polygons.

    The centre of mask pixel i is at (i + ½)·``mask_mpp`` µm. Every edge is cut with the lines of
    centres it spans, and a line is inside between its odd and its even cuts (even-odd rule, which for
    valid polygons is the inside). Edges are half-open, so areas that share an edge share no pixel.

    Parameters
    ----------
    polygons : sequence of Polygon or MultiPolygon
        Valid, in level-0 pixels.
    shape : (int, int)
        (H, W) of the mask.
    mask_mpp, slide_mpp : float
        µm/px of the mask and of level 0.

    Returns
    -------
    (H, W) bool
    """
    mask = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        ends = _edges(polygon, mask_mpp, slide_mpp)
        if len(ends):
            _fill(mask, *_cuts(ends, shape[0]))
    return mask


def _edges(polygon: BaseGeometry, mask_mpp: float, slide_mpp: float) -> Numbers:
    """(N, 4) float64 edges x0, y0, x1, y1 in mask pixels, y0 < y1; level ones left out."""
    scale = um_to_px(px_to_um(1.0, slide_mpp), mask_mpp)
    found = []
    for part in shapely.get_parts(polygon):
        for ring in shapely.get_rings(part):
            points = shapely.get_coordinates(ring) * scale
            found.append(np.hstack([points[:-1], points[1:]]))
    if not found:
        return np.empty((0, 4))
    edges = np.vstack(found)
    upward = edges[:, 1] > edges[:, 3]
    edges[upward] = edges[upward][:, [2, 3, 0, 1]]
    return edges[edges[:, 1] < edges[:, 3]]


def _cuts(edges: Numbers, height: int) -> tuple[NDArray[np.int64], Numbers]:
    """Rows (K,) int64 and x (K,) float64 in mask pixels where edges cut the lines of pixel centres."""
    # Row r has its centre at r + ½; an edge spans those with y0 <= r + ½ < y1.
    first = np.clip(np.ceil(edges[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(edges[:, 3] - 0.5), 0, height).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(edges)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x0, y0, x1, y1 = edges[edge].T
    return row, x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))


def _fill(mask: Mask, row: NDArray[np.int64], x: Numbers) -> None:
    """Set the pixels right of an odd number of cuts, in the rows the cuts lie in."""
    column = np.clip(np.ceil(x - 0.5), 0, mask.shape[1]).astype(np.int64)
    if len(row) == 0 or column.max() == column.min():
        return
    top, left = int(row.min()), int(column.min())
    window = np.zeros((int(row.max()) + 1 - top, int(column.max()) + 1 - left), dtype=np.int32)
    np.add.at(window, (row - top, column - left), 1)
    # Right of the last cut all is outside, so the last column only closes the rows.
    inside = (np.cumsum(window, axis=1)[:, :-1] & 1).astype(bool)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] |= inside
