"""What is brown or black on a DAB section and is no stain: the three kinds of pigment asked together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.stains.black import black_caution, black_is_told, black_section, is_black
from tme.stains.brown import brown_section, is_brown_pigment, least_green
from tme.stains.golden import golden_caution, golden_section, haematoxylin_under
from tme.stains.types import Stain, StainProfile


@dataclass(frozen=True)
class Pigment:
    """What the positive points of a slide say of pigment.

    Attributes
    ----------
    section : str
        Why nothing on the slide can be called positive; empty where it can.
    cautions : tuple of str
    haematoxylin_under_dab, least_green : float or None
        See `StainProfile`.
    """

    section: str
    cautions: tuple[str, ...]
    haematoxylin_under_dab: float | None
    least_green: float | None


def find_pigment(stain: Stain, profile: StainProfile, positive: NDArray[np.float32]) -> Pigment:
    """Pigment among the positive points of a slide.

    Parameters
    ----------
    stain : Stain
    profile : StainProfile
        With vectors and background.
    positive : (n, 3) float32
        Channel densities at the dark points above the threshold (`tme.stains.points`).
    """
    under = haematoxylin_under(stain, profile, positive)
    section = black_section(stain, profile, positive) or golden_section(under)
    return Pigment(
        section or brown_section(stain, positive),
        tuple(filter(None, [black_caution(stain, profile, positive), golden_caution(under)])),
        under,
        least_green(stain, positive),
    )


def is_pigment(density: NDArray[np.floating], stain: Stain, profile: StainProfile) -> NDArray[np.bool_]:
    """Which colours are black or brown pigment; none of a kind that is not told on this slide.

    Parameters
    ----------
    density : (n, 3) float
        Optical density of the channels R, G, B, of whole cells or pieces of vessels. Golden pigment is
        told by what lies under it (`tme.stains.golden.is_golden`).
    stain : Stain
    profile : StainProfile

    Returns
    -------
    (n,) bool
    """
    brown = is_brown_pigment(density, profile)
    return brown | is_black(density) if black_is_told(stain, profile) else brown
