"""Cells of a DAB section that are brown as a whole or around their nucleus.

In: densities of one window and the slide's own threshold. Out: labels. Holes are filled, so that a brown
membrane around a blue nucleus is one cell. Engines lay these over the nuclei they find.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.engines._parting import Labels, cleaned, parted
from tme.cells.engines._tuning import BROWN, BROWN_OVER_THRESHOLD, LEAST_BROWN_OD
from tme.cells.nuclei import of_right_size
from tme.config import CellSettings
from tme.stains.deconvolve import FloatImage
from tme.stains.nuclear import SMOOTH_UM
from tme.stains.types import StainProfile
from tme.units import um2_to_px, um_to_px


def brown_cells(
    density: FloatImage, profile: StainProfile, settings: CellSettings, mpp: float
) -> tuple[Labels, NDArray[np.bool_]]:
    """Brown cells, and clumps of them that are too large for one.

    Parameters
    ----------
    density : (H, W, 2) float32
        Haematoxylin and DAB, OD.
    profile : StainProfile
    settings : CellSettings
        Smallest and largest area.
    mpp : float

    Returns
    -------
    (H, W) int32, (H, W) bool
        Nothing where the slide has no DAB threshold, as on H&E.
    """
    if profile.dab_threshold_od is None:
        return np.zeros(density.shape[:2], np.int32), np.zeros(density.shape[:2], bool)
    least = max(BROWN_OVER_THRESHOLD * profile.dab_threshold_od, LEAST_BROWN_OD)
    dab = np.ascontiguousarray(density[..., 1])
    dab = np.asarray(cv2.GaussianBlur(dab, (0, 0), um_to_px(SMOOTH_UM, mpp)), np.float32)
    mask = cleaned((dab > least).astype(np.uint8), BROWN, mpp)
    labels = parted(mask, np.minimum(dab, np.float32(1.0)), BROWN, mpp)
    clump = np.bincount(labels.ravel()) > um2_to_px(settings.max_area_um2, mpp)
    clump[0] = False
    return of_right_size(labels, settings, mpp), clump[labels]
