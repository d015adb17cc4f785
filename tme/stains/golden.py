"""Golden pigment among what is brown: haemosiderin has the hue of DAB, but no nucleus lies under it.

In: channel densities at the positive points of a slide. Out: how much haematoxylin there is under its DAB,
and what follows. A positive lymphocyte is a blue nucleus in a brown rim: over the whole cell haematoxylin has
0.7 times the density of DAB or more on 99 of 100 positive cells of two real fields of CD3 and CD8 and of
rendered slides, golden grains painted on such have 0.1 to 0.4 times (docs/benchmarks.md). How much depends on
the hue of a laboratory's DAB, so single cells are judged only where the slide's own positive points are like
those. Brown melanin holds "haematoxylin" by its hue, and so does DAB redder than the reference
(`tme.stains.brown`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.stains.black import FEWEST_POSITIVE
from tme.stains.deconvolve import unmixing
from tme.stains.types import Stain, StainProfile

LEAST_UNDER_CELL = 0.45
"""Haematoxylin over DAB of a cell, on a slide where it is told; less is pigment."""
TOLD_FROM = 0.9
"""Median over a slide's positive points from which on it is: 1.1 to 2 where there are positive cells."""
LEAST_DOUBTED = 0.6
"""The same below which it is said that pigment is not told."""
LEAST_UNDER_SECTION = 0.25
"""The same below which nothing brown is believed to be a cell: 0.1 for golden grains alone."""


def haematoxylin_under(stain: Stain, profile: StainProfile, positive: NDArray[np.float32]) -> float | None:
    """Median of haematoxylin over DAB at the positive points; None where it says nothing.

    Parameters
    ----------
    stain : Stain
    profile : StainProfile
    positive : (n, 3) float32
        Channel densities at the dark points above the threshold (`tme.stains.points`).
    """
    haematoxylin, dab = unmixing(profile) @ positive.T
    # A cut under 0 would let points in that hold no DAB at all.
    held = dab > 0
    if stain.marker_site != "membrane" or held.sum() < FEWEST_POSITIVE:
        return None
    return round(float(np.median(haematoxylin[held] / dab[held])), 4)


def golden_section(under: float | None) -> str:
    """Why nothing on a slide can be called positive, as no nucleus lies under what is brown; else empty."""
    if under is None or under >= LEAST_UNDER_SECTION:
        return ""
    return (
        f"what is brown holds next to no haematoxylin ({max(under, 0):.2f} of its DAB): golden pigment such "
        "as haemosiderin, a stain of vessels, or a section without counterstain; no cells"
    )


def golden_caution(under: float | None) -> str:
    """A sentence where little haematoxylin lies under what is brown, so that pigment is not told from DAB."""
    if under is None or not LEAST_UNDER_SECTION <= under < LEAST_DOUBTED:
        return ""
    return (
        f"what is brown holds little haematoxylin ({under:.2f} of its DAB): golden pigment is not told from "
        "stain"
    )


def is_golden(
    haematoxylin: NDArray[np.floating], dab: NDArray[np.floating], profile: StainProfile
) -> NDArray[np.bool_]:
    """Which cells are golden pigment by their mean densities; none on a slide where it is not told.

    Parameters
    ----------
    haematoxylin, dab : (n,) float
        Mean optical densities of a cell.
    profile : StainProfile

    Returns
    -------
    (n,) bool
    """
    under = profile.haematoxylin_under_dab
    if under is None or under < TOLD_FROM:
        return np.zeros(len(dab), bool)
    return np.asarray((dab > 0) & (haematoxylin < LEAST_UNDER_CELL * dab))
