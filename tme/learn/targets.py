"""A cropped label -> what the network should answer, and how much each pixel's answer counts.

Whatever nobody labelled has weight 0: centres without masks teach centres and their closest
surroundings, masks that are incomplete teach only themselves and what is plainly not a nucleus.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.instances import OFFSET_PX
from tme.distance import rough_distance_px, without_ipp
from tme.learn.network import WORK_MPP

CENTRE_PX = 2.0
"""Spread of a centre's peak: 1 µm at 0.5 µm/px."""
SURE_PX = 3.0
CLASS_PX = 5.0
FAR_PX = 18.0
NEAR_PX = 4.0
Plane = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Crop:
    """One training image with its labels at the working resolution.

    Attributes
    ----------
    rgb : (S, S, 3) uint8
    instances : (S, S) int32 or None
        As in `tme.learn.field.Field`, numbered like ``centres``.
    centres : (n, 2) float32
        x, y in crop pixels; may lie outside.
    lymphocyte, certainty : (n,) float32
    complete : bool
    valid : (S, S) bool
        Where the crop lies inside its field.
    """

    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32] | None
    centres: NDArray[np.float32]
    lymphocyte: NDArray[np.float32]
    certainty: NDArray[np.float32]
    complete: bool
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Targets:
    """Planes (S, S) float32: answers, then weights (0 where nothing is known)."""

    nucleus: Plane
    centre: Plane
    offset: NDArray[np.float32]
    lymphocyte: Plane
    w_nucleus: Plane
    w_centre: Plane
    w_offset: Plane
    w_lymphocyte: Plane

    def stacked(self) -> NDArray[np.float32]:
        """(9, S, S): nucleus, centre, offset x, offset y, lymphocyte and the four weights."""
        return np.stack(
            [
                self.nucleus,
                self.centre,
                *self.offset,
                self.lymphocyte,
                self.w_nucleus,
                self.w_centre,
                self.w_offset,
                self.w_lymphocyte,
            ]
        )


def make_targets(crop: Crop) -> Targets:
    """Answers and weights of a crop."""
    valid = crop.valid.astype(np.float32)
    owner, distance = nearest_centre(crop.centres, crop.valid.shape)
    if crop.instances is None:
        shape = owner * (distance <= SURE_PX)
        reach = owner * (distance <= CLASS_PX)
    else:
        shape = reach = np.maximum(crop.instances, 0)
    known = _known(crop, shape, distance) * valid
    return Targets(
        nucleus=(shape > 0).astype(np.float32),
        centre=centre_map(crop.centres, crop.valid.shape),
        offset=_offsets(crop.centres, shape),
        lymphocyte=_per_nucleus(np.nan_to_num(crop.lymphocyte), reach),
        w_nucleus=known,
        w_centre=_centre_weight(crop, known, distance) * valid,
        w_offset=(shape > 0) * valid,
        w_lymphocyte=_class_weight(crop, reach) * valid,
    )


def nearest_centre(
    centres: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(S, S) 1-based index of the nearest centre (0 without any) and the distance to it, px."""
    dots = np.ones(shape, np.uint8)
    index = np.zeros(shape, np.int32)
    column, row = np.floor(centres).astype(int).T if len(centres) else np.zeros((2, 0), int)
    inside = (column >= 0) & (row >= 0) & (column < shape[1]) & (row < shape[0])
    dots[row[inside], column[inside]] = 0
    index[row[inside], column[inside]] = np.flatnonzero(inside) + 1
    if not inside.any():
        return index, np.full(shape, 1e6, np.float32)
    with without_ipp():
        distance, area = cv2.distanceTransformWithLabels(
            dots, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
    of_area = np.zeros(int(area.max()) + 1, np.int32)
    of_area[area[dots == 0]] = index[dots == 0]
    return of_area[area], np.asarray(distance, np.float32)


def centre_map(centres: NDArray[np.float32], shape: tuple[int, int]) -> Plane:
    """Peaks of height 1 on the centres' pixels, the higher one where they meet."""
    heat = np.zeros(shape, np.float32)
    radius = int(4 * CENTRE_PX)
    bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * CENTRE_PX**2)).astype(np.float32)
    stamp = np.outer(bell, bell)
    for x, y in np.floor(centres).astype(int):
        top, left = max(y - radius, 0), max(x - radius, 0)
        part = heat[top : max(y + radius + 1, 0), left : max(x + radius + 1, 0)]
        if part.size:
            piece = stamp[top - y + radius :, left - x + radius :][: part.shape[0], : part.shape[1]]
            np.maximum(part, piece, out=part)
    return heat


