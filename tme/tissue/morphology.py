"""Growing, closing and filling masks of whole slides without many copies of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.distance import rough_distance_px
from tme.tissue.runs import find_pieces

BAND_ROWS = 1024

Mask = NDArray[np.bool_]
Weights = tuple[NDArray[np.float64], NDArray[np.float64]]


def grow(mask: Mask, radius_px: int) -> None:
    """Dilate by a disk, or erode where the radius is negative, in place.

    Works in bands of rows with the margin a disk needs: a distance map of a whole slide would be
    four times its mask. An erosion does not start at the image's edge.
    """
    radius = abs(radius_px)
    above = mask[:0].copy()
    for top in range(0, mask.shape[0], BAND_ROWS):
        bottom = min(top + BAND_ROWS, mask.shape[0])
        part = np.concatenate([above, mask[top : bottom + radius + 1]])
        source = part if radius_px < 0 else ~part
        near = rough_distance_px(source)
        band = near[len(above) : len(above) + bottom - top]
        # Rows above the next band must be kept as they were.
        above = part[: len(above) + bottom - top][-(radius + 1) :].copy()
        mask[top:bottom] = band > radius if radius_px < 0 else band <= radius


def grown(mask: Mask, radius_px: int) -> Mask:
    """A grown copy; see `grow`."""
    out = mask.copy()
    grow(out, radius_px)
    return out


def close(mask: Mask, radius_px: int) -> Mask:
    """Closing by a disk; gaps between the mask and the image's edge are closed too."""
    out = grown(mask, radius_px)
    grow(out, -radius_px)
    return out


def close_inside(mask: Mask, radius_px: int) -> Mask:
    """Closing by a disk; what lies beyond the image's edge is not set, so nothing is closed against it."""
    return close(np.pad(mask, 2 * radius_px), radius_px)[
        2 * radius_px : 2 * radius_px + mask.shape[0], 2 * radius_px : 2 * radius_px + mask.shape[1]
    ]


def opened(mask: Mask, radius_px: int) -> Mask:
    """Opening by a disk; what lies beyond the image's edge counts as set."""
    out = ~mask
    grow(out, radius_px)
    grow(out, -radius_px)
    return np.logical_not(out, out=out)


def fill_holes(mask: Mask, max_px: float, weights: Weights) -> None:
    """Fill, in place, holes of at most ``max_px`` pixels; a gap at the image's edge is not a hole."""
    holes = find_pieces(~mask, diagonal=False)
    holes.paint(mask, (holes.areas(*weights) <= max_px) & ~holes.touches_edge(), True)


def drop_small(mask: Mask, min_px: float, weights: Weights, spare_edge: bool) -> None:
    """Drop, in place, pieces under ``min_px`` pixels; where asked, not those at the image's edge."""
    pieces = find_pieces(mask, diagonal=True)
    drop = pieces.areas(*weights) < min_px
    if spare_edge:
        drop &= ~pieces.touches_edge()
    pieces.paint(mask, drop, False)


def even(shape: tuple[int, int]) -> Weights:
    """Weights under which every pixel counts in full."""
    return np.ones(shape[0]), np.ones(shape[1])


def enlarged(mask: Mask, multiple: int, shape: tuple[int, int]) -> Mask:
    """A mask on a grid ``multiple`` times coarser, brought to a grid of ``shape``."""
    width, height = mask.shape[1] * multiple, mask.shape[0] * multiple
    large = cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return large.view(np.bool_)[: shape[0], : shape[1]]


def reduced(mask: Mask, multiple: int) -> NDArray[np.uint8]:
    """Share of set pixels on a grid ``multiple`` times coarser, in 1/255; the edge is continued."""
    height, width = mask.shape
    out = np.empty((-(-height // multiple), -(-width // multiple)), np.uint8)
    rows = max(1, BAND_ROWS // multiple) * multiple
    for top in range(0, height, rows):
        part = mask[top : top + rows].view(np.uint8)
        below, right = -part.shape[0] % multiple, -width % multiple
        padded = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE)
        size = (out.shape[1], padded.shape[0] // multiple)
        small = cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_AREA)
        out[top // multiple : top // multiple + size[1]] = small
    return out
