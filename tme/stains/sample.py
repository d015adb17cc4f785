"""A seeded sample of windows over a slide's usable tissue, and the colour of its glass.

In: a slide and its tissue mask. Out: pixels. The sample depends on the slide and the seed alone,
never on tiles or workers.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box, grid
from tme.slide.types import RGB, Slide
from tme.stains.types import Vector
from tme.tissue.types import Mask, TissueMask
from tme.units import um_to_whole_px

WINDOW_UM = 128.0
MIN_USABLE = 0.5
GLASS_MARGIN_UM = 40.0
GLASS_WINDOWS = 12
BRIGHT_SHARE = 0.005
DIMMEST_GLASS = 140.0
DARKEST_BRIGHT = 170.0
FILL_LEVEL = 254
MIN_OF_BRIGHTEST = 0.9
DARKEST_USUAL = 185.0
MOST_COLOURED = 45.0
WHITE = (245.0, 245.0, 245.0)


def sample_windows(tissue: TissueMask, size: tuple[int, int], mpp: float, count: int, seed: int) -> list[Box]:
    """Up to ``count`` windows with usable tissue, in pixels at ``mpp``, in row order.

    All of them where there are no more than ``count``; else drawn without replacement. Windows less
    than half usable are taken only where no better ones exist.
    """
    step = um_to_whole_px(WINDOW_UM, mpp)
    boxes, shares = [], []
    usable = tissue.usable if tissue.usable.any() else tissue.tissue
    for box in grid(*size, step):
        share = _share(usable, box, mpp / tissue.mpp)
        if share > 0:
            boxes.append(box)
            shares.append(share)
    best = [box for box, share in zip(boxes, shares, strict=True) if share >= MIN_USABLE]
    if not best:
        order = np.argsort(-np.asarray(shares), kind="stable")[:count]
        return [boxes[index] for index in sorted(order)]
    if len(best) <= count:
        return best
    chosen = np.random.default_rng(seed).choice(len(best), size=count, replace=False)
    return [best[index] for index in sorted(chosen)]


def _share(mask: Mask, box: Box, scale: float) -> float:
    part = mask[
        int(box.y0 * scale) : int(np.ceil(box.y1 * scale)), int(box.x0 * scale) : int(np.ceil(box.x1 * scale))
    ]
    return float(part.mean()) if part.size else 0.0


def read_sample(slide: Slide, tissue: TissueMask, mpp: float, count: int, seed: int) -> list[RGB]:
    """Pixels of `sample_windows` at ``mpp``; a list of (h, w, 3) uint8, windows at the edge smaller."""
    boxes = sample_windows(tissue, slide.info.size_at(mpp), mpp, count, seed)
    return [slide.read(box.x0, box.y0, box.width, box.height, mpp) for box in boxes]


def background_colour(slide: Slide, tissue: TissueMask, sample: list[RGB], seed: int) -> Vector:
    """Colour of empty glass: the median far from tissue, else of the sample's brightest pixels."""
    glass, darkest = _glass_pixels(slide, tissue, seed), DIMMEST_GLASS
    if glass is None:
        glass, darkest = _bright_pixels(sample), DARKEST_BRIGHT
    if glass is None or not len(glass):
        return WHITE
    colour = np.median(glass, axis=0).astype(np.float64)
    if colour.max() < darkest:
        return WHITE
    return float(colour[0]), float(colour[1]), float(colour[2])


def background_caution(background: Vector) -> str:
    """A sentence where the glass is darker or more coloured than any slide this was tried on."""
    if min(background) < DARKEST_USUAL or max(background) - min(background) > MOST_COLOURED:
        return "the background is darker or more coloured than on the slides this was validated on"
    return ""


def _glass_pixels(slide: Slide, tissue: TissueMask, seed: int) -> NDArray[np.uint8] | None:
    if not tissue.has_glass:
        return None
    radius = um_to_whole_px(GLASS_MARGIN_UM, tissue.mpp)
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    free = cv2.dilate(tissue.tissue.astype(np.uint8), kernel) == 0
    side = 32
    boxes = [
        box for box in grid(tissue.shape[1], tissue.shape[0], side) if _share(free, box, 1.0) > MIN_USABLE
    ]
    if not boxes:
        return None
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.choice(len(boxes), size=min(GLASS_WINDOWS, len(boxes)), replace=False))
    parts = []
    for box in (boxes[index] for index in chosen):
        pixels = slide.read(box.x0, box.y0, box.width, box.height, tissue.mpp)
        parts.append(pixels[free[box.y0 : box.y1, box.x0 : box.x1]])
    pixels = np.concatenate(_without_dark(parts))
    # Pure white is where the scanner saw nothing, not what glass looks like.
    seen = pixels[pixels.min(axis=1) < 255]
    return seen if len(seen) >= len(pixels) // 4 else pixels


def _without_dark(parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """The windows nearly as bright as the brightest: a plain margin or pen is no tissue, but no glass."""
    levels = np.array([float(np.median(part)) for part in parts])
    brightest = levels[levels < FILL_LEVEL].max(initial=0.0)
    return [part for part, level in zip(parts, levels, strict=True) if level >= MIN_OF_BRIGHTEST * brightest]


def _bright_pixels(sample: list[RGB]) -> NDArray[np.uint8] | None:
    if not sample:
        return None
    pixels = np.concatenate([part.reshape(-1, 3) for part in sample])
    brightness = pixels.min(axis=1)
    count = max(1, int(len(pixels) * BRIGHT_SHARE))
    cut = np.partition(brightness, len(brightness) - count)[len(brightness) - count]
    return np.asarray(pixels[brightness >= cut])
