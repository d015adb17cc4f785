"""The densest circular fields that do not overlap: an eyepiece moved over the slide on a 50 µm grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.tissue.types import Mask, TissueMask
from tme.units import mm2_to_um2, px_to_mm2, um_to_px

Numbers = NDArray[np.float64]
STEP_UM = 50.0
FIELDS = 3
LEAST_EVALUABLE = 0.5


@dataclass(frozen=True)
class Field:
    """One circular field; positions and radius in µm, counts over its evaluable part."""

    x_um: float
    y_um: float
    radius_um: float
    count: int
    area_mm2: float

    @property
    def density_per_mm2(self) -> float:
        """Objects per mm² of the evaluable part."""
        return self.count / self.area_mm2


def densest_fields(
    x_um: Numbers, y_um: Numbers, mask: Mask, tissue: TissueMask, field_mm2: float
) -> list[Field]:
    """Up to `FIELDS` densest fields, densest first, chosen greedily.

    Parameters
    ----------
    x_um, y_um : (N,) float64
        Objects inside the mask.
    mask : (H, W) bool
        Evaluable pixels.
    tissue : TissueMask
        The grid.
    field_mm2 : float
        Area of a whole field; each must be at least half evaluable.
    """
    radius = math.sqrt(mm2_to_um2(field_mm2) / math.pi)
    centre_x, centre_y = _centres(tissue)
    area = evaluable_area_mm2(centre_x, centre_y, radius, mask, tissue)
    keep = area >= LEAST_EVALUABLE * field_mm2
    centre_x, centre_y, area = centre_x[keep], centre_y[keep], area[keep]
    if not len(area):
        return []
    centres = np.stack([centre_x, centre_y], axis=1)
    counts = np.zeros(len(area), np.int64)
    if len(x_um):
        tree = cKDTree(np.stack([x_um, y_um], axis=1))
        counts = np.asarray(tree.query_ball_point(centres, radius, return_length=True), np.int64)
    # Densest first; ties go to the larger evaluable part, then to the upper left.
    order = np.lexsort((centre_x, centre_y, -area, -counts / area))
    chosen: list[int] = []
    for index in order.tolist():
        if all(math.dist(centres[index], centres[other]) >= 2 * radius for other in chosen):
            chosen.append(index)
        if len(chosen) == FIELDS:
            break
    return [
        Field(float(centre_x[i]), float(centre_y[i]), radius, int(counts[i]), float(area[i])) for i in chosen
    ]


def evaluable_area_mm2(
    centre_x: Numbers, centre_y: Numbers, radius_um: float, mask: Mask, tissue: TissueMask
) -> Numbers:
    """(N,) float64 mm²: mask pixels whose centre lies in the circle around each point in µm."""
    height, width = mask.shape
    before = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=before[:, 1:])
    x, y = centre_x / tissue.mpp - 0.5, centre_y / tissue.mpp - 0.5
    radius = um_to_px(radius_um, tissue.mpp)
    pixels = np.zeros(len(x), np.int64)
    for offset in range(-math.ceil(radius) - 1, math.ceil(radius) + 2):
        row = np.floor(y).astype(np.int64) + offset
        half_squared = radius**2 - (row - y) ** 2
        inside = (half_squared >= 0) & (row >= 0) & (row < height)
        half = np.sqrt(half_squared[inside])
        left = np.clip(np.ceil(x[inside] - half), 0, width).astype(np.int64)
        right = np.clip(np.floor(x[inside] + half) + 1, 0, width).astype(np.int64)
        pixels[inside] += before[row[inside], np.maximum(right, left)] - before[row[inside], left]
    return np.asarray(pixels * px_to_mm2(1.0, tissue.mpp))


def _centres(tissue: TissueMask) -> tuple[Numbers, Numbers]:
    """x and y, µm, of the grid of centres over the slide, row by row."""
    x = np.arange(STEP_UM / 2, tissue.width_um + STEP_UM / 2, STEP_UM)
    y = np.arange(STEP_UM / 2, tissue.height_um + STEP_UM / 2, STEP_UM)
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return grid_x.ravel(), grid_y.ravel()
