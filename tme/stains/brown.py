"""Brown pigment among what is brown with stain: melanin takes less green than DAB over nuclei does.

In: channel densities at the positive points of a slide. Out: how much green a colour must hold to be that
slide's stain, and what follows. Melanin absorbs ever less from blue to red, without a shoulder, so that its
density in green is about the geometric mean of those in red and blue (Meredith and Sarna, Pigment Cell Res.
2006). DAB and haematoxylin take more: 1.1 to 1.3 times the mean on 199 of 200 positive cells of two fields of
CD3 and CD8 and one of CD31, from two scanners. Other scanners show DAB itself as melanin is, between 0.7 and
1.3 times on one slide; there pigment is not told (docs/benchmarks.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.stains.black import FEWEST_POSITIVE
from tme.stains.types import Stain, StainProfile

MOST_GREEN_PIGMENT = 1.08
"""Density in green over the geometric mean of red and blue; less can be pigment."""
MOST_GREEN_SECTION = 1.06
"""The same of the median of a section that is brown with pigment alone: 0.94 to 1.02 on rendered grains of
melanin with some counterstain under them."""
SPREADS_BELOW = 3.0
"""How many times as far below the third quartile of a slide's positive points as their 95th percentile lies
above it a colour is not that slide's stain. Pigment lies below and hardly moves either."""
TOLD_FROM = 1.0
"""Where that limit is lower, the slide's own stain has the colours of pigment."""
LEAST_COLOUR_OD = 0.6
"""Density of the three channels together below which a colour says too little."""
MOST_RANGE_OF_PIGMENT = 0.1
"""Between the quartiles. One pigment has one hue, but for what lies under it and what JPEG makes of it (0.01
to 0.07 on rendered grains); DAB as low in green, over nuclei and beside them, 0.14 and more."""


def green_over_mean(density: NDArray[np.floating]) -> NDArray[np.float64]:
    """Density in green over the geometric mean of red and blue; NaN where one of them is not positive.

    Parameters
    ----------
    density : (n, 3) float
        Optical density of the channels R, G, B.

    Returns
    -------
    (n,) float64
    """
    red, green, blue = np.asarray(density, np.float64).T
    mean = np.sqrt(np.maximum(red, 0) * np.maximum(blue, 0))
    return np.asarray(np.divide(green, mean, out=np.full(len(mean), np.nan), where=mean > 0))


def _coloured(stain: Stain, positive: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shares of green of the points that have a colour; none where too few, or the marker is nuclear.

    Haematoxylin under much DAB has any colour.
    """
    share = green_over_mean(positive[positive.sum(axis=1) > LEAST_COLOUR_OD])
    share = share[np.isfinite(share)]
    asked = stain.marker_site in ("membrane", "endothelium") and len(share) >= FEWEST_POSITIVE
    return share if asked else share[:0]


def least_green(stain: Stain, positive: NDArray[np.float32]) -> float | None:
    """Share of green under which a colour is pigment, not this slide's stain; None where that is not told.

    Parameters
    ----------
    stain : Stain
    positive : (n, 3) float32
        Channel densities at the dark points above the threshold (`tme.stains.points`).
    """
    share = _coloured(stain, positive)
    if not len(share):
        return None
    quartile, high = np.percentile(share, [75, 95])
    limit = min(MOST_GREEN_PIGMENT, quartile - SPREADS_BELOW * (high - quartile))
    return round(float(limit), 4) if limit >= TOLD_FROM else None


def brown_section(stain: Stain, positive: NDArray[np.float32]) -> str:
    """Why nothing on a slide can be called positive, as all brown has one hue, of pigment; else empty."""
    share = _coloured(stain, positive)
    if not len(share):
        return ""
    low, middle, high = np.percentile(share, [25, 50, 75])
    if middle >= MOST_GREEN_SECTION or high - low >= MOST_RANGE_OF_PIGMENT:
        return ""
    return (
        f"what is brown has one hue, that of pigment such as melanin (green {middle:.2f} of the mean of red "
        "and blue), not of stain over nuclei"
    )


def is_brown_pigment(density: NDArray[np.floating], profile: StainProfile) -> NDArray[np.bool_]:
    """Which colours are brown pigment, not the slide's stain; none on a slide where that is not told.

    Parameters
    ----------
    density : (n, 3) float
        Optical density of the channels R, G, B, of whole cells or pieces of vessels.
    profile : StainProfile

    Returns
    -------
    (n,) bool
    """
    if profile.least_green is None:
        return np.zeros(len(density), bool)
    # NaN compares false.
    pigment = green_over_mean(density) < profile.least_green
    return np.asarray(pigment & (density.sum(axis=1) > LEAST_COLOUR_OD))
