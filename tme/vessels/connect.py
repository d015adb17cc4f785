"""Connected pieces of a mask that is only ever seen one window at a time.

Each window is labelled alone; pairs of labels that touch across a window's border are joined by
scipy's connected components. Labels follow the order of first pixels, so they do not depend on how
OpenCV numbers them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tme.geometry import Box

Bits = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """8-connected pieces of one window's mask.

    Attributes
    ----------
    labels : (H, W) int32
        0 outside, 1..count in the order of first pixels, row by row.
    count : int
    pixels : (n,) int64
        Flat indices of the mask's pixels, ascending.
    label_of : (n,) int64
        Label of each of them.
    """

    labels: NDArray[np.int32]
    count: int
    pixels: Integers
    label_of: Integers

    def totals(self, values: NDArray) -> Integers:
        """Sum of an (H, W) array of whole numbers over each piece; (count,)."""
        taken = values.ravel()[self.pixels].astype(np.float64)
        sums = np.bincount(self.label_of, weights=taken, minlength=self.count + 1)[1:]
        return np.asarray(sums, np.int64)


def label_pieces(mask: Bits) -> Pieces:
    """Label the 8-connected pieces of an (H, W) bool mask."""
    count, raw = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    pixels = np.flatnonzero(mask)
    found = raw.ravel()[pixels]
    first = np.zeros(count, np.int64)
    # The last assignment to an index is the one that stays: the first pixel, from behind.
    first[found[::-1]] = pixels[::-1]
    rank = np.zeros(count, np.int32)
    rank[1 + np.argsort(first[1:], kind="stable")] = np.arange(1, count)
    return Pieces(rank[np.asarray(raw)], count - 1, pixels, rank[found].astype(np.int64))


@dataclass
class Border:
    """Labels along the four sides of a core, numbered over the whole slide; 0 where there is none."""

    top: Integers
    bottom: Integers
    left: Integers
    right: Integers


@dataclass
class SlideLabels:
    """Numbers the pieces of all windows and joins those that touch across borders.

    Windows are added in the order of the grid; numbers start at 1.
    """

    core_px: int
    count: int = 0
    _borders: dict[tuple[int, int], Border] = field(default_factory=dict)

    def add(self, core: Box, pieces: Pieces) -> int:
        """Take in one window; returns what to add to its labels to get slide-wide numbers."""
        offset = self.count
        if pieces.count:
            labels = pieces.labels
            sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
            numbered = [np.where(side > 0, side + offset, 0).astype(np.int64) for side in sides]
            self._borders[(core.y0 // self.core_px, core.x0 // self.core_px)] = Border(*numbered)
            self.count += pieces.count
        return offset

    def joined(self) -> Integers:
        """Joined piece of every number: (count + 1,), 0 for 0, else 1.. in the order of first windows."""
        pairs = [np.zeros((0, 2), np.int64)]
        for (row, column), border in self._borders.items():
            pairs += self._pairs_of(row, column, border)
        both = np.concatenate(pairs)
        size = self.count + 1
        links = coo_array((np.ones(len(both), bool), (both[:, 0], both[:, 1])), shape=(size, size))
        _, raw = connected_components(links, directed=False)
        _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(first))
        return rank[inverse]

    def _pairs_of(self, row: int, column: int, border: Border) -> list[Integers]:
        pairs = []
        right = self._borders.get((row, column + 1))
        if right is not None:
            pairs += _touching(border.right, right.left)
        below = self._borders.get((row + 1, column))
        if below is not None:
            pairs += _touching(border.bottom, below.top)
        corner = self._borders.get((row + 1, column + 1))
        if corner is not None:
            pairs += _touching(border.bottom[-1:], corner.top[:1])
        corner = self._borders.get((row + 1, column - 1))
        if corner is not None:
            pairs += _touching(border.bottom[:1], corner.top[-1:])
        return pairs


def _touching(one: Integers, other: Integers) -> list[Integers]:
    """Pairs of numbers that touch where two lines of pixels lie side by side, corners included."""
    pairs = []
    length = min(len(one), len(other))
    for shift in (-1, 0, 1):
        first = one[max(0, -shift) : length - max(0, shift)]
        second = other[max(0, shift) : length - max(0, -shift)]
        both = np.stack([first, second], axis=1)
        pairs.append(np.unique(both[(first > 0) & (second > 0)], axis=0))
    return pairs
