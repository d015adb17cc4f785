"""Plain areas that are not the slide's glass: a border of another brightness, a filled margin.

Scan areas put together, glass beside the cover slip and margins filled by software are as smooth as
glass and darker. Tissue is not that smooth over a tenth of a millimetre. Such an area reaches the
picture's edge, and is of the glass's hue or without any noise at all.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.glass import Glass, extremes
from tme.tissue.morphology import Mask, enlarged, even, grown
from tme.tissue.runs import find_pieces
from tme.tissue.scan import BLACK_LEVEL, COARSE, TEXTURE, Scan

FINE_ENERGY = 0.004**2
MIDDLE_ENERGY = 0.002**2
UNIFORM_ENERGY = 0.0005**2
NOISE_FACTOR = 2.0
SAME_HUE_OD = 0.02
MAX_OD = 0.3
EVEN_LEVELS = 5
SAME_LEVELS = 8
MARGIN_PX = 7
STEP = TEXTURE // COARSE


def smooth_places(scan: Scan, noise: float) -> Mask:
    """Where nothing but noise is seen, on the texture grid, (H, W) bool; ``noise`` is that of glass, OD."""
    found: Mask = (scan.fine <= FINE_ENERGY + (NOISE_FACTOR * noise) ** 2) & (scan.middle <= MIDDLE_ENERGY)
    return found


def smooth_share(scan: Scan, min_px: float) -> float:
    """Share of a picture without glass, 0-1, that is as smooth as glass and lies at its edge."""
    colour = _shrunk(scan.coarse)
    smooth = smooth_places(scan, 0.0) & _even(colour) & (colour.min(axis=2) > BLACK_LEVEL)
    _leave_inner(smooth, min_px / STEP**2)
    return float(smooth.mean())


def _leave_inner(smooth: Mask, min_px: float) -> None:
    """Drop, in place, pieces that are small or do not reach the picture's edge."""
    pieces = find_pieces(smooth, diagonal=False)
    small = pieces.areas(*even(smooth.shape)) < min_px
    pieces.paint(smooth, small | ~pieces.touches_edge(), False)


def find_plain(tissue: NDArray[np.uint8], scan: Scan, glass: Glass, min_px: float) -> Mask:
    """Plain areas at the picture's edge that would count as tissue, on the coarse grid, (H, W) bool.

    Parameters
    ----------
    tissue : (ceil(H/4), ceil(W/4)) uint8
        Share of each texture pixel that is not glass, in 1/255.
    scan : Scan
    glass : Glass
    min_px : float
        Least area, px of the coarse grid.
    """
    colour = _shrunk(scan.coarse)
    smooth = np.maximum(scan.fine, scan.middle) <= UNIFORM_ENERGY
    if glass.found:
        low, high = extremes(glass.density(colour))
        smooth |= smooth_places(scan, glass.noise) & (high - low <= SAME_HUE_OD) & (high <= MAX_OD)
    smooth &= (tissue >= 128) & _even(colour)
    _leave_inner(smooth, min_px / STEP**2)
    if not smooth.any():
        return np.zeros(scan.black.shape, np.bool_)
    return _with_margin(smooth, colour, scan.coarse)


def _even(colour: RGB) -> Mask:
    """Pixels that differ little from all around them: what is out of focus is smooth, but not even."""
    around = np.ones((3, 3), np.uint8)
    found: Mask = (
        cv2.subtract(cv2.dilate(colour, around), cv2.erode(colour, around)).max(axis=2) <= EVEN_LEVELS
    )
    return found


def _with_margin(plain: Mask, colour: RGB, coarse: RGB) -> Mask:
    """On the coarse grid, with what is beside it and of its colour, and the line where that ends."""
    height, width = coarse.shape[:2]
    kernel = np.ones((MARGIN_PX, MARGIN_PX), np.uint8)
    colour = cv2.dilate(np.where(plain[..., None], colour, np.uint8(0)), kernel)
    size = (colour.shape[1] * STEP, colour.shape[0] * STEP)
    beside = cv2.resize(colour, size, interpolation=cv2.INTER_NEAREST)[:height, :width]
    same = cv2.absdiff(coarse, beside).max(axis=2) <= SAME_LEVELS
    same |= enlarged(plain, STEP, (height, width))
    return grown(same, 1)


def _shrunk(coarse: RGB) -> RGB:
    """Mean RGB on the texture grid; the edge is continued."""
    below, right = -coarse.shape[0] % STEP, -coarse.shape[1] % STEP
    padded = cv2.copyMakeBorder(coarse, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // STEP, padded.shape[0] // STEP)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA))
