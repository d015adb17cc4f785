"""Morphology on small binary images, with OpenCV; 0 and 1 in (H, W) uint8.

Discs are those of all pixels within a radius. Outside the image there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Place = tuple[slice, slice]

_SQUARE = np.ones((3, 3), np.uint8)


@lru_cache(maxsize=64)
def disc(radius: int) -> Bytes:
    """Structuring element of all pixels within ``radius`` of the middle one."""
    axis = np.arange(-radius, radius + 1)
    return np.asarray(axis[:, None] ** 2 + axis[None, :] ** 2 <= radius * (radius + 1), np.uint8)


def widened(mask: Bytes, radius: int) -> Bytes:
    """Every pixel within ``radius`` of the mask."""
    return np.asarray(cv2.dilate(mask, disc(radius)), np.uint8)


def narrowed(mask: Bytes, radius: int) -> Bytes:
    """Every pixel whose disc lies in the mask."""
    return np.asarray(cv2.erode(mask, disc(radius), borderType=cv2.BORDER_CONSTANT, borderValue=0), np.uint8)


def opened(mask: Bytes, radius: int) -> Bytes:
    """The mask without what no disc fits into."""
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc(radius)), np.uint8)


def closed(mask: Bytes, radius: int) -> Bytes:
    """The mask with what no disc outside it reaches."""
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc(radius)), np.uint8)


def rim(mask: Bytes) -> Bytes:
    """Pixels of the mask with a neighbour outside it, the image's border included."""
    inner = cv2.erode(mask, _SQUARE, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask & (1 - np.asarray(inner, np.uint8)), np.uint8)


def without_holes(mask: Bytes) -> Bytes:
    """The mask with all holes filled; the image's corner lies outside, its border is empty."""
    flooded = mask.copy()
    cv2.floodFill(flooded, None, (0, 0), (2,), flags=4)
    return np.asarray(flooded != 2, np.uint8)


def sealed(mask: Bytes, radius: int) -> Bytes:
    """The mask widened, its holes filled, and narrowed again: gaps up to twice the radius are shut."""
    if not radius:
        return without_holes(mask)
    return narrowed(without_holes(widened(mask, radius)), radius)


def pieces(mask: Bytes, least: float = 1) -> Iterator[tuple[Place, Bits, int]]:
    """Place, mask and pixels of every 4-connected piece of at least ``least`` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)
    for label in np.flatnonzero(stats[1:count, cv2.CC_STAT_AREA] >= least) + 1:
        x, y, width, height, area = (int(value) for value in stats[label])
        place = (slice(y, y + height), slice(x, x + width))
        yield place, np.asarray(labels[place] == label, bool), area
