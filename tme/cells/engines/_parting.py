"""Masks cleaned and parted: what several engines do with a mask of nuclei or of brown cells."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.basins import hills
from tme.cells.engines._tuning import Parting
from tme.distance import distance_px
from tme.stains.deconvolve import FloatImage
from tme.units import um2_to_px, um_to_px, um_to_whole_px

Mask = NDArray[np.uint8]
Labels = NDArray[np.int32]


def cleaned(mask: Mask, parting: Parting, mpp: float) -> Mask:
    """A 0/1 mask with small holes filled and thin parts gone."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    fill = stats[:, cv2.CC_STAT_AREA] <= um2_to_px(parting.hole_um2, mpp)
    filled = mask | fill[holes]
    if parting.opening_um > 0:
        filled = cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc(parting.opening_um, mpp))
    return np.asarray(filled, np.uint8)


def parted(mask: Mask, signal: FloatImage, parting: Parting, mpp: float) -> Labels:
    """(H, W) int32 labels: hills of distance to the border, µm, plus darkness."""
    distance = distance_px(mask)
    distance = cv2.GaussianBlur(distance, (0, 0), um_to_px(parting.distance_um, mpp)) * np.float32(mpp)
    dark = cv2.GaussianBlur(signal, (0, 0), um_to_px(parting.darkness_um, mpp))
    height = np.asarray(distance + np.float32(parting.darkness) * dark, np.float32)
    return hills(height, mask, parting.rule(mpp))


def around(labels: Labels, gap_um: float, mpp: float) -> Mask:
    """(H, W) uint8 0/1: labels and what lies within ``gap_um`` of them."""
    taken = (labels > 0).astype(np.uint8)
    return np.asarray(cv2.dilate(taken, disc(gap_um, mpp)), np.uint8) if taken.any() else taken


def disc(radius_um: float, mpp: float) -> NDArray[np.uint8]:
    radius = um_to_whole_px(radius_um, mpp)
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
