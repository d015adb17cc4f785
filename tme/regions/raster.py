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
Indices = NDArray[np.int64]


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
        edges, _ = _edges([polygon], mask_mpp, slide_mpp)
        if len(edges):
            _, row, x = _cuts(edges, shape[0])
            _fill(mask, row, x)
    return mask


def pixels_within(
    polygons: Sequence[BaseGeometry], shape: tuple[int, int], mask_mpp: float, slide_mpp: float
) -> tuple[Indices, Indices]:
    """Pixels of each of many small polygons, by the rule of `rasterise`.

    Returns
    -------
    owner : (P,) int64
        Polygon of each pixel, ascending.
    pixel : (P,) int64
        Its place in an (H, W) mask read row by row. Where polygons overlap it is in both.
    """
    edges, edge_owner = _edges(polygons, mask_mpp, slide_mpp)
    edge, row, x = _cuts(edges, shape[0])
    owner, column = edge_owner[edge], _columns(x, shape[1])
    order = np.lexsort((column, row, owner))
    owner, row, column = owner[order], row[order], column[order]
    # A line is inside from its odd cuts to its even ones.
    starts, counts = column[::2], column[1::2] - column[::2]
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(owner[::2], counts), np.repeat(row[::2] * shape[1] + starts, counts) + place


def _edges(polygons: Sequence[BaseGeometry], mask_mpp: float, slide_mpp: float) -> tuple[Numbers, Indices]:
    """(N, 4) float64 edges x0, y0, x1, y1 in mask pixels, y0 < y1, and the polygon (N,) of each.

    Level edges are left out.
    """
    parts, of_part = shapely.get_parts(np.asarray(polygons, dtype=object), return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points = points * um_to_px(px_to_um(1.0, slide_mpp), mask_mpp)
    edges = np.hstack([points[:-1], points[1:]])
    upward = edges[:, 1] > edges[:, 3]
    edges[upward] = edges[upward][:, [2, 3, 0, 1]]
    # From one ring's last corner to the next one's first there is no edge.
    kept = (ring[:-1] == ring[1:]) & (edges[:, 1] < edges[:, 3])
    return edges[kept], of_part[of_ring[ring[:-1][kept]]]


def _cuts(edges: Numbers, height: int) -> tuple[Indices, Indices, Numbers]:
    """Edge and row, (K,) int64, and x (K,) in mask pixels, where edges cut the lines of pixel centres."""
    # Row r has its centre at r + ½; an edge spans those with y0 <= r + ½ < y1.
    first = np.clip(np.ceil(edges[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(edges[:, 3] - 0.5), 0, height).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(edges)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x0, y0, x1, y1 = edges[edge].T
    return edge, row, x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))


def _columns(x: Numbers, width: int) -> Indices:
    """First pixel (K,) int64 whose centre lies right of, or on, each cut, within the mask."""
    return np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)


def _fill(mask: Mask, row: Indices, x: Numbers) -> None:
    """Set the pixels right of an odd number of cuts, in the rows the cuts lie in."""
    column = _columns(x, mask.shape[1])
    if len(row) == 0 or column.max() == column.min():
        return
    top, left = int(row.min()), int(column.min())
    window = np.zeros((int(row.max()) + 1 - top, int(column.max()) + 1 - left), dtype=np.int32)
    np.add.at(window, (row - top, column - left), 1)
    # Right of the last cut all is outside, so the last column only closes the rows.
    inside = (np.cumsum(window, axis=1)[:, :-1] & 1).astype(bool)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] |= inside
