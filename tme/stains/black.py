"""Black grains among what is brown: carbon, formalin pigment and dark melanin are not DAB.

In: channel densities. Out: which of them are black. DAB absorbs blue far more than red, haematoxylin red
and green more than blue; black pigment absorbs all three alike. Golden pigment (haemosiderin) and brown
melanin have the colour of DAB in one laboratory or another and are told elsewhere, where they can be
(`tme.stains.golden`, `tme.stains.brown`).

Asked of whole cells (`tme.cells.pigment`) and of pieces of endothelium (`tme.vessels.supported`). Measured on
cells called positive: green over red is 1.12 or more on 19 of 20 cells of two real fields
of CD3 and CD8 and of two of CD31; together with the other two limits 5 of 1250 are taken for black, and all
of 776 rendered grains (docs/benchmarks.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.stains.types import Stain, StainProfile

MOST_GREEN = 1.1
"""Density in green over that in red; DAB over a nucleus has 1.2 to 1.5."""
BLUE_RANGE = (0.85, 1.2)
"""The same for blue."""
LEAST_COLOUR_OD = 1.0
"""Density of the three channels together below which a colour says too little."""
NEARLY_GREEN, NEARLY_BLUE, NEARLY_COLOUR_OD = 1.25, (0.8, 1.25), 2.0
"""The three limits for a speck on tinted ground, or so dark that a grey level more or less is a tenth of a
density."""
MOST_HAEMATOXYLIN = 2.0
"""Haematoxylin over DAB of a whole positive cell, its nucleus counted in: 0.9 to 2 on a field of CD8."""
FEWEST_POSITIVE = 20
"""Positive points of a slide below which its black ones say nothing of the slide."""
LEAST_BLACK = 0.5
"""Share of black among them from which on none of the others is believed: a section of few positive cells and
much pigment looks like one whose DAB is black, and 0 would be wrong there."""
LEAST_DOUBTED = 0.1
"""The same from which on it is said that black cannot be told from stain."""


def is_black(density: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which colours are black.

    Parameters
    ----------
    density : (n, 3) float
        Optical density of the channels R, G, B.

    Returns
    -------
    (n,) bool
    """
    return _grey(density, MOST_GREEN, BLUE_RANGE, LEAST_COLOUR_OD)


def is_nearly_black(density: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which colours are black but for a tinge of stain, and very dark; see `is_black`.

    Some nuclei under DAB are, too: what is only nearly black is a speck where no nucleus is seen.
    """
    return _grey(density, NEARLY_GREEN, NEARLY_BLUE, NEARLY_COLOUR_OD)


def _grey(
    density: NDArray[np.floating], most_green: float, blue_range: tuple[float, float], least_od: float
) -> NDArray[np.bool_]:
    red, green, blue = np.asarray(density, np.float64).T
    even = (green < most_green * red) & (blue > blue_range[0] * red) & (blue < blue_range[1] * red)
    return np.asarray(even & (density.sum(axis=1) > least_od))


def black_is_told(stain: Stain, profile: StainProfile) -> bool:
    """Whether black can be told from stain on this slide.

    Not where the marker sits in the nucleus: haematoxylin under much DAB is black too. Nor where the
    counterstain is so blue that DAB over no more than `MOST_HAEMATOXYLIN` as much of it is.
    """
    if stain.kind != "dab" or stain.marker_site == "nucleus":
        return False
    haematoxylin, dab = (np.asarray(vector) for vector in profile.vectors[:2])
    shares = np.linspace(0, MOST_HAEMATOXYLIN, 17)
    # Dark enough for its colour to count: what is asked is the hue.
    return not bool(is_black(2 * (dab + shares[:, None] * haematoxylin)).any())


def black_section(stain: Stain, profile: StainProfile, positive: NDArray[np.float32]) -> str:
    """Why nothing on a slide can be called positive, as most that is dark enough is black; else empty.

    Parameters
    ----------
    stain : Stain
    profile : StainProfile
    positive : (n, 3) float32
        Channel densities at the dark points above the threshold (`tme.stains.points`).
    """
    share = _black_share(stain, positive)
    if share < LEAST_BLACK or not black_is_told(stain, profile):
        return ""
    return (
        f"{100 * share:.0f} % of what is dark enough to be positive is black, not brown: "
        "carbon, melanin or formalin pigment, not DAB"
    )


def black_caution(stain: Stain, profile: StainProfile, positive: NDArray[np.float32]) -> str:
    """A sentence where much is black and the slide's own counterstain keeps it from being told from DAB."""
    share = _black_share(stain, positive)
    if share < LEAST_DOUBTED or black_is_told(stain, profile):
        return ""
    return (
        f"{100 * share:.0f} % of what is dark enough to be positive is black: with so blue a counterstain "
        "pigment is not told from DAB"
    )


def _black_share(stain: Stain, positive: NDArray[np.float32]) -> float:
    """Share of black among positive points; 0 where they are few or the marker sits in the nucleus."""
    if stain.marker_site == "nucleus" or len(positive) < FEWEST_POSITIVE:
        return 0.0
    return float(is_black(positive).mean())
