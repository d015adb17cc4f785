"""How the light falls on a slide: the colour of what has no texture, and a slow fall over the picture.

Both come from blocks of some 16 µm in which nothing but noise is seen. Tissue has texture at that
size; glass has none, whatever its colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB

BLOCK_PX = 8
MAX_ROUGHNESS = 2.5
FILL_LEVEL = 254
LATTICE = 4
MIN_CELLS = 8
MIN_IN_CELL = 6
MOST_IN_CELL = 500
MOST_FITTED = 10_000
SAME_HUE_OD = 0.015
BRIGHTER_OD = -0.06
DARKER_OD = 0.15
ROUNDS = 12
SCALE_OD = 0.004
FITS_OD = 0.006
MIN_FITTING = 0.85
MIN_FALL_OD = 0.012

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Window:
    """A part of the slide: ``pixels`` (H, W, 3) uint8 whose first lies at row ``y``, column ``x``."""

    y: int
    x: int
    pixels: RGB


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of 8 x 8 pixels.

    Attributes
    ----------
    y, x : (N,) float32
        Their middles, 0-1 over the slide's height and width.
    colour : (N, 3) float32
        Mean R, G, B, 0-255.
    rough : (N,) float32
        Standard deviation of grey within each, grey levels.
    """

    y: Floats
    x: Floats
    colour: Floats
    rough: Floats

    @property
    def plain(self) -> NDArray[np.bool_]:
        """Which hold nothing but noise and were scanned at all, (N,) bool."""
        found: NDArray[np.bool_] = (self.rough < MAX_ROUGHNESS) & (self.colour.min(axis=1) < FILL_LEVEL)
        return found


def find_blocks(windows: Sequence[Window], height: int, width: int) -> Blocks:
    """The whole blocks of all windows of a slide of ``height`` x ``width`` pixels."""
    parts = [_blocks(window, height, width) for window in windows]
    parts = parts or [(np.zeros(0), np.zeros(0), np.zeros((0, 3)), np.zeros(0))]
    y, x, colour, rough = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
    return Blocks(y, x, colour, rough)


def _blocks(window: Window, height: int, width: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    rows, columns = (size // BLOCK_PX for size in window.pixels.shape[:2])
    if not (rows and columns):
        return np.zeros(0), np.zeros(0), np.zeros((0, 3)), np.zeros(0)
    pixels = np.ascontiguousarray(window.pixels[: rows * BLOCK_PX, : columns * BLOCK_PX])
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = (columns, rows)
    mean, squared, colour = (
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (grey, grey * grey, pixels)
    )
    rough = np.sqrt(np.maximum(squared - mean * mean, 0.0))
    y, x = np.mgrid[:rows, :columns]
    return (
        ((window.y + (y + 0.5) * BLOCK_PX) / height).ravel(),
        ((window.x + (x + 0.5) * BLOCK_PX) / width).ravel(),
        colour.reshape(-1, 3),
        rough.ravel(),
    )


@dataclass(frozen=True, eq=False)
class Fall:
    """A slow fall of light: density of glass over the slide against its colour in `Glass`.

    Attributes
    ----------
    terms : (6,) float64
        Of 1, x, y, x², xy, y² with x and y 0-1 over the slide; OD.
    lowest, highest : float
        OD between which it was seen; it is not carried further.
    height, width : int
        Of the slide, px.
    """

    terms: NDArray[np.float64]
    lowest: float
    highest: float
    height: int
    width: int

    @property
    def share(self) -> float:
        """Light lost from the brightest place to the darkest, 0-1."""
        return float(1.0 - 10.0 ** (self.lowest - self.highest))

    def evened(self, pixels: RGB, y0: int, x0: int) -> RGB:
        """``pixels`` (H, W, 3), the first at row ``y0`` and column ``x0``, as under even light."""
        height, width = pixels.shape[:2]
        y = ((np.arange(height, dtype=np.float32) + np.float32(y0 + 0.5)) / self.height)[:, None]
        x = ((np.arange(width, dtype=np.float32) + np.float32(x0 + 0.5)) / self.width)[None]
        one, across, down, across2, both, down2 = self.terms.astype(np.float32)
        density = (one + across * x + across2 * x * x) + (down * y + down2 * y * y) + both * y * x
        np.clip(density, self.lowest, self.highest, out=density)
        gain = cv2.exp(density * np.float32(np.log(10.0)))
        planes = [cv2.multiply(plane, gain, dtype=cv2.CV_8U) for plane in cv2.split(pixels)]
        return np.asarray(cv2.merge(planes))


def find_fall(blocks: Blocks, rgb: tuple[float, float, float], height: int, width: int) -> Fall | None:
    """A surface of second order through what is plain and of the glass's hue; None where light is even.

    None too where such blocks lie in a few places only, or no such surface fits most of them: glass in
    two tones is not a slow fall.

    Parameters
    ----------
    blocks : Blocks
    rgb : (float, float, float)
        The glass, 0-255.
    height, width : int
        Of the slide the blocks come from, px.
    """
    density = np.log10((np.asarray(rgb, np.float32) + 1.0) / (blocks.colour + 1.0))
    mean = density.mean(axis=1)
    usable = blocks.plain & (np.ptp(density, axis=1) <= SAME_HUE_OD)
    usable &= (mean > BRIGHTER_OD) & (mean < DARKER_OD)
    chosen = np.flatnonzero(usable)
    chosen = chosen[:: max(1, len(chosen) // MOST_FITTED)]
    x, y, mean = blocks.x[chosen], blocks.y[chosen], mean[chosen]
    cell = (y * LATTICE).astype(int) * LATTICE + (x * LATTICE).astype(int)
    counts = np.bincount(cell, minlength=LATTICE * LATTICE)
    if (counts >= MIN_IN_CELL).sum() < MIN_CELLS:
        return None
    # A wide margin must not outweigh the little glass on the other side.
    weight = np.minimum(1.0, MOST_IN_CELL / counts[cell])
    terms, off = _fitted(np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y]), mean, weight)
    fits = np.abs(off) <= FITS_OD
    seen = (mean - off)[fits]
    if weight[fits].sum() < MIN_FITTING * weight.sum() or np.ptp(seen) < MIN_FALL_OD:
        return None
    return Fall(terms, float(seen.min()), float(seen.max()), height, width)


def _fitted(
    system: NDArray, values: Floats, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Terms and residuals of a robust fit by weights that fall with the residual (Cauchy)."""
    system = system.astype(np.float64)
    now = weight
    for _ in range(ROUNDS):
        weighed = system * now[:, None]
        terms = np.linalg.lstsq(weighed.T @ system, weighed.T @ values, rcond=None)[0]
        off = values - system @ terms
        now = weight / (1.0 + np.square(off / SCALE_OD))
    return terms, off
