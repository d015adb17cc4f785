"""One pass over the slide: RGB in fixed blocks, reduced at once to a few small maps.

In: a `Slide` and its glass. Out: a `Scan`, maps on the mask grid and on grids that are whole
multiples of it. The slide is read at about 2 µm/px, which is enough for the membranes of fat and
for focus, and which a coarser level of a pyramid serves. Every block is read once; blocks are
anchored at the slide's corner and filtered with a margin, so no value depends on them, and memory
is one band of blocks plus the maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box
from tme.slide.types import RGB, Slide
from tme.tissue.glass import Glass, extremes
from tme.tissue.light import Fall, Window
from tme.units import um_to_px

READ_MPP = 2.0
BLOCK_PX = 512
COARSE = 2
TEXTURE = 8
FINE_UM = 2.0
MIDDLE_UM = 6.0
SAMPLE_WINDOWS = 16
SAMPLE_PX = 128
SAMPLE_ALL_PX = 6_000_000
BLACK_LEVEL = 24
DENSITY_WEIGHT = 0.3
CHROMA_WEIGHT = 1.0
ROUGHNESS_WEIGHT = 1.5
ROUGHNESS_PX = 3
EVIDENCE_PER_OD = 400.0

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Raster:
    """The grids of one slide.

    Attributes
    ----------
    read_mpp : float
        µm/px the slide is read at.
    factor : int
        Read pixels along one mask pixel.
    read_width, read_height : int
        Of the slide at ``read_mpp``, px.
    """

    read_mpp: float
    factor: int
    read_width: int
    read_height: int

    @property
    def mask_mpp(self) -> float:
        """µm/px of the mask."""
        return self.read_mpp * self.factor

    @property
    def margin(self) -> int:
        """Read pixels that filters need around a block; a whole number of texture pixels."""
        step = self.factor * TEXTURE
        return step * math.ceil((4.0 * um_to_px(MIDDLE_UM, self.read_mpp) + 1.0) / step)

    def shape(self, multiple: int) -> tuple[int, int]:
        """(H, W) of the grid whose pixels are ``multiple`` mask pixels wide."""
        step = self.factor * multiple
        return -(-self.read_height // step), -(-self.read_width // step)


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass leaves behind.

    Attributes
    ----------
    raster : Raster
    evidence : (H, W) uint8
        Evidence of tissue in units of 1/400 OD; about 0-4 on clean glass.
    strongest : (ceil(H/2), ceil(W/2)) uint8
        Largest evidence within each pixel of twice the mask's µm/px.
    black : (ceil(H/2), ceil(W/2)) bool
        Pixels without any light: a scanner's border.
    coarse : (ceil(H/2), ceil(W/2), 3) uint8
        Mean RGB at twice the mask's µm/px.
    fine, middle : (ceil(H/8), ceil(W/8)) float32
        Mean squared density in the bands at about 4-10 µm and 10-40 µm period, OD².
    """

    raster: Raster
    evidence: Bytes
    strongest: Bytes
    black: NDArray[np.bool_]
    coarse: RGB
    fine: Floats
    middle: Floats


def make_raster(slide: Slide, mask_mpp: float) -> Raster:
    """The grids for a mask of ``mask_mpp`` µm/px.

    The slide is read at a whole fraction of it. That snaps to a level within the slide's snapping
    tolerance, which saves a resampling and often a whole level; the mask follows.
    """
    factor = max(1, round(mask_mpp / READ_MPP))
    read_mpp = slide.info.working_mpp(mask_mpp / factor)
    width, height = slide.info.size_at(read_mpp)
    return Raster(read_mpp, factor, width, height)


def read_sample(slide: Slide, raster: Raster) -> list[Window]:
    """Windows the glass is estimated from: the whole of a small slide, a lattice of a large one."""
    width, height = raster.read_width, raster.read_height
    if width * height <= SAMPLE_ALL_PX:
        return [Window(start, 0, rows) for _, _, start, rows in _bands(slide, raster, 0)]
    windows = []
    for row in range(SAMPLE_WINDOWS):
        for column in range(SAMPLE_WINDOWS):
            x = (2 * column + 1) * width // (2 * SAMPLE_WINDOWS) - SAMPLE_PX // 2
            y = (2 * row + 1) * height // (2 * SAMPLE_WINDOWS) - SAMPLE_PX // 2
            box = Box(y, x, y + SAMPLE_PX, x + SAMPLE_PX).clip(width, height)
            if not box.empty:
                pixels = slide.read(box.x0, box.y0, box.width, box.height, raster.read_mpp)
                windows.append(Window(box.y0, box.x0, pixels))
    return windows


def scan_slide(slide: Slide, raster: Raster, glass: Glass, fall: Fall | None) -> Scan:
    """Read the slide once and reduce it to the maps of a `Scan`, as under even light."""
    scan = Scan(
        raster,
        np.zeros(raster.shape(1), np.uint8),
        np.zeros(raster.shape(COARSE), np.uint8),
        np.zeros(raster.shape(COARSE), np.bool_),
        np.zeros((*raster.shape(COARSE), 3), np.uint8),
        np.zeros(raster.shape(TEXTURE), np.float32),
        np.zeros(raster.shape(TEXTURE), np.float32),
    )
    margin = raster.margin
    for y0, y1, start, band in _bands(slide, raster, margin):
        for x0 in range(0, raster.read_width, BLOCK_PX):
            x1 = min(x0 + BLOCK_PX, raster.read_width)
            left = max(x0 - margin, 0)
            core = Box(y0 - start, x0 - left, y1 - start, x1 - left)
            pixels = np.ascontiguousarray(band[:, left : x1 + margin])
            if fall is not None:
                pixels = fall.evened(pixels, start, left)
            _store(scan, glass, pixels, core, y0, x0)
    return scan


