"""Connected pieces of a large mask, from its runs.

A label image of a whole slide is four times the size of everything else in this room, so pieces
are found from the runs of the mask's rows: memory grows with the number of runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Connected pieces of an (H, W) mask.

    Attributes
    ----------
    row, start, stop : (n_runs,) int64
        Runs of set pixels, half-open, in reading order.
    label : (n_runs,) int64
        Piece of each run, numbered from 0 in the order of first appearance.
    count : int
    shape : (int, int)
    """

    row: Integers
    start: Integers
    stop: Integers
    label: Integers
    count: int
    shape: tuple[int, int]

    def areas(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area of each piece in pixels; ``rows`` (H,) and ``columns`` (W,) weigh partial pixels."""
        summed = np.concatenate([[0.0], np.cumsum(columns)])
        weight = rows[self.row] * (summed[self.stop] - summed[self.start])
        return np.bincount(self.label, weight, minlength=self.count).astype(np.float64)

    def sums(self, values: NDArray) -> NDArray[np.float64]:
        """Sum of an (H, W) array over each piece."""
        total = np.zeros(len(self.row))
        first = np.searchsorted(self.row, np.arange(self.shape[0] + 1))
        for row in np.flatnonzero(np.diff(first)):
            runs = slice(first[row], first[row + 1])
            summed = np.concatenate([[0.0], np.cumsum(values[row], dtype=np.float64)])
            total[runs] = summed[self.stop[runs]] - summed[self.start[runs]]
        return np.bincount(self.label, total, minlength=self.count).astype(np.float64)

    def touches_edge(self) -> NDArray[np.bool_]:
        """Whether each piece reaches the border of the image, (count,) bool."""
        height, width = self.shape
        at_edge = (self.row == 0) | (self.row == height - 1) | (self.start == 0) | (self.stop == width)
        return np.bincount(self.label[at_edge], minlength=self.count) > 0

    def paint(self, target: NDArray, chosen: NDArray[np.bool_], value: bool | int) -> None:
        """Write ``value`` into ``target`` (H, W) where a chosen piece lies."""
        picked = chosen[self.label]
        for row, start, stop in zip(
            self.row[picked].tolist(), self.start[picked].tolist(), self.stop[picked].tolist(), strict=True
        ):
            target[row, start:stop] = value


def find_pieces(mask: Mask, diagonal: bool) -> Pieces:
    """Connected pieces of ``mask``.

    Parameters
    ----------
    mask : (H, W) bool
    diagonal : bool
        Whether pixels that touch at a corner belong together (8 neighbours) or not (4).
    """
    height, width = mask.shape
    row, start, stop = _runs(mask)
    above, below = _overlaps(row, start, stop, width, 1 if diagonal else 0)
    graph = coo_array((np.ones(len(above), np.int8), (above, below)), shape=(len(row), len(row)))
    count, label = connected_components(graph, directed=False) if len(row) else (0, row)
    return Pieces(row, start, stop, label.astype(np.int64), int(count), (height, width))


def _runs(mask: Mask) -> tuple[Integers, Integers, Integers]:
    rows, starts, stops = [], [], []
    strip = max(1, 4_000_000 // max(mask.shape[1], 1))
    for top in range(0, mask.shape[0], strip):
        part = np.pad(mask[top : top + strip].view(np.int8), ((0, 0), (1, 1)))
        change = np.diff(part, axis=1)
        row, start = np.nonzero(change == 1)
        rows.append(row + top)
        starts.append(start)
        stops.append(np.nonzero(change == -1)[1])
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *rows]), np.concatenate([empty, *starts]), np.concatenate([empty, *stops])


def _overlaps(
    row: Integers, start: Integers, stop: Integers, width: int, reach: int
) -> tuple[Integers, Integers]:
    """Pairs of runs in neighbouring rows that touch.

    On one axis where each row has its own stretch, the runs of the row above that touch a run are
    those between two binary searches.
    """
    stretch = width + 2
    first = np.searchsorted(row * stretch + stop, (row - 1) * stretch + start - reach, side="right")
    last = np.searchsorted(row * stretch + start, (row - 1) * stretch + stop + reach, side="left")
    # Runs of the first row have nothing above; a run never pairs with its own row or a later one.
    count = np.where(row > 0, np.maximum(last - first, 0), 0)
    below = np.repeat(np.arange(len(row)), count)
    offset = np.arange(len(below)) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(first, count) + offset, below
