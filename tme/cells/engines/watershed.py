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

from tme.cells.engines import SEGMENTERS
from tme.cells.engines._brown import brown_cells
from tme.cells.engines._parting import around, cleaned, parted
from tme.cells.engines._supply import Supply
from tme.cells.engines._tuning import TUNING, Cut
from tme.cells.nuclei import looks_like_nucleus, renumbered
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import FloatImage, stain_od
from tme.stains.nuclear import nuclear_signal, typical_nucleus
from tme.stains.types import StainProfile
from tme.units import um_to_px

VERSION = "1"
SHRINK = 4
Mask = NDArray[np.uint8]


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
        brown, _ = brown_cells(density, profile, self.settings, mpp)
        cut, parting = TUNING[stain.kind]
        typical = np.float32(typical_nucleus(profile, stain))
        signal = np.minimum(nuclear_signal(density, stain.kind, mpp) / typical, cut.cap)
        free = around(brown, parting.gap_um, mpp) == 0
        mask = cleaned(above_surroundings(signal, cut, mpp) & free, parting, mpp)
        labels = parted(mask, signal, parting, mpp)
        keep = looks_like_nucleus(labels, signal, density[..., 1] / typical, stain.kind, self.settings, mpp)
        labels = renumbered(labels, keep)
        return Detections(np.where(brown > 0, brown + labels.max(), labels))


def above_surroundings(signal: FloatImage, cut: Cut, mpp: float) -> Mask:
    """(H, W) uint8 0/1: where the signal stands above the mean around it by the cut."""
    small = cv2.resize(signal, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), um_to_px(cut.around_um, mpp) / SHRINK)
    mean = cv2.resize(blurred, (signal.shape[1], signal.shape[0]), interpolation=cv2.INTER_LINEAR)
    return (signal - np.float32(cut.local) * mean > cut.cut).astype(np.uint8)


class WatershedSegmenter:
    """Registry entry of the classical engine."""

    name = "watershed"
    mpp = 0.5
    core_px = 1024
    halo_px = 48
    fixed_window = False
    licence = "Apache-2.0, part of tme"
    needs_weights = False
    package = ""
    supply = Supply()

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`; nothing is ever missing."""
        return ""

    def load(self, settings: CellSettings) -> WatershedEngine:
        """See `tme.cells.engines.Segmenter`."""
        return WatershedEngine(settings)


SEGMENTERS.add("watershed", WatershedSegmenter())