def _bands(slide: Slide, raster: Raster, margin: int) -> Iterator[tuple[int, int, int, RGB]]:
    """Rows y0 to y1 to work on, and a full-width band from row ``start`` that covers them and a margin.

    Read boxes are whole blocks; the rows worked on lag behind by the margin.
    """
    height = raster.read_height
    held = np.zeros((0, raster.read_width, 3), np.uint8)
    start = done = 0
    for top in range(0, height, BLOCK_PX):
        bottom = min(top + BLOCK_PX, height)
        held = np.concatenate([held, _read_rows(slide, raster, top, bottom)])
        ready = height if bottom == height else bottom - margin
        yield done, ready, start, held
        keep = max(ready - margin, 0)
        held, start, done = held[keep - start :].copy(), keep, ready


def _read_rows(slide: Slide, raster: Raster, top: int, bottom: int) -> RGB:
    rows = np.empty((bottom - top, raster.read_width, 3), np.uint8)
    for x0 in range(0, raster.read_width, BLOCK_PX):
        x1 = min(x0 + BLOCK_PX, raster.read_width)
        rows[:, x0:x1] = slide.read(x0, top, x1 - x0, bottom - top, raster.read_mpp)
    return rows


def _store(scan: Scan, glass: Glass, pixels: RGB, core: Box, y0: int, x0: int) -> None:
    raster = scan.raster
    density = glass.density(pixels)
    mean = (density[0] + density[1] + density[2]) / np.float32(3.0)
    inner = (slice(core.y0, core.y1), slice(core.x0, core.x1))
    fine, middle = _bands_of_detail(mean, raster.read_mpp)
    factor = raster.factor
    _put(scan.fine, fine[inner], y0, x0, factor * TEXTURE)
    _put(scan.middle, middle[inner], y0, x0, factor * TEXTURE)
    evidence = _evidence(density, mean, glass.noise)[inner]
    small = _put(scan.evidence, np.minimum(evidence * EVIDENCE_PER_OD, 255.0), y0, x0, factor)
    _put_largest(scan.strongest, small, y0 // factor, x0 // factor)
    _put(scan.coarse, pixels[inner], y0, x0, factor * COARSE)
    dark = (extremes(cv2.split(pixels[inner]))[1] <= BLACK_LEVEL).astype(np.float32)
    _put(scan.black, dark, y0, x0, factor * COARSE)


def _evidence(density: tuple[Floats, Floats, Floats], mean: Floats, noise: float) -> Floats:
    """Evidence of tissue, OD: darkness counts little (uneven light), colour and roughness much."""
    low, high = extremes(density)
    size = (ROUGHNESS_PX, ROUGHNESS_PX)
    centre = cv2.blur(mean, size)
    spread = np.sqrt(np.maximum(cv2.blur(mean * mean, size) - centre * centre, 0.0))
    rough = np.maximum(spread - np.float32(noise), 0.0)
    found: Floats = DENSITY_WEIGHT * mean + CHROMA_WEIGHT * (high - low) + ROUGHNESS_WEIGHT * rough
    return found


def _bands_of_detail(mean: Floats, mpp: float) -> tuple[Floats, Floats]:
    fine_px, middle_px = um_to_px(FINE_UM, mpp), um_to_px(MIDDLE_UM, mpp)
    small = cv2.GaussianBlur(mean, (0, 0), fine_px)
    large = cv2.GaussianBlur(mean, (0, 0), middle_px)
    fine: Floats = np.square(mean - small)
    middle: Floats = np.square(small - large)
    return fine, middle


def _put(target: NDArray, values: NDArray, y0: int, x0: int, step: int) -> NDArray:
    """Write means over ``step`` x ``step`` read pixels into a map, and return what was written."""
    values = _padded(values, step)
    height, width = values.shape[:2]
    size = (width // step, height // step)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA) if step > 1 else values
    if target.dtype == np.bool_:
        small = small >= 0.5
    elif target.dtype == np.uint8 and small.dtype != np.uint8:
        small = np.floor(small + np.float32(0.5))
    y, x = y0 // step, x0 // step
    written = target[y : y + size[1], x : x + size[0]]
    written[...] = small
    return written


def _put_largest(target: Bytes, values: Bytes, y0: int, x0: int) -> None:
    """Write the largest of each 2 x 2 values into a map."""
    values = _padded(values, COARSE)
    above = cv2.max(values[0::2], values[1::2])
    largest = cv2.max(above[:, 0::2], above[:, 1::2])
    y, x = y0 // COARSE, x0 // COARSE
    target[y : y + largest.shape[0], x : x + largest.shape[1]] = largest


def _padded(values: NDArray, step: int) -> NDArray:
    """Rows and columns to a multiple of ``step``; the slide's edge is continued."""
    below, right = -values.shape[0] % step, -values.shape[1] % step
    if not (below or right):
        return values
    return np.asarray(cv2.copyMakeBorder(values, 0, below, 0, right, cv2.BORDER_REPLICATE))
