"""The whole slide as one small picture."""

from __future__ import annotations

import cv2
import numpy as np

from tme.geometry import grid
from tme.slide.types import RGB, Slide

BLOCK_PX = 256


def make_thumbnail(slide: Slide, max_px: int = 2048) -> RGB:
    """The slide reduced so that its longer side has at most ``max_px`` pixels.

    Read in blocks, so that a slide without a pyramid needs no more memory than one of them. A
    slide that is smaller already is returned as it is.

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    longest = max(slide.info.width, slide.info.height)
    mpp = slide.info.mpp * max(1.0, longest / max_px)
    width, height = slide.info.size_at(mpp)
    out = np.empty((height, width, 3), np.uint8)
    for box in grid(width, height, BLOCK_PX):
        out[box.y0 : box.y1, box.x0 : box.x1] = slide.read(box.x0, box.y0, box.width, box.height, mpp)
    if max(width, height) > max_px:
        scale = max_px / max(width, height)
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        out = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
    return out
