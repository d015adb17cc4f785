"""Which labels are nuclei: by area, and for the classical engine by a short linear rule.

In: a label map and the signal it was cut from. Out: which labels stay.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.basins import fills, label_moments
from tme.cells.types import LEAST_UM2
from tme.config import CellSettings
from tme.units import um2_to_px, um_to_whole_px

RIM_UM = 1.5
TYPICAL_UM2 = 30.0

# Logistic rule for H&E, fitted on 17,000 candidates of four labelled sets (nucleus: within 3 µm of a
# labelled centre): contrast to the rim over own darkness, log area and its square, share of the
# ellipse filled, squared eccentricity, eosin above that of the rim (red cells), constant.
HE_CONTRAST = 5.19
HE_AREA = 0.79
HE_AREA_SQUARED = -0.69
HE_FILL = 8.0
HE_ECCENTRICITY = -1.41
HE_EOSIN = -2.15
HE_CONSTANT = -7.55
# On DAB sections too few nuclei are labelled for a fit: two plain bounds.
DAB_CONTRAST = 0.1
DAB_FILL = 0.6


def looks_like_nucleus(
    labels: NDArray[np.int32],
    signal: NDArray[np.float32],
    second: NDArray[np.float32],
    kind: str,
    settings: CellSettings,
    mpp: float,
) -> NDArray[np.bool_]:
    """Which labels 0..n stay; label 0 never does.

    Parameters
    ----------
    labels : (H, W) int32
    signal : (H, W) float32
        Nuclear signal in units of a typical nucleus.
    second : (H, W) float32
        Density of eosin or DAB in the same units.
    kind : {"he", "dab"}
    settings : CellSettings
        Smallest and largest area.
    mpp : float
    """
    moments = label_moments(labels)
    area = moments[:, 0]
    keep = right_size(area, settings, mpp)
    if not keep.any():
        return keep
    inner = _means(labels, len(area), signal, second)
    outer = _means(_rim(labels, mpp), len(area), signal, second)
    alone = outer[:, 2] == 0
    contrast = np.where(alone, inner[:, 0], inner[:, 0] - outer[:, 0])
    fill, flatness = fills(moments)
    if kind == "dab":
        return keep & (contrast > DAB_CONTRAST) & (fill > DAB_FILL)
    log_area = np.log(np.maximum(area, 1.0) * mpp * mpp / TYPICAL_UM2)
    score = (
        HE_CONTRAST * contrast / np.maximum(inner[:, 0], 0.05)
        + HE_AREA * log_area
        + HE_AREA_SQUARED * log_area**2
        + HE_FILL * fill
        + HE_ECCENTRICITY * flatness
        + HE_EOSIN * np.where(alone, inner[:, 1], inner[:, 1] - outer[:, 1])
        + HE_CONSTANT
    )
    return keep & (score > 0)


def right_size(
    area_px: NDArray[np.float64], settings: CellSettings, mpp: float, least_um2: float = LEAST_UM2
) -> NDArray[np.bool_]:
    """Which labels 0..n have an allowed area; label 0 has not. ``least_um2`` holds where nothing is set."""
    least = least_area(settings, least_um2)
    keep = (area_px >= um2_to_px(least, mpp)) & (area_px <= um2_to_px(settings.max_area_um2, mpp))
    keep[0] = False
    return keep


def least_area(settings: CellSettings, least_um2: float = LEAST_UM2) -> float:
    """Least area of a nucleus in µm²: of the settings, else ``least_um2``."""
    return least_um2 if settings.min_area_um2 is None else settings.min_area_um2


def of_right_size(labels: NDArray[np.int32], settings: CellSettings, mpp: float) -> NDArray[np.int32]:
    """The labels of an allowed area as 1..n without gaps, all else 0."""
    return renumbered(labels, right_size(np.bincount(labels.ravel()).astype(np.float64), settings, mpp))


def renumbered(labels: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The kept labels as 1..n without gaps, all else 0."""
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]


def _rim(labels: NDArray[np.int32], mpp: float) -> NDArray[np.int32]:
    """(H, W) int32: background pixels within `RIM_UM` of a label, by that label; the highest wins."""
    side = 2 * um_to_whole_px(RIM_UM, mpp) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # float32 is exact for labels up to 2^24 and has a fast dilation; int32 has none.
    grown = cv2.dilate(labels.astype(np.float32), disc)
    return np.where(labels == 0, grown, 0).astype(np.int32)


def _means(labels: NDArray[np.int32], count: int, *images: NDArray[np.float32]) -> NDArray[np.float64]:
    """(count, len(images) + 1): mean of each image per label, then the number of pixels."""
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    number = np.bincount(owner, minlength=count)
    total = [np.bincount(owner, image.ravel()[inside], count) / np.maximum(number, 1) for image in images]
    return np.column_stack([*total, number])
