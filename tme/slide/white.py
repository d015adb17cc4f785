"""Transparent is white: the only place where an alpha channel becomes colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB

BLOCK_PIXELS = 1 << 20


def on_white(pixels: NDArray[np.uint8], premultiplied: bool = False) -> RGB:
    """RGB or RGBA composited on white, rounded half up.

    Parameters
    ----------
    pixels : (h, w, 3 or 4) uint8
    premultiplied : bool
        Whether colours have been multiplied by alpha already.
    """
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    rows = max(1, BLOCK_PIXELS // max(pixels.shape[1], 1))
    for top in range(0, pixels.shape[0], rows):
        out[top : top + rows] = _blend(pixels[top : top + rows], premultiplied)
    return out


def _blend(pixels: NDArray[np.uint8], premultiplied: bool) -> RGB:
    alpha = pixels[..., 3:].astype(np.uint32)
    colours = pixels[..., :3]
    if alpha.min(initial=255) == 255:
        return colours
    light = colours * np.uint32(255) if premultiplied else colours * alpha
    blended: NDArray[np.uint32] = (light + 255 * (255 - alpha) + 127) // 255
    return np.minimum(blended, 255).astype(np.uint8)
