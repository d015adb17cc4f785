"""Colours that cannot be a stained section on glass.

A stain absorbs: where it is, all three channels get darker together, and glass is the brightest
and least coloured thing there is. On 360 fields and slides (H&E, DAB with haematoxylin, pen marks
of four colours) the weaker of the correlations red-green and green-blue was .36 or more, the
saturation of the brightest 2 % at most .30 and the median luminance at least 66 of 255. A slide
whose frames hold YCbCr but are tagged RGB has -.65 and .40; fluorescence has a median near 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tme.slide.types import RGB

LUMINANCE = (0.30, 0.59, 0.11)
BRIGHTEST_PERCENTILE = 98
MIN_CORRELATION = 0.0
MIN_CORRELATION_IF_COLOURED = 0.3
MAX_GLASS_SATURATION = 0.45
MIN_CONTRAST = 5.0
MAX_DARK_MEDIAN = 40.0
LIGHT = 150.0
MIN_LIGHT_SHARE = 0.05
MAX_GREY_CHROMA = 2
MIN_GREY_CONTRAST = 10.0


@dataclass(frozen=True)
class ColourSurvey:
    """What a small picture of a slide says about its colours.

    Attributes
    ----------
    correlation : float
        The weaker of red-green and green-blue over pixels; 0 where a channel does not vary.
    contrast : float
        The smallest channel's standard deviation, grey levels.
    glass_saturation : float
        (max - min) / max of the mean colour of the brightest 2 %.
    median_luminance, luminance_contrast : float
        Grey levels.
    light_share : float
        Share of pixels lighter than 150.
    chroma : int
        Largest difference between channels but for one pixel in a thousand.
    """

    correlation: float
    contrast: float
    glass_saturation: float
    median_luminance: float
    luminance_contrast: float
    light_share: float
    chroma: int


def survey_colours(picture: RGB) -> ColourSurvey:
    """Measure a low-resolution picture or a mosaic of samples, (h, w, 3) uint8."""
    pixels = picture.reshape(-1, 3).astype(np.float64)
    luminance = pixels @ np.array(LUMINANCE)
    bright = pixels[luminance >= np.percentile(luminance, BRIGHTEST_PERCENTILE)].mean(axis=0)
    spread = pixels.std(axis=0)
    return ColourSurvey(
        correlation=min(_correlation(pixels, 0, 1), _correlation(pixels, 1, 2)),
        contrast=float(spread.min()),
        glass_saturation=float((bright.max() - bright.min()) / max(bright.max(), 1.0)),
        median_luminance=float(np.median(luminance)),
        luminance_contrast=float(luminance.std()),
        light_share=float((luminance > LIGHT).mean()),
        chroma=int(np.percentile(pixels.max(axis=1) - pixels.min(axis=1), 99.9)),
    )


def colour_fault(found: ColourSurvey) -> str:
    """Why these colours cannot be a stained section on glass; empty if they can."""
    if found.median_luminance < MAX_DARK_MEDIAN and found.light_share < MIN_LIGHT_SHARE:
        return "the picture is dark throughout, as fluorescence is; light through a section is bright"
    if found.correlation < MIN_CORRELATION and found.contrast > MIN_CONTRAST:
        return "its colour channels do not darken together, as they do under any stain"
    if found.glass_saturation > MAX_GLASS_SATURATION and found.correlation < MIN_CORRELATION_IF_COLOURED:
        return "the brightest parts are strongly coloured, as glass is not"
    if found.chroma <= MAX_GREY_CHROMA and found.luminance_contrast > MIN_GREY_CONTRAST:
        return "the picture is grey: its three channels are the same"
    return ""


def _correlation(pixels: np.ndarray, first: int, second: int) -> float:
    centred = pixels[:, (first, second)] - pixels[:, (first, second)].mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0)).prod()
    return float(centred.prod(axis=1).sum() / norm) if norm > 0 else 0.0
