"""RGB -> where endothelium is stained and where nothing is: operators that look a few µm around a pixel.

In: pixels of one window with its halo and the slide's `StainProfile`. Out: masks of the core. The
threshold is the slide's own; what is local is only the haze under a vessel and the height of its
wall. All of it is integer arithmetic of bounded reach, so a pixel's answer never depends on the
window it was seen in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.stains.deconvolve import channel_od, unmixing
from tme.stains.types import StainProfile
from tme.units import um_to_px, um_to_whole_px

Bits = NDArray[np.bool_]
Levels = NDArray[np.uint8]

OD_STEPS = 100.0
"""Levels per unit of optical density; densities above 2.55 saturate."""
GREY_STEPS = 400.0
"""The same for the mean of the channels, which is only asked how little it is."""
SMOOTH_UM = 0.4
"""Standard deviation of the smoothing, far below the width of a wall."""
AROUND_UM = 24.0
"""Half width of the square a pixel is compared with."""
GLASS_OD = 0.02
"""Mean density of the channels below which a pixel is no part of the section in that square."""
LEAST_SECTION = 0.1
"""Share of that square below which there is too little section to compare with."""
HAZE_CAP = 1.5
"""Thresholds at which a pixel's part in the background is cut, so that vessels are not background."""
WALL_UM = 1.0
"""Reach within which a wall's height is sought; its edge is where the stain falls to a share of it."""
WALL_SHARE = 0.4
SEED_CONTRAST = 0.6
"""Thresholds a seed must rise above the background staining."""
PALE_SHARE = 0.4
"""Share of the density of the section around it below which a pixel is empty."""
PALE_OD = 0.03
"""Density below which it is where there is no section around it."""
DARK_RATIO = 1.6
"""Multiple of the haematoxylin of the section around it above which a pixel is a nucleus."""
DARK_OD = 0.15
"""Least haematoxylin of a nucleus."""


@dataclass(frozen=True, eq=False)
class StainMasks:
    """Masks of one core.

    Attributes
    ----------
    stained : (H, W) bool
        Pixels that may be endothelium.
    seed : (H, W) bool
        The part of them above the slide's threshold; stained pixels connected to none are nothing.
    pale : (H, W) bool
        Empty pixels: lumen, glass, fat.
    dark : (H, W) bool
        Nuclei: much more haematoxylin than the section around them.
    dab : (H, W) uint8
        DAB optical density, smoothed, in 1/100.
    density : (H, W, 3) float32
        Optical densities in red, green and blue, not smoothed.
    """

    stained: Bits
    seed: Bits
    pale: Bits
    dark: Bits
    dab: Levels
    density: NDArray[np.float32]


def halo_px(mpp: float) -> int:
    """Pixels of halo within which every operator of `stain_masks` ends."""
    reach_um = AROUND_UM + WALL_UM + 6 * SMOOTH_UM
    return um_to_whole_px(reach_um, mpp) + 4


def stain_masks(
    rgb: NDArray[np.uint8], halo: int, profile: StainProfile, settings: VesselSettings, mpp: float
) -> StainMasks:
    """Masks of the core of one window.

    Parameters
    ----------
    rgb : (H + 2 halo, W + 2 halo, 3) uint8
    halo : int
        At least `halo_px`.
    profile : StainProfile
        With a ``dab_threshold_od``; without one nothing is stained.
    settings : VesselSettings
    mpp : float
        µm/px of ``rgb``.
    """
    density = channel_od(rgb, profile.background)
    planes = cv2.split(_levels(density, profile, mpp))
    haematoxylin, dab, grey = (np.asarray(plane, np.uint8) for plane in planes)
    core = (slice(halo, rgb.shape[0] - halo), slice(halo, rgb.shape[1] - halo))
    around = Around(grey >= GLASS_OD * GREY_STEPS, mpp)
    pale = grey[core] < around.pale_cut(grey)[core]
    dark = haematoxylin[core] > np.maximum(DARK_RATIO * around.mean(haematoxylin)[core], DARK_OD * OD_STEPS)
    threshold = (profile.dab_threshold_od or 0.0) * OD_STEPS
    if not threshold or dab.max() < threshold:
        nothing = np.zeros(pale.shape, bool)
        return StainMasks(nothing, nothing, pale, dark, dab[core], density[core])
    haze = around.mean(np.minimum(dab, np.uint8(min(255, round(HAZE_CAP * threshold)))))[core]
    reach = 2 * um_to_whole_px(WALL_UM, mpp) + 1
    wall = cv2.dilate(dab, np.ones((reach, reach), np.uint8))[core] - haze
    rise = dab[core] - haze
    stained = (rise >= settings.grow * threshold) & (rise >= WALL_SHARE * wall)
    seed = stained & (dab[core] >= threshold) & (rise >= SEED_CONTRAST * threshold)
    return StainMasks(stained, seed, pale, dark, dab[core], density[core])


class Around:
    """Means over the part of the square around each pixel that is section: glass does not dilute them.

    Parameters
    ----------
    section : (H, W) bool
    mpp : float
    """

    def __init__(self, section: Bits, mpp: float) -> None:
        self._section = section.view(np.uint8)
        self._side = 2 * um_to_whole_px(AROUND_UM, mpp) + 1
        self._count = self._sum(self._section)
        self._least = np.float32(LEAST_SECTION * self._side**2)

    def _sum(self, values: Levels) -> NDArray[np.float32]:
        # Sums of whole numbers are exact, wherever the window lies.
        side = (self._side, self._side)
        return np.asarray(cv2.boxFilter(values, cv2.CV_32S, side, normalize=False), np.float32)

    def mean(self, values: Levels) -> NDArray[np.float32]:
        """Mean of (H, W) levels; falls to 0 where there is hardly any section."""
        total = self._sum(values * self._section)
        return np.asarray(total / np.maximum(self._count, self._least), np.float32)

    def pale_cut(self, grey: Levels) -> NDArray[np.float32]:
        """Level of ``grey`` below which a pixel is empty."""
        cut = np.float32(PALE_SHARE) * self.mean(grey)
        cut[self._count < self._least] = PALE_OD * GREY_STEPS
        return cut


def _levels(density: NDArray[np.float32], profile: StainProfile, mpp: float) -> Levels:
    """Haematoxylin, DAB and the mean of the channels in whole levels, smoothed; (H, W, 3)."""
    mean = np.full((1, 3), GREY_STEPS / 3, np.float32)
    weights = np.concatenate([unmixing(profile) * np.float32(OD_STEPS), mean])
    # Rounded to whole levels first: smoothing integers is exact wherever a pixel lies in its window.
    whole = cv2.transform(density, weights)
    np.rint(whole, out=whole)
    np.clip(whole, 0, 255, out=whole)
    whole = whole.astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(whole, (0, 0), um_to_px(SMOOTH_UM, mpp)), np.uint8)
