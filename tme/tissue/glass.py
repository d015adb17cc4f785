"""The colour of empty glass, estimated once per slide, and how far a pixel is from it.

Glass is the brightest frequent colour among pixels that are smooth, bright and nearly grey; where
the brightest of what has no texture is itself tinted or dim, bright and grey are meant relative to
it. All later decisions use optical density against it, so the colour of the lamp does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.light import FILL_LEVEL, MAX_ROUGHNESS, Blocks, Window

MIN_LEVEL = 175
MAX_SPREAD = 18
PEAK_HALF_WIDTH = 3
PEAK_SHARE = 0.25
FILL_GAP = 6
MIN_LIT = 0.2
MIN_CANDIDATES = 0.002
USUAL_LEVEL = 205
USUAL_SPREAD = 12
DIMMEST = 145
MOST_TINTED = 0.7
MIN_BLOCKS = 40
MIN_BLOCK_SHARE = 0.005
BRIGHTER_LEVELS = 10
MAX_BRIGHTER = 0.01
SAME_HUE_OD = 0.02
ONE_HUE_OD = 0.01
MIN_ONE_HUE = 0.9
BORDER = 0.44
BLACK = 60
MIN_AT_BORDER = 0.1
CLEARLY_BRIGHTER = 5.0
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


def estimate_glass(windows: Sequence[Window], blocks: Blocks) -> Glass:
    """The glass of a slide from a sample of its pixels, and the `find_blocks` of the same sample."""
    pixels = [window.pixels for window in windows]
    plain = _plain_colour(blocks)
    usual = plain is None or (max(plain) >= USUAL_LEVEL and max(plain) - min(plain) <= USUAL_SPREAD)
    found = _estimate(pixels)
    if plain is None or usual or (found.found and _is_brighter(found.rgb, plain)):
        return found
    scales = [DEFAULT_RGB[0] / level for level in plain]
    tables = np.stack([np.minimum(np.arange(256) * scale + 0.5, 255.0) for scale in scales], axis=1)
    tables = tables.astype(np.uint8)[None]
    found = _estimate([cv2.LUT(part, tables) for part in pixels])
    red, green, blue = (level / scale for level, scale in zip(found.rgb, scales, strict=True))
    return replace(found, rgb=(red, green, blue))


def _plain_colour(blocks: Blocks) -> tuple[float, float, float] | None:
    """The brightest frequent colour of what has no texture; None where it cannot be glass."""
    plain, colour = blocks.plain, blocks.colour
    if plain.sum() < max(MIN_BLOCKS, MIN_BLOCK_SHARE * len(plain)):
        return None
    level = np.rint(colour.mean(axis=1)).astype(np.int64)
    near = plain & (np.abs(level - _brightest_level(level[plain])) <= PEAK_HALF_WIDTH)
    glass = np.median(colour[near], axis=0)
    if glass.max() < DIMMEST or glass.min() < MOST_TINTED * glass.max():
        return None
    hue = np.ptp(np.log10((glass + 1.0) / (colour + 1.0)), axis=1)
    # Tissue out of focus is plain too, but not of one hue; and no tissue lets through more than glass.
    if (hue[near] <= ONE_HUE_OD).mean() < MIN_ONE_HUE:
        return None
    scanned = (colour.min(axis=1) < FILL_LEVEL) & (colour.max(axis=1) > BLACK)
    like = plain & (hue <= SAME_HUE_OD)
    beyond = (colour > glass + BRIGHTER_LEVELS).any(axis=1)
    if (beyond & scanned & ~like).mean() >= MAX_BRIGHTER:
        return None
    # A lake of mucin lies within tissue; glass goes on to where the picture ends.
    border = scanned & ((np.abs(blocks.y - 0.5) >= BORDER) | (np.abs(blocks.x - 0.5) >= BORDER))
    if border.any() and like[border].mean() < MIN_AT_BORDER:
        return None
    red, green, blue = glass.tolist()
    return red, green, blue


def _is_brighter(rgb: tuple[float, float, float], than: tuple[float, float, float]) -> bool:
    """Whether a colour is no darker in any channel and clearly brighter in all."""
    gaps = np.subtract(rgb, than)
    return bool(gaps.min() >= -PEAK_HALF_WIDTH and gaps.mean() >= CLEARLY_BRIGHTER)


def _estimate(windows: Sequence[RGB]) -> Glass:
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
    level = _brightest_level(low)
    near = pixels[np.abs(low.astype(np.int16) - level) <= PEAK_HALF_WIDTH]
    red, green, blue, rough = (_median(plane) for plane in near.T)
    return Glass((red, green, blue), rough / 10.0 / np.log(10.0) / (level + 1.0), True)


def _median(values: NDArray[np.uint8]) -> float:
    """The median of millions of bytes: counting them is many times faster than sorting."""
    summed = np.cumsum(np.bincount(values, minlength=256))
    middle = np.searchsorted(summed, [(len(values) - 1) // 2, len(values) // 2], side="right")
    return float(middle.mean())


def _brightest_level(levels: NDArray) -> int:
    """The brightest frequent one of many grey levels."""
    counts = np.bincount(levels, minlength=256)
    width = 2 * PEAK_HALF_WIDTH + 1
    summed = np.convolve(counts, np.ones(width, np.int64), mode="same")
    level = int(np.flatnonzero(summed >= PEAK_SHARE * summed.max())[-1])
    # The first window that reaches the share still climbs; its own top is a few levels lower.
    start = max(level - width, 0)
    return start + int(np.argmax(summed[start : level + 1]))
