"""Pen: ink of four colours, told from stain by the order of its optical densities.

Haematoxylin, eosin, DAB and blood all take more green than red light, or more blue than green.
Green and blue ink take more red than green; red ink takes hardly any red but almost all green and
blue; black ink takes all alike. The core of a stroke must be dense and wide; from there it grows
into paler ink of the same colour.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.foreground import close, grown, opened
from tme.tissue.glass import Glass
from tme.tissue.runs import find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_whole_px

STROKE_UM = 64.0
CORE_MM2 = 0.02
HALO_UM = 240.0
RIM_UM = 24.0
BRIDGE_UM = 160.0
BLUE_STAIN_RATIO = 0.75
MIN_STAINED = 200

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
    found = np.zeros(coarse.shape[:2], np.bool_)
    density = glass.density(coarse)
    colours = [_green, _red, _black] if _stain_is_blue(density) else [_green, _blue, _red, _black]
    for colour in colours:
        found |= _strokes(colour(density, True), colour(density, False), mpp)
    return found


def tissue_under_pen(tissue: Mask, pen: Mask, rough: Mask, mpp: float) -> Mask:
    """Tissue without the ink that lies on glass.

    Ink is over tissue where structure shows through it, or where it is a bridge between tissue.
    The pale rim that ink leaves on glass is dropped.

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
    under = rough & tissue & pen
    return clear | under | (close(clear | under, um_to_whole_px(BRIDGE_UM / 2, mpp)) & pen)


def _stain_is_blue(density: Floats) -> bool:
    """Whether the slide's own stain is as blue as ink: then blue ink cannot be told from it."""
    stained = density[(density.mean(axis=2) > 0.05) & (density[..., 0] > 0.05)]
    if len(stained) < MIN_STAINED:
        return False
    return float(np.median(stained[:, 1] / stained[:, 0])) < BLUE_STAIN_RATIO


def _strokes(core: Mask, halo: Mask, mpp: float) -> Mask:
    """Wide, large cores, grown into the halo that hangs together with them within a distance."""
    core = opened(core, um_to_whole_px(STROKE_UM / 2, mpp))
    pieces = find_pieces(core, diagonal=True)
    ones = np.ones(core.shape[0]), np.ones(core.shape[1])
    pieces.paint(core, pieces.areas(*ones) < um2_to_px(mm2_to_um2(CORE_MM2), mpp), False)
    if not core.any():
        return core
    reach = (halo | core) & grown(core, um_to_whole_px(HALO_UM, mpp))
    linked = find_pieces(reach, diagonal=True)
    linked.paint(reach, linked.sums(core) == 0, False)
    return grown(reach, um_to_whole_px(RIM_UM, mpp))


def _split(density: Floats) -> tuple[Floats, Floats, Floats]:
    smooth = cv2.blur(density, (3, 3))
    return smooth[..., 0], smooth[..., 1], smooth[..., 2]


def _green(density: Floats, strong: bool) -> Mask:
    red, green, blue = _split(density)
    least, gap = (0.35, 0.10) if strong else (0.06, 0.02)
    found: Mask = (red >= least) & (red - green >= gap) & (blue >= 0.45 * red)
    return found


def _blue(density: Floats, strong: bool) -> Mask:
    red, green, blue = _split(density)
    least, gap = (0.35, 0.12) if strong else (0.06, 0.02)
    found: Mask = (red >= least) & (red - green >= gap) & (blue < 0.45 * red)
    return found


def _red(density: Floats, strong: bool) -> Mask:
    red, green, blue = _split(density)
    least = 0.80 if strong else 0.12
    ratio = 0.80 if strong else 0.74
    found: Mask = (green >= least) & (red <= 0.25 * green) & (blue >= ratio * green) & (blue <= 1.2 * green)
    return found


def _black(density: Floats, strong: bool) -> Mask:
    red, green, blue = _split(density)
    highest, lowest = density.max(axis=2), density.min(axis=2)
    least = 0.75 if strong else 0.35
    found: Mask = (
        (red + green + blue >= 3 * least)
        & (lowest >= 0.6 * highest)
        & (blue >= 0.95 * red)
        & (blue <= 1.05 * green)
    )
    return found