def _offsets(centres: NDArray[np.float32], shape: NDArray[np.int32]) -> NDArray[np.float32]:
    """(2, S, S) arrows x, y from each nucleus pixel's centre to its nucleus' centre, in `OFFSET_PX`."""
    size = shape.shape
    table = np.vstack([np.zeros((1, 2), np.float32), centres])
    x = np.arange(size[1], dtype=np.float32) + 0.5
    y = (np.arange(size[0], dtype=np.float32) + 0.5)[:, None]
    arrows = np.stack([table[shape, 0] - x, table[shape, 1] - y]) / np.float32(OFFSET_PX)
    return np.asarray(arrows * (shape > 0), np.float32)


def _per_nucleus(values: NDArray[np.float32], reach: NDArray[np.int32]) -> Plane:
    return np.concatenate([np.zeros(1, np.float32), values])[reach]


def _class_weight(crop: Crop, reach: NDArray[np.int32]) -> Plane:
    """Each nucleus weighs the same, however large: its certainty, spread over its pixels."""
    count = np.bincount(reach.ravel(), minlength=len(crop.centres) + 1)[1:]
    weight = crop.certainty * np.isfinite(crop.lymphocyte) / np.maximum(count, 1)
    return _per_nucleus(weight.astype(np.float32), reach)


def _known(crop: Crop, shape: NDArray[np.int32], distance: NDArray[np.float32]) -> Plane:
    """Where it is known whether a pixel is a nucleus."""
    if crop.instances is None:
        far = distance > FAR_PX if crop.complete else np.zeros_like(crop.valid)
        return ((shape > 0) | far | (_pale(crop) & (distance > 2 * SURE_PX))).astype(np.float32)
    known = crop.instances >= 0
    if not crop.complete:
        known &= _near(shape) | _pale(crop)
    return known.astype(np.float32)


def _centre_weight(crop: Crop, known: Plane, distance: NDArray[np.float32]) -> Plane:
    if crop.instances is None:
        close = distance <= FAR_PX / 2
        return np.where(crop.complete | close, 1.0, np.maximum(known, close)).astype(np.float32)
    return known


def _near(shape: NDArray[np.int32]) -> NDArray[np.bool_]:
    return rough_distance_px(shape == 0) <= NEAR_PX


def _pale(crop: Crop) -> NDArray[np.bool_]:
    """Pixels that hold too little blue stain to be a nucleus: red light passes them.

    The line lies under the palest labelled nuclei; without any, at what is nearly white. Half the median
    would not do: where dark cells are labelled, pale nuclei beside them would be taught as background.
    """
    red = cv2.GaussianBlur(crop.rgb[..., 0].astype(np.float32), (0, 0), 1.0 / WORK_MPP)
    density = -np.log((red + 1) / 256)
    index = np.floor(crop.centres).astype(int)
    size = crop.valid.shape
    inside = (index >= 0).all(1) & (index[:, 0] < size[1]) & (index[:, 1] < size[0])
    if not inside.any():
        return density < 0.15
    own = density[index[inside, 1], index[inside, 0]]
    return np.asarray(density < 0.6 * np.quantile(own, 0.1), np.bool_)
