"""Labels + pixels -> which cells are black or brown grains of pigment, not brown with DAB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.cells.measure import mean_of
from tme.slide.types import RGB
from tme.stains.black import black_is_told, is_nearly_black
from tme.stains.deconvolve import channel_od
from tme.stains.pigment import is_pigment
from tme.stains.types import Stain, StainProfile


def pigment_cells(
    labels: NDArray[np.int32],
    chosen: NDArray[np.integer],
    pixels: RGB,
    profile: StainProfile,
    stain: Stain,
    no_nucleus: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which cells are black or brown grains by their mean colour.

    Parameters
    ----------
    labels : (H, W) int32
    chosen : (n,) int
        The labels asked for.
    pixels : (H, W, 3) uint8
    profile : StainProfile
    stain : Stain
    no_nucleus : (n,) bool, optional
        Which of them hold no whole nucleus: they need only be nearly black.

    Returns
    -------
    (n,) bool
        All False where neither can be told from stain.
    """
    black_told = black_is_told(stain, profile)
    if not black_told and profile.least_green is None:
        return np.zeros(len(chosen), bool)
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    density = channel_od(pixels, profile.background).reshape(-1, 3)[inside]
    count = int(labels.max()) + 1
    colour = np.stack([mean_of(owner, channel, count) for channel in density.T], axis=1)[chosen]
    pigment = is_pigment(colour, stain, profile)
    if black_told and no_nucleus is not None:
        pigment |= is_nearly_black(colour) & no_nucleus
    return pigment
