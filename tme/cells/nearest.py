"""Which of some places lies nearest to every pixel, as far as a short reach.

A distance transform answers that for the whole image; places are few and the reach is a few pixels, so
that writing their surroundings, far offsets first, costs far less.
"""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def nearest_within(
    shape: tuple[int, int], rows: Indices, columns: Indices, values: NDArray[np.int32], reach_px: float
) -> NDArray[np.int32]:
    """For every pixel, the value of the nearest place at most ``reach_px`` away (Euclid, centre to centre).

    Of places equally far the one wins whose pixel comes first, by row, then column.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    rows, columns : (n,) int64
        Places, inside the image.
    values : (n,) int32
        Positive.
    reach_px : float

    Returns
    -------
    (H, W) int32
        0 where no place is within reach.
    """
    margin = floor(reach_px)
    height, width = shape
    padded = np.zeros((height + 2 * margin, width + 2 * margin), np.int32)
    flat = padded.ravel()
    places = (rows + margin) * padded.shape[1] + columns + margin
    for down, right in _far_first(reach_px):
        flat[places + (down * padded.shape[1] + right)] = values
    return padded[margin : margin + height, margin : margin + width]


def _far_first(reach_px: float) -> list[tuple[int, int]]:
    """Offsets of a disc; of equally far ones first that of the place that comes last."""
    side = range(-floor(reach_px), floor(reach_px) + 1)
    disc = [(dy, dx) for dy in side for dx in side if dy * dy + dx * dx <= reach_px**2]
    return sorted(disc, key=lambda offset: (-(offset[0] ** 2 + offset[1] ** 2), offset))
