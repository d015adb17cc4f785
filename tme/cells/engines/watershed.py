"""The classical engine: no weights, no network, the same on every machine.

In: RGB and the slide's stain profile. Out: labelled nuclei. On a DAB section brown cells are cut out
first, by the slide's own threshold and with their holes filled (a brown membrane around a blue
nucleus is one cell). Then nuclei: their signal is scaled by the slide's own nuclei, never by the
window's, and cut above its surroundings. In both, hills of distance and darkness part what touches,
and a short rule drops what does not look like a nucleus.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.basins import hills
from tme.cells.engines import SEGMENTERS
from tme.cells.engines._tuning import BROWN, BROWN_OVER_THRESHOLD, LEAST_BROWN_OD, TUNING, Cut, Parting
from tme.cells.nuclei import looks_like_nucleus, renumbered, right_size
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import FloatImage, stain_od
from tme.stains.nuclear import SMOOTH_UM, nuclear_signal, typical_nucleus
from tme.stains.types import StainProfile
from tme.units import um2_to_px, um_to_px, um_to_whole_px

VERSION = "1"
SHRINK = 4
Mask = NDArray[np.uint8]
Labels = NDArray[np.int32]


class WatershedEngine:
    """Watershed by steepest ascent on the nuclear signal."""

    model_id = f"watershed-{VERSION}"
    model_sha256 = ""

    def __init__(self, settings: CellSettings) -> None:
        self.settings = settings

    def segment(self, rgb: RGB, mpp: float, profile: StainProfile) -> Detections:
        """See `tme.cells.engines.Engine`."""
        stain = STAINS.get(profile.stain)
        density = stain_od(rgb, profile)
        brown = self._brown(density, profile, mpp)
        cut, parting = TUNING[stain.kind]
        typical = np.float32(typical_nucleus(profile, stain))
        signal = np.minimum(nuclear_signal(density, stain.kind, mpp) / typical, cut.cap)
        free = around(brown, parting.gap_um, mpp) == 0
        mask = cleaned(above_surroundings(signal, cut, mpp) & free, parting, mpp)
        labels = parted(mask, signal, parting, mpp)
        keep = looks_like_nucleus(labels, signal, density[..., 1] / typical, stain.kind, self.settings, mpp)
        labels = renumbered(labels, keep)
        return Detections(np.where(brown > 0, brown + labels.max(), labels))

    def _brown(self, density: FloatImage, profile: StainProfile, mpp: float) -> Labels:
        """Labels of cells that are brown as a whole or around their nucleus; none on H&E."""
        if profile.dab_threshold_od is None:
            return np.zeros(density.shape[:2], np.int32)
        least = max(BROWN_OVER_THRESHOLD * profile.dab_threshold_od, LEAST_BROWN_OD)
        dab = np.ascontiguousarray(density[..., 1])
        dab = np.asarray(cv2.GaussianBlur(dab, (0, 0), um_to_px(SMOOTH_UM, mpp)), np.float32)
        mask = cleaned((dab > least).astype(np.uint8), BROWN, mpp)
        labels = parted(mask, np.minimum(dab, np.float32(1.0)), BROWN, mpp)
        area = np.bincount(labels.ravel()).astype(np.float64)
        return renumbered(labels, right_size(area, self.settings, mpp))


def above_surroundings(signal: FloatImage, cut: Cut, mpp: float) -> Mask:
    """(H, W) uint8 0/1: where the signal stands above the mean around it by the cut."""
    small = cv2.resize(signal, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), um_to_px(cut.around_um, mpp) / SHRINK)
    mean = cv2.resize(blurred, (signal.shape[1], signal.shape[0]), interpolation=cv2.INTER_LINEAR)
    return (signal - np.float32(cut.local) * mean > cut.cut).astype(np.uint8)


def cleaned(mask: Mask, parting: Parting, mpp: float) -> Mask:
    """A 0/1 mask with small holes filled and thin parts gone."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    fill = stats[:, cv2.CC_STAT_AREA] <= um2_to_px(parting.hole_um2, mpp)
    filled = mask | fill[holes]
    if parting.opening_um > 0:
        filled = cv2.morphologyEx(filled, cv2.MORPH_OPEN, _disc(parting.opening_um, mpp))
    return np.asarray(filled, np.uint8)


def parted(mask: Mask, signal: FloatImage, parting: Parting, mpp: float) -> Labels:
    """(H, W) int32 labels: hills of distance to the border, µm, plus darkness."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.GaussianBlur(distance, (0, 0), um_to_px(parting.distance_um, mpp)) * np.float32(mpp)
    dark = cv2.GaussianBlur(signal, (0, 0), um_to_px(parting.darkness_um, mpp))
    height = np.asarray(distance + np.float32(parting.darkness) * dark, np.float32)
    return hills(height, mask, parting.rule(mpp))


def around(labels: Labels, gap_um: float, mpp: float) -> Mask:
    """(H, W) uint8 0/1: labels and what lies within ``gap_um`` of them."""
    taken = (labels > 0).astype(np.uint8)
    return np.asarray(cv2.dilate(taken, _disc(gap_um, mpp)), np.uint8) if taken.any() else taken


def _disc(radius_um: float, mpp: float) -> NDArray[np.uint8]:
    radius = um_to_whole_px(radius_um, mpp)
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


class WatershedSegmenter:
    """Registry entry of the classical engine."""

    name = "watershed"
    mpp = 0.5
    core_px = 1024
    halo_px = 48
    fixed_window = False
    licence = "Apache-2.0, part of tme"
    needs_weights = False

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`; nothing is ever missing."""
        return ""

    def load(self, settings: CellSettings) -> WatershedEngine:
        """See `tme.cells.engines.Segmenter`."""
        return WatershedEngine(settings)


SEGMENTERS.add("watershed", WatershedSegmenter())
