"""The classical engine: no weights, no network, the same on every machine.

In: RGB and the slide's stain profile. Out: labelled nuclei. The nuclear signal is cut at the slide's
own level (never at the window's), seeds are the peaks of a smoothed distance map, and a marker
watershed parts what touches.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed as flood

from tme.cells.engines import SEGMENTERS
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import stain_od
from tme.stains.nuclear import nuclear_signal
from tme.stains.types import StainProfile
from tme.units import um2_to_px, um_to_px, um_to_whole_px

VERSION = "1"
SEED_SMOOTH_UM = 1.0
SEED_RADIUS_UM = 2.0
OPENING_UM = 1.0
SMALLEST_HOLE_UM2 = 30.0


class WatershedEngine:
    """Marker watershed on the nuclear signal."""

    model_id = f"watershed-{VERSION}"
    model_sha256 = ""

    def __init__(self, settings: CellSettings) -> None:
        self.settings = settings

    def segment(self, rgb: RGB, mpp: float, profile: StainProfile) -> Detections:
        """See `tme.cells.engines.Engine`."""
        kind = STAINS.get(profile.stain).kind
        signal = nuclear_signal(stain_od(rgb, profile), kind, mpp)
        mask = foreground(signal, profile, mpp)
        labels = part(mask, mpp)
        return Detections(sized(labels, self.settings, mpp))


def foreground(signal: NDArray[np.float32], profile: StainProfile, mpp: float) -> NDArray[np.uint8]:
    """(H, W) uint8 0/1 of nuclear pixels: opened, small holes filled."""
    mask = (signal > profile.levels.get("nuclear", 0.15)).astype(np.uint8)
    radius = um_to_whole_px(OPENING_UM, mpp)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= um2_to_px(SMALLEST_HOLE_UM2, mpp)
    return np.asarray(mask | (small[holes] & (mask == 0)), np.uint8)


def part(mask: NDArray[np.uint8], mpp: float) -> NDArray[np.int32]:
    """(H, W) int32 labels of a 0/1 mask, touching nuclei parted at their necks."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = cv2.GaussianBlur(distance, (0, 0), um_to_px(SEED_SMOOTH_UM, mpp))
    side = 2 * um_to_whole_px(SEED_RADIUS_UM, mpp) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    peaks = ((cv2.dilate(smooth, disc) == smooth) & (mask > 0)).astype(np.uint8)
    _, markers = cv2.connectedComponents(peaks, connectivity=8)
    return np.asarray(flood(-smooth, markers, mask=mask > 0), np.int32)


def sized(labels: NDArray[np.int32], settings: CellSettings, mpp: float) -> NDArray[np.int32]:
    """Labels without objects outside the allowed areas, numbered 1..n without gaps."""
    area = np.bincount(labels.ravel())
    low, high = um2_to_px(settings.min_area_um2, mpp), um2_to_px(settings.max_area_um2, mpp)
    keep = (area >= low) & (area <= high)
    keep[0] = False
    renumbered = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(renumbered[labels], np.int32)


class WatershedSegmenter:
    """Registry entry of the classical engine."""

    name = "watershed"
    mpp = 0.5
    core_px = 1024
    halo_px = 48
    fixed_window = False
    licence = "Apache-2.0, part of tme"
    needs_weights = False

    def load(self, settings: CellSettings) -> WatershedEngine:
        """See `tme.cells.engines.Segmenter`."""
        return WatershedEngine(settings)


SEGMENTERS.add("watershed", WatershedSegmenter())
