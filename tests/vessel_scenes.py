"""Small CD31 scenes drawn by hand, with exact colours: brown endothelium on a pale section."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.slide.types import RGB
from tme.stains.deconvolve import reference_profile
from tme.stains.types import Stain, StainProfile
from tme.testing.memory import ArraySlide
from tme.tissue.types import TissueMask
from tme.vessels.find import find_vessels
from tme.vessels.types import Vessels

MPP = 0.5
GLASS = (245.0, 245.0, 245.0)
CD31 = Stain("CD31", "CD31", "dab", ("vessels",), "endothelium")
CD8 = Stain("CD8", "CD8", "dab", ("cells",), "membrane", True)
THRESHOLD = 0.25


class Scene:
    """A section on which vessels are drawn; coordinates in µm.

    The canvases hold optical densities of haematoxylin, DAB and black pigment; lumens are empty glass.
    """

    def __init__(self, width_um: float, height_um: float, section_od: float = 0.12) -> None:
        shape = (round(height_um / MPP), round(width_um / MPP))
        self.haematoxylin = np.full(shape, section_od, np.float32)
        self.dab = np.full(shape, 0.04, np.float32)
        self.carbon = np.zeros(shape, np.float32)

    def grain(self, x: float, y: float, a: float, b: float, angle: float = 0.0, od: float = 1.2) -> None:
        """A grain that absorbs all colours alike, on top of what is there."""
        self.carbon[self._ellipse(x, y, a, b, angle, -1, 0.0)] = od

    def disc(self, x: float, y: float, radius: float, dab: float = 0.8, haematoxylin: float = 0.0) -> None:
        """A filled disc of DAB over ``haematoxylin``."""
        area = self._ellipse(x, y, radius, radius, 0.0, -1, 0.0)
        self.dab[area] = dab
        self.haematoxylin[area] = haematoxylin

    def nucleus(self, x: float, y: float, radius: float) -> None:
        """A blue disc."""
        self.disc(x, y, radius, dab=0.0, haematoxylin=0.7)

    def vessel(
        self, x: float, y: float, a: float, b: float, angle: float = 0.0, wall: float = 2.0, gap: float = 0.0
    ) -> None:
        """An elliptic wall around an empty lumen; ``gap`` degrees of the wall are missing."""
        lumen = self._ellipse(x, y, a - wall / 2, b - wall / 2, angle, -1, 0.0)
        self.dab[lumen] = 0.0
        self.haematoxylin[lumen] = 0.0
        self.dab[self._ellipse(x, y, a, b, angle, wall, gap)] = 0.8

    def path(self, points: Sequence[tuple[float, float]], wall: float = 3.0, dab: float = 0.8) -> None:
        """A vessel cut lengthwise: a stained line through points."""
        canvas = np.zeros(self.dab.shape, np.uint8)
        line = np.round(np.asarray(points) / MPP * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(canvas, [line], False, 1, max(1, round(wall / MPP)), cv2.LINE_8, 4)
        self.dab[canvas > 0] = dab

    def _ellipse(
        self, x: float, y: float, a: float, b: float, angle: float, wall: float, gap: float
    ) -> NDArray[np.bool_]:
        canvas = np.zeros(self.dab.shape, np.uint8)
        thickness = -1 if wall < 0 else max(1, round(wall / MPP))
        centre = (round(x / MPP * 16), round(y / MPP * 16))
        axes = (round(a / MPP * 16), round(b / MPP * 16))
        cv2.ellipse(canvas, centre, axes, angle, gap, 360.0, 1, thickness, cv2.LINE_8, 4)
        return canvas > 0

    def rgb(self) -> RGB:
        """(H, W, 3) uint8."""
        vectors = np.asarray(profile().vectors, np.float32)
        stain = self.haematoxylin[..., None] * vectors[0] + self.dab[..., None] * vectors[1]
        density = stain + self.carbon[..., None] / np.float32(np.sqrt(3))
        soft = cv2.GaussianBlur(np.asarray(GLASS, np.float32) * np.float32(10) ** -density, (0, 0), 0.7)
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def profile(threshold: float | None = THRESHOLD) -> StainProfile:
    """The profile scenes are drawn with."""
    reference = reference_profile(CD31, GLASS)
    return StainProfile("CD31", GLASS, reference.vectors, threshold, "config")


def all_tissue(slide: ArraySlide, mpp: float = 4.0) -> TissueMask:
    """Every pixel of the slide is tissue."""
    width, height = slide.info.width * slide.info.mpp, slide.info.height * slide.info.mpp
    shape = (int(np.ceil(height / mpp)), int(np.ceil(width / mpp)))
    return TissueMask(mpp, width, height, np.ones(shape, bool), np.zeros(shape, np.uint8), False, 1)


def vessels_of(scene: Scene | RGB, settings: VesselSettings | None = None) -> Vessels:
    """Vessels of a scene or of its pixels at `MPP`."""
    pixels = scene.rgb() if isinstance(scene, Scene) else scene
    slide = ArraySlide(pixels, MPP)
    return find_vessels(slide, all_tissue(slide), profile(), CD31, settings or VesselSettings())
