"""The colour of empty glass, estimated once per slide, and how far a pixel is from it.

Glass is the brightest frequent colour among pixels that are smooth, bright and nearly grey. All
later decisions use optical density against it, so an off-white or dim lamp does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB

MIN_LEVEL = 175
MAX_SPREAD = 18
MAX_ROUGHNESS = 2.5
PEAK_HALF_WIDTH = 3
PEAK_SHARE = 0.25
FILL_LEVEL = 254
FILL_GAP = 6
MIN_LIT = 0.2
MIN_CANDIDATES = 0.002
DEFAULT_RGB = (243.0, 243.0, 243.0)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Glass:
    """Empty glass of one slide.

    Attributes
    ----------
    rgb : (float, float, float)
        Its colour, 0-255.
    noise : float
        Usual local spread of its density, OD: sensor and compression.
    found : bool
        False where no pixel of the sample looked like glass; ``rgb`` is then a usual value.
    """

    rgb: tuple[float, float, float]
    noise: float
    found: bool

    def density(self, pixels: RGB) -> tuple[Floats, Floats, Floats]:
        """Optical density against glass of red, green and blue; each (H, W) float32, not below zero."""
        red, green, blue = (
            cv2.LUT(plane, np.log10((level + 1.0) / (np.arange(256) + 1.0)).clip(0.0).astype(np.float32))
            for plane, level in zip(cv2.split(pixels), self.rgb, strict=True)
        )
        return np.asarray(red), np.asarray(green), np.asarray(blue)


def extremes(planes: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
    """Smallest and largest of three planes, pixel by pixel."""
    first, second, third = planes
    return cv2.min(cv2.min(first, second), third), cv2.max(cv2.max(first, second), third)


def estimate_glass(windows: Sequence[RGB]) -> Glass:
    """The glass of a slide from a sample of its pixels.

    Parameters
    ----------
    windows : sequence of (H, W, 3) uint8
    """
    total = sum(window.shape[0] * window.shape[1] for window in windows)
    picked = [_smooth_bright_grey(window) for window in windows]
    pixels = np.concatenate(picked) if picked else np.zeros((0, 3), np.uint8)
    if len(pixels) < max(MIN_CANDIDATES * total, 4):
        return Glass(DEFAULT_RGB, 0.0, False)
    # Areas that were never scanned are pure white; where the lamp's own glass is seen beside them,
    # it is the reference.
    lit = pixels[_lowest(pixels) < FILL_LEVEL]
    if len(lit) >= MIN_LIT * len(pixels):
        glass = _brightest_peak(lit)
        if min(glass.rgb) <= FILL_LEVEL - FILL_GAP:
            return glass
    return _brightest_peak(pixels)


def _smooth_bright_grey(window: RGB) -> NDArray[np.uint8]:
    """Candidates for glass, (N, 4) uint8: R, G, B and local roughness in tenths of a grey level."""
    grey = cv2.cvtColor(window, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (3, 3))
    rough = np.sqrt(np.maximum(cv2.blur(grey * grey, (3, 3)) - mean * mean, 0.0))
    low, high = extremes(cv2.split(window))
    keep = (rough < MAX_ROUGHNESS) & (low >= MIN_LEVEL) & (cv2.subtract(high, low) <= MAX_SPREAD)
    return np.column_stack([window[keep], np.rint(rough[keep] * 10.0).astype(np.uint8)])


def _lowest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.minimum(np.minimum(pixels[:, 0], pixels[:, 1]), pixels[:, 2])


def _brightest_peak(pixels: NDArray[np.uint8]) -> Glass:
    low = _lowest(pixels)
    counts = np.bincount(low, minlength=256)
    width = 2 * PEAK_HALF_WIDTH + 1
    summed = np.convolve(counts, np.ones(width, np.int64), mode="same")
    level = int(np.flatnonzero(summed >= PEAK_SHARE * summed.max())[-1])
    # The first window that reaches the share still climbs; its own top is a few levels lower.
    start = max(level - width, 0)
    level = start + int(np.argmax(summed[start : level + 1]))
    near = pixels[np.abs(low.astype(np.int16) - level) <= PEAK_HALF_WIDTH]
    red, green, blue, rough = np.median(near, axis=0).tolist()
    return Glass((red, green, blue), rough / 10.0 / np.log(10.0) / (level + 1.0), True)
