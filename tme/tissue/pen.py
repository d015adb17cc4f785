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
from tme.tissue.foreground import close, grown, opened
from tme.tissue.glass import Glass, extremes
from tme.tissue.runs import find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_whole_px

PALEST_UM = 40.0
STROKE_UM = 32.0
CORE_MM2 = 0.01
HALO_UM = 240.0
RIM_UM = 24.0
HALO_SHARE = 0.3
BRIDGE_UM = 64.0
SURROUNDED = 0.8

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


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
    density = [cv2.blur(plane, (3, 3)) for plane in glass.density(coarse)]
    side = 2 * um_to_whole_px(PALEST_UM / 2, mpp) + 1
    palest = [cv2.erode(plane, np.ones((side, side), np.uint8)) for plane in density]
    mean = (density[0] + density[1] + density[2]) / np.float32(3.0)
    found = np.zeros(coarse.shape[:2], np.bool_)
    for colour in (_green, _blue, _red, _black):
        core = grown(colour(palest, True), side // 2)
        found |= _strokes(core, colour(density, False), mean, mpp)
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
    areas = gaps.areas(np.ones(pen.shape[0]), np.ones(pen.shape[1]))
    gaps.paint(found, (gaps.sums(pen) >= SURROUNDED * areas) & ~gaps.touches_edge(), True)
    return found


def _strokes(core: Mask, halo: Mask, density: Floats, mpp: float) -> Mask:
    """Wide, large cores, grown into the halo that hangs together with them within a distance."""
    core = opened(core, um_to_whole_px(STROKE_UM / 2, mpp))
    pieces = find_pieces(core, diagonal=True)
    ones = np.ones(core.shape[0]), np.ones(core.shape[1])
    pieces.paint(core, pieces.areas(*ones) < um2_to_px(mm2_to_um2(CORE_MM2), mpp), False)
    if not core.any():
        return core
    halo &= density >= HALO_SHARE * float(np.median(density[core]))
    reach = (halo | core) & grown(core, um_to_whole_px(HALO_UM, mpp))
    linked = find_pieces(reach, diagonal=True)
    linked.paint(reach, linked.sums(core) == 0, False)
    return grown(reach, um_to_whole_px(RIM_UM / 2, mpp))


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
    return np.logical_and.reduce(conditions)
