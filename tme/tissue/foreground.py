"""Which pixels are tissue: threshold, joined membranes, filled holes, stated smallest pieces."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.tissue.runs import Pieces, find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_whole_px

STRONG = 0.050
WEAK = (0.0075, 0.015)
FAR_PX = 9
PALE = 0.020
PALE_SIGMA_PX = 1.5
RIM_SHARE = 0.5
SPECK_MM2 = 0.0003
SPECK_SHARE = 0.05
JOIN_UM = 24.0
THIN_UM = 24.0
FAT_CELL_UM = 112.0
MIN_CELL_UM = 32.0
MAX_OPEN = 0.2
BAND_ROWS = 1024

Mask = NDArray[np.bool_]
Weights = tuple[NDArray[np.float64], NDArray[np.float64]]


def threshold(evidence: NDArray[np.uint8], per_od: float, mpp: float, weights: Weights) -> Mask:
    """Pixels that are clearly not glass, by themselves or with their neighbours; specks are dropped.

    Parameters
    ----------
    evidence : (H, W) uint8
    per_od : float
        Evidence units per OD.
    mpp : float
        µm/px of the mask.
    weights : ((H,), (W,)) float64
        Share of each row and column that lies on the slide.
    """
    clear = round(STRONG * per_od)
    # Cut off at "clear", so that dark tissue does not spill over its border.
    pale = cv2.GaussianBlur(np.minimum(evidence, np.uint8(clear)), (0, 0), PALE_SIGMA_PX)
    strong = (evidence >= clear) | ((pale >= round(PALE * per_od)) & (evidence >= round(WEAK[1] * per_od)))
    strong &= ~_rim(strong, evidence)
    speck_px = min(um2_to_px(mm2_to_um2(SPECK_MM2), mpp), SPECK_SHARE * evidence.size)
    strong = drop_small(strong, speck_px, weights, spare_edge=False)
    return close(strong, um_to_whole_px(JOIN_UM / 2, mpp))


def _rim(mask: Mask, evidence: NDArray[np.uint8]) -> Mask:
    """Border pixels that owe most of their evidence to a much clearer neighbour.

    A pixel that tissue covers only in part, or that only touches its rough edge, would otherwise
    count in full and tissue would be too large by about half a pixel all around.
    """
    inner = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    clearest = cv2.dilate(evidence, np.ones((3, 3), np.uint8))
    return mask & ~inner & (evidence < RIM_SHARE * clearest)


def add_fat(
    strong: Mask, evidence: NDArray[np.uint8], per_od: float, mpp: float, max_hole_px: float, weights: Weights
) -> Mask:
    """Tissue with its fat: cells as empty as glass between membranes that are hardly there.

    Pale pixels that hang together with clear tissue outline the cells; what lies between thin
    strands, or is a small hole, is filled. Of all this only what is as wide as a cell is added, so
    that tissue gets no pale rim.
    """
    weak = strong | (evidence >= _weak_level(evidence, per_od))
    pieces = find_pieces(weak, diagonal=True)
    pieces.paint(weak, pieces.sums(strong) == 0, False)
    weak = close(weak, um_to_whole_px(JOIN_UM / 2, mpp))
    thin = weak & ~opened(weak, um_to_whole_px(THIN_UM / 2, mpp))
    cells = fill_holes(weak | close(thin, um_to_whole_px(FAT_CELL_UM / 2, mpp)), max_hole_px, weights)
    cells = _walled(cells, weak) & ~strong
    return strong | opened(cells, um_to_whole_px(MIN_CELL_UM / 2, mpp))


def _walled(cells: Mask, walls: Mask) -> Mask:
    """``cells`` without the gaps between ``walls`` that lie largely open to the glass around."""
    gaps = find_pieces(cells & ~walls, diagonal=False)
    open_to = gaps.sums(grown(~cells, 1))
    border = gaps.sums(grown(~(cells & ~walls), 1))
    out = cells.copy()
    gaps.paint(out, open_to > MAX_OPEN * border, False)
    return out


def _weak_level(evidence: NDArray[np.uint8], per_od: float) -> int:
    """The lowest evidence above that of glass far from everything, between two fixed bounds."""
    low, high = (round(bound * per_od) for bound in WEAK)
    far = evidence[cv2.dilate(evidence, np.ones((FAR_PX, FAR_PX), np.uint8)) < high]
    if far.size < FAR_PX * FAR_PX:
        return high
    return int(np.clip(np.percentile(far, 95.0) + 2.0, low, high))


def close(mask: Mask, radius_px: int) -> Mask:
    """Closing by a disk; what lies beyond the image's edge counts as not set."""
    return grown(grown(mask, radius_px), -radius_px)


def opened(mask: Mask, radius_px: int) -> Mask:
    """Opening by a disk; what lies beyond the image's edge counts as set."""
    return ~close(~mask, radius_px)


def grown(mask: Mask, radius_px: int) -> Mask:
    """Dilation by a disk, or erosion where the radius is negative, of a mask of any size.

    Works in bands of rows with the margin a disk needs: a distance map of a whole slide would be
    four times its mask. An erosion does not start at the image's edge.
    """
    out = np.empty_like(mask)
    radius = abs(radius_px)
    for top in range(0, mask.shape[0], BAND_ROWS):
        bottom = min(top + BAND_ROWS, mask.shape[0])
        start = max(top - radius - 1, 0)
        part = mask[start : bottom + radius + 1]
        source = part if radius_px < 0 else ~part
        near = cv2.distanceTransform(source.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        band = near[top - start : bottom - start]
        out[top:bottom] = band > radius if radius_px < 0 else band <= radius
    return out


def fill_holes(mask: Mask, max_px: float, weights: Weights) -> Mask:
    """Fill holes of at most ``max_px`` pixels; a gap that reaches the image's edge is not a hole."""
    holes = find_pieces(~mask, diagonal=False)
    small = (holes.areas(*weights) <= max_px) & ~holes.touches_edge()
    out = mask.copy()
    holes.paint(out, small, True)
    return out


def drop_small(mask: Mask, min_px: float, weights: Weights, spare_edge: bool) -> Mask:
    """Drop pieces under ``min_px`` pixels, except, where asked, those that reach the image's edge."""
    pieces = find_pieces(mask, diagonal=True)
    drop = pieces.areas(*weights) < min_px
    if spare_edge:
        drop &= ~pieces.touches_edge()
    out = mask.copy()
    pieces.paint(out, drop, False)
    return out


def largest_gap_px(mask: Mask, weights: Weights) -> float:
    """Area of the largest connected part that is not tissue, px."""
    gaps: Pieces = find_pieces(~mask, diagonal=False)
    return float(gaps.areas(*weights).max(initial=0.0))
