"""A slide that lives in memory, for tests of everything behind the slide room."""

from __future__ import annotations

import cv2
import numpy as np

from tme.slide.types import RGB, Level, SlideInfo


class ArraySlide:
    """An (H, W, 3) uint8 RGB array as a `Slide` with one level.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    mpp : float
        µm/px of the array.
    """

    def __init__(self, pixels: RGB, mpp: float) -> None:
        self.pixels = pixels
        height, width = pixels.shape[:2]
        self.info = SlideInfo("memory", "memory", (Level(width, height, mpp),), "sheet")

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """See `tme.slide.types.Slide.read`; resamples by area over the whole array."""
        full = self._at(mpp)
        out = np.full((height, width, 3), 255, np.uint8)
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + width, full.shape[1]), min(y + height, full.shape[0])
        if x1 > x0 and y1 > y0:
            out[y0 - y : y1 - y, x0 - x : x1 - x] = full[y0:y1, x0:x1]
        return out

    def _at(self, mpp: float) -> RGB:
        if mpp == self.info.mpp:
            return self.pixels
        size = self.info.size_at(mpp)
        mode = cv2.INTER_AREA if mpp > self.info.mpp else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(self.pixels, size, interpolation=mode), np.uint8)

    def close(self) -> None:
        """Nothing to release."""
