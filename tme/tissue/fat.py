"""Fat: cells as empty as glass between membranes that are hardly there. It counts as tissue.

Pale pixels that hang together with clear tissue outline the cells; what lies between thin strands,
or is a small hole, is filled. Of all this only what is as wide as a cell is added, so that tissue
gets no pale rim. Works at twice the mask's µm/px.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.tissue.morphology import BAND_ROWS, Mask, close_inside, even, fill_holes, grown, opened
from tme.tissue.runs import find_pieces
from tme.units import um_to_whole_px

WEAK = (0.0075, 0.015)
FAR_UM = 40.0
JOIN_UM = 24.0
THIN_UM = 24.0
FAT_CELL_UM = 112.0
MIN_CELL_UM = 32.0
MAX_OPEN = 0.2

Bytes = NDArray[np.uint8]


def find_fat(strong: Mask, evidence: Bytes, weak_level: int, mpp: float, max_hole_px: float) -> Mask:
    """Fat beside clear tissue, (H, W) bool; overlaps the tissue's border by a pixel.

    Parameters
    ----------
    strong : (H, W) bool
        Clear tissue.
    evidence : (H, W) uint8
        The largest evidence within each pixel, zero where tissue is ruled out.
    weak_level : int
        See `find_weak_level`.
    mpp : float
        µm/px of the two.
    max_hole_px : float
        Largest hole that counts as tissue, px of this grid.
    """
    weak = strong | (evidence >= weak_level)
    pieces = find_pieces(weak, diagonal=True)
    pieces.paint(weak, pieces.sums(strong) == 0, False)
    weak = close_inside(weak, um_to_whole_px(JOIN_UM / 2, mpp))
    thin = weak & ~opened(weak, um_to_whole_px(THIN_UM / 2, mpp))
    cells = weak | close_inside(thin, um_to_whole_px(FAT_CELL_UM / 2, mpp))
    fill_holes(cells, max_hole_px, even(cells.shape))
    _drop_open(cells, weak)
    cells &= grown(~strong, 1)
    return opened(cells, um_to_whole_px(MIN_CELL_UM / 2, mpp))


def _drop_open(cells: Mask, walls: Mask) -> None:
    """Take from ``cells``, in place, gaps between ``walls`` that lie largely open to the glass."""
    inside = cells & ~walls
    gaps = find_pieces(inside, diagonal=False)
    open_to = gaps.sums(grown(~cells, 1))
    border = gaps.sums(grown(~inside, 1))
    gaps.paint(cells, open_to > MAX_OPEN * border, False)


def find_weak_level(evidence: Bytes, per_od: float, mpp: float) -> int:
    """The lowest evidence above that of glass far from everything, between two fixed bounds.

    Parameters
    ----------
    evidence : (H, W) uint8
        On the mask grid.
    per_od : float
        Evidence units per OD.
    mpp : float
        µm/px of the mask.
    """
    low, high = (round(bound * per_od) for bound in WEAK)
    side = um_to_whole_px(FAR_UM, mpp)
    counts = np.zeros(256, np.int64)
    for top in range(0, evidence.shape[0], BAND_ROWS):
        start = max(top - side, 0)
        part = evidence[start : top + BAND_ROWS + side]
        far = part[cv2.dilate(part, np.ones((side, side), np.uint8)) < high]
        counts += np.bincount(far, minlength=256)
    if counts.sum() < side * side:
        return high
    usual = int(np.searchsorted(np.cumsum(counts), 0.95 * counts.sum()))
    return int(np.clip(usual + 2, low, high))
