"""Outlines back to pixels: a label map, some rows at a time, so that a whole slide never is in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from tme.units import px_to_um, um_to_px

Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]


class LabelMap:
    """Polygons on the grid of a working resolution; a pixel belongs to the outline its centre lies in.

    Parameters
    ----------
    outlines : (N,) object
        shapely polygons in level-0 pixels. Where two overlap the later one has the pixel.
    slide_mpp, mpp : float
        µm/px of level 0 and of the map.
    """

    def __init__(self, outlines: NDArray[np.object_], slide_mpp: float, mpp: float) -> None:
        parts, owner = shapely.get_parts(outlines, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        points = points * um_to_px(px_to_um(1.0, slide_mpp), mpp)
        # Points follow each other along their ring; an edge joins two of one ring.
        edge = np.flatnonzero(ring[1:] == ring[:-1])
        self._edges = _upward(np.hstack([points[edge], points[edge + 1]]))
        self._owner = owner[part[ring[edge]]]

    def bands(self, width: int, height: int, rows: int) -> Iterator[tuple[int, Labels]]:
        """(first row, (≤ ``rows``, ``width``) int32 map) from the top down; 0 is no object, k the k-th."""
        for top in range(0, height, rows):
            band = np.zeros((min(rows, height - top), width), np.int32)
            self._paint(band, top)
            yield top, band

    def _paint(self, band: Labels, top: int) -> None:
        edges = self._edges
        # Row r has its centre at r + ½; an edge spans those with y0 <= r + ½ < y1.
        first = np.clip(np.ceil(edges[:, 1] - 0.5) - top, 0, len(band)).astype(np.int64)
        last = np.clip(np.ceil(edges[:, 3] - 0.5) - top, 0, len(band)).astype(np.int64)
        counts = np.maximum(last - first, 0)
        edge = np.repeat(np.arange(len(edges)), counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        x0, y0, x1, y1 = edges[edge].T
        x = x0 + (row + top + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        owner = self._owner[edge]
        order = np.lexsort((x, row, owner))
        # Between its odd and its even cut a line of centres is inside; half-open, as neighbours share edges.
        start, stop = (
            np.clip(np.ceil(x[order][k::2] - 0.5), 0, band.shape[1]).astype(np.int64) for k in (0, 1)
        )
        _fill(band, row[order][::2], start, stop, owner[order][::2] + 1)


def _upward(edges: Numbers) -> Numbers:
    """(N, 4) edges x0, y0, x1, y1 with y0 <= y1."""
    down = edges[:, 1] > edges[:, 3]
    edges[down] = edges[down][:, [2, 3, 0, 1]]
    return edges


def _fill(
    band: Labels,
    row: NDArray[np.int64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    label: NDArray[np.int64],
) -> None:
    """Set the pixels start <= x < stop of each run to its label, later runs over earlier ones."""
    length = np.maximum(stop - start, 0)
    run = np.repeat(np.arange(len(row)), length)
    column = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + start[run]
    band[row[run], column] = label[run]
