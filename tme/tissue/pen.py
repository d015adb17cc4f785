"""Pen: ink of four colours, told from stain by the order of its optical densities.

Haematoxylin, eosin, DAB and blood take more green than red light, or more blue than green. Green
and blue ink take more red than green; red ink takes hardly any red but most green and blue; black
ink takes all alike. Ink lies over everything, so it is looked for in the palest spots of a
neighbourhood, where hardly any stain is mixed in: the density of each channel is eroded first.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.glass import Glass, extremes
from tme.tissue.morphology import BAND_ROWS, Mask, close, even, grow, grown, opened
from tme.tissue.runs import find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_whole_px

PALEST_UM = 40.0
STROKE_UM = 32.0
CORE_MM2 = 0.01
HALO_UM = 240.0
HALO_SHARE = 0.3
RIM_UM = 24.0
BRIDGE_UM = 64.0
SURROUNDED = 0.8
STEPS_PER_OD = 100.0

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def find_pen(coarse: RGB, glass: Glass, mpp: float) -> Mask:
    """Pixels under ink, on tissue or on glass.

    Parameters
    ----------
    coarse : (H, W, 3) uint8
        Mean RGB at ``mpp``.
    glass : Glass
    mpp : float
        µm/px of ``coarse``.
    """
    reach = um_to_whole_px(PALEST_UM / 2, mpp)
    bits, density = _colours(coarse, glass, reach)
    found = np.zeros(coarse.shape[:2], np.bool_)
    for number in range(len(_RULES)):
        core = (bits & (1 << number)) != 0
        if core.any():
            grow(core, reach)
            halo = (bits & (16 << number)) != 0
            found |= _strokes(core, halo, density, mpp)
    return found


def tissue_under_pen(tissue: Mask, pen: Mask, rough: Mask, mpp: float) -> Mask:
    """Tissue without the ink that lies on glass.

    Ink is over tissue where structure shows through it, where it is a bridge between tissue, and
    where tissue surrounds it. The pale rim that ink leaves on glass is dropped.

    Parameters
    ----------
    tissue, pen, rough : (H, W) bool
        Not glass; ink; structure of tissue.
    mpp : float
        µm/px of the three.
    """
    if not pen.any():
        return tissue
    clear = tissue & ~pen
    near = grown(pen, um_to_whole_px(4 * RIM_UM, mpp))
    clear &= ~near | opened(clear, um_to_whole_px(RIM_UM, mpp))
    found = clear | (rough & tissue & pen)
    found |= close(found, um_to_whole_px(BRIDGE_UM / 2, mpp)) & pen
    gaps = find_pieces(~found, diagonal=False)
    share = gaps.sums(pen) / np.maximum(gaps.areas(*even(pen.shape)), 1.0)
    gaps.paint(found, (share >= SURROUNDED) & ~gaps.touches_edge(), True)
    return found


def _colours(coarse: RGB, glass: Glass, reach: int) -> tuple[Bytes, Bytes]:
    """Bits of the four colours (core, then halo) and mean density in hundredths, band by band."""
    bits = np.zeros(coarse.shape[:2], np.uint8)
    density = np.zeros(coarse.shape[:2], np.uint8)
    margin, side = reach + 1, 2 * reach + 1
    for top in range(0, coarse.shape[0], BAND_ROWS):
        start = max(top - margin, 0)
        part = glass.density(np.ascontiguousarray(coarse[start : top + BAND_ROWS + margin]))
        smooth = [cv2.blur(plane, (3, 3)) for plane in part]
        palest = [cv2.erode(plane, np.ones((side, side), np.uint8)) for plane in smooth]
        here = np.zeros(smooth[0].shape, np.uint8)
        for number, rule in enumerate(_RULES):
            here |= rule(palest, True).view(np.uint8) << np.uint8(number)
            here |= rule(smooth, False).view(np.uint8) << np.uint8(4 + number)
        mean = np.minimum(sum(smooth) * np.float32(STEPS_PER_OD / 3.0), np.float32(255.0))
        own = slice(top - start, top - start + BAND_ROWS)
        bits[top : top + BAND_ROWS] = here[own]
        density[top : top + BAND_ROWS] = mean[own]
    return bits, density


def _strokes(core: Mask, halo: Mask, density: Bytes, mpp: float) -> Mask:
    """Wide, large cores, grown into the halo that hangs together with them within a distance."""
    core = opened(core, um_to_whole_px(STROKE_UM / 2, mpp))
    pieces = find_pieces(core, diagonal=True)
    pieces.paint(core, pieces.areas(*even(core.shape)) < um2_to_px(mm2_to_um2(CORE_MM2), mpp), False)
    if not core.any():
        return core
    halo &= density >= HALO_SHARE * float(np.median(density[core]))
    reach = (halo | core) & grown(core, um_to_whole_px(HALO_UM, mpp))
    linked = find_pieces(reach, diagonal=True)
    linked.paint(reach, linked.sums(core) == 0, False)
    grow(reach, um_to_whole_px(RIM_UM / 2, mpp))
    return reach


def _green(density: Sequence[Floats], strong: bool) -> Mask:
    red, green, blue = density
    least, gap = (0.20, 0.04) if strong else (0.06, 0.02)
    return _all(red >= least, red - green >= gap, blue >= 0.45 * red)


def _blue(density: Sequence[Floats], strong: bool) -> Mask:
    red, green, blue = density
    least, gap = (0.25, 0.0) if strong else (0.06, 0.02)
    return _all(red >= least, red - green >= gap, blue < 0.45 * red)


def _red(density: Sequence[Floats], strong: bool) -> Mask:
    red, green, blue = density
    least = 0.30 if strong else 0.12
    return _all(green >= least, red <= 0.28 * green, blue >= 0.74 * green, blue <= 1.2 * green)


def _black(density: Sequence[Floats], strong: bool) -> Mask:
    red, green, blue = density
    lowest, highest = extremes(density)
    least = 0.35 if strong else 0.25
    return _all(
        red + green + blue >= 3 * least, lowest >= 0.62 * highest, blue >= 0.9 * red, blue <= 1.05 * green
    )


def _all(*conditions: Mask) -> Mask:
    return np.asarray(np.logical_and.reduce(conditions))


_RULES = (_green, _blue, _red, _black)
