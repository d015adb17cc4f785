"""RGB -> optical density of each stain, the same for every tile of a slide.

In: uint8 RGB and the slide's `StainProfile`. Out: float32 optical densities. Nothing is estimated
here; Beer-Lambert and a 3 x 3 inverse, after Ruifrok & Johnston, Anal Quant Cytol Histol 2001.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.stains.types import Stain, StainProfile, Vector

FloatImage = NDArray[np.float32]


def unit(vector: Vector) -> Vector:
    """The vector scaled to length 1."""
    red, green, blue = (float(part) for part in np.asarray(vector, np.float64) / np.linalg.norm(vector))
    return red, green, blue


def stain_vectors(first: Vector, second: Vector) -> tuple[Vector, Vector, Vector]:
    """Two stain directions and the residual direction orthogonal to both, all of length 1."""
    one, two = unit(first), unit(second)
    residual = np.cross(np.asarray(one), np.asarray(two))
    return one, two, unit((float(residual[0]), float(residual[1]), float(residual[2])))


def reference_profile(stain: Stain, background: Vector = (245.0, 245.0, 245.0)) -> StainProfile:
    """The profile of a slide of which nothing is known but its stain's name."""
    return StainProfile(stain.name, background, stain_vectors(*stain.vectors))


def od_table(background: Vector) -> NDArray[np.float32]:
    """Optical density -log10(I / background) of each grey level, per channel.

    Levels brighter than the background have density 0; level 0 counts as 1.

    Returns
    -------
    (1, 256, 3) float32
    """
    levels = np.maximum(np.arange(256, dtype=np.float64), 1.0)[:, None]
    density = -np.log10(levels / np.maximum(np.asarray(background, np.float64), 1.0)[None, :])
    return np.maximum(density, 0.0).astype(np.float32)[None]


def unmixing(profile: StainProfile) -> NDArray[np.float32]:
    """(2, 3) float32 matrix from channel densities to the densities of the first two stains."""
    return np.linalg.inv(np.asarray(profile.vectors, np.float64).T)[:2].astype(np.float32)


def channel_od(rgb: NDArray[np.uint8], background: Vector) -> FloatImage:
    """(H, W, 3) uint8 -> (H, W, 3) float32 optical density per channel."""
    return np.asarray(cv2.LUT(rgb, od_table(background)), np.float32)


def stain_od(rgb: NDArray[np.uint8], profile: StainProfile) -> FloatImage:
    """Optical densities of the two stains.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    profile : StainProfile

    Returns
    -------
    (H, W, 2) float32
        Haematoxylin, then eosin or DAB. Slightly negative values are kept: cutting them at zero
        would shift means.
    """
    # OpenCV has a fast way for as many channels out as in: a third is computed and left aside.
    square = np.vstack([unmixing(profile), np.zeros((1, 3), np.float32)])
    return np.asarray(cv2.transform(channel_od(rgb, profile.background), square)[..., :2], np.float32)
