"""A grid of squares over the slide, anchored at its top-left corner: areas and counts by square.

In: an (H, W) bool mask on the tissue grid. Out: `Squares`. The anchor is the slide's, so that the
squares of every compartment are the same ones. A pixel belongs to the square that holds its centre,
and an object to the square of its pixel, so that counts and areas are of the same ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.tissue.types import Mask, TissueMask
from tme.units import px_to_mm2

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Squares:
    """R x C squares over the slide.

    Attributes
    ----------
    areas_mm2 : (R, C) float64
        Area of the mask in each square, mm²; pixels over the slide's edge count in part.
    row_of, column_of : (H,) and (W,) int64
        Row and column of squares that each row and column of the tissue grid belongs to.
    """

    areas_mm2: Numbers
    row_of: Places
    column_of: Places

    def at(self, x_um: Numbers, y_um: Numbers, tissue: TissueMask) -> Places:
        """(N,) int64 flat index into (R, C) of the squares of points (N,) in µm, clipped to the grid."""
        row = np.clip((y_um / tissue.mpp).astype(np.int64), 0, len(self.row_of) - 1)
        column = np.clip((x_um / tissue.mpp).astype(np.int64), 0, len(self.column_of) - 1)
        return np.asarray(self.row_of[row] * self.areas_mm2.shape[1] + self.column_of[column])

    def sums(self, places: Places, weights: Numbers | None = None) -> Numbers:
        """(R, C) float64 sums of weights (N,), 1 if left out, over objects at the places (N,) of `at`."""
        found = np.bincount(places, weights, self.areas_mm2.size)
        return found.reshape(self.areas_mm2.shape).astype(np.float64)


def make_squares(mask: Mask, tissue: TissueMask, side_um: float) -> Squares:
    """Cut the slide into squares.

    Parameters
    ----------
    mask : (H, W) bool
        On the tissue grid.
    tissue : TissueMask
        The grid.
    side_um : float
        Side of a square, µm; at least a pixel of the grid.

    Raises
    ------
    ValueError
        If a square would be smaller than a pixel.
    """
    if side_um < tissue.mpp:
        raise ValueError(f"squares of {side_um:g} µm are smaller than pixels of {tissue.mpp:g} µm")
    row_of, column_of = (_square_of(length, tissue.mpp, side_um) for length in mask.shape)
    row_share, column_share = tissue.coverage()
    starts = np.searchsorted(column_of, np.arange(column_of[-1] + 1))
    areas = np.empty((row_of[-1] + 1, column_of[-1] + 1))
    for number in range(len(areas)):
        # One row of squares at a time, so that memory does not grow with the slide.
        part = slice(*np.searchsorted(row_of, [number, number + 1]))
        areas[number] = np.add.reduceat((row_share[part] @ mask[part]) * column_share, starts)
    return Squares(areas * px_to_mm2(1.0, tissue.mpp), row_of, column_of)


def _square_of(length: int, mpp: float, side_um: float) -> Places:
    """(length,) int64: the square that holds each pixel's centre, along one axis."""
    return ((np.arange(length) + 0.5) * mpp / side_um).astype(np.int64)
