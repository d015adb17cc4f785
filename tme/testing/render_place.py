"""Placing objects on a synthetic slide so that they do not lie on each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.testing.render_noise import Field
from tme.testing.render_spec import COARSE_PX, PX
from tme.testing.render_tissue import Plan

Points = NDArray[np.float64]
_DIAGONAL = 0.6
_UNIT = np.array(
    [(0, 0), (0.5, 0), (-0.5, 0), (0, 0.8), (0, -0.8), (0.95, 0), (-0.95, 0)]
    + [(sx * _DIAGONAL, sy * _DIAGONAL) for sx in (-1, 1) for sy in (-1, 1)]
)
"""Points of the unit disc at which a place is tested."""


def value_at(field: NDArray, points: Points) -> NDArray:
    """Values of a coarse field (or its vectors) at (n, 2) points (x, y) in px."""
    column = np.clip((points[:, 0] / COARSE_PX).astype(np.int64), 0, field.shape[1] - 1)
    row = np.clip((points[:, 1] / COARSE_PX).astype(np.int64), 0, field.shape[0] - 1)
    return np.asarray(field[row, column])


def fibre_angle(plan: Plan, points: Points) -> NDArray[np.float64]:
    """Direction of the fibres at (n, 2) points in px, radians."""
    double = value_at(plan.angle2, points).astype(np.float64)
    return np.asarray(0.5 * np.arctan2(double[:, 1], double[:, 0]))


def random_points(weight: Field, n: int, rng: np.random.Generator) -> Points:
    """``n`` points (x, y) in px with density in proportion to a coarse field."""
    flat = np.cumsum(weight.ravel(), dtype=np.float64)
    if n <= 0 or flat[-1] <= 0:
        return np.zeros((0, 2))
    index = np.searchsorted(flat, rng.random(n) * flat[-1], side="right").clip(0, flat.size - 1)
    row, column = np.divmod(index, weight.shape[1])
    return np.asarray((np.stack([column, row], -1) + rng.random((n, 2))) * COARSE_PX)


def even_points(weight: Field, n: int, rng: np.random.Generator) -> Points:
    """Like `random_points`, but stratified: the field is cut into ``n`` equal shares, one point in each.

    Shares run along short stripes of the coarse grid, so counts vary less between large blocks than
    a Poisson process would.
    """
    if n <= 0 or float(weight.sum()) <= 0:
        return np.zeros((0, 2))
    stripe = 40
    rows, columns = np.indices(weight.shape)
    order = np.lexsort((rows.ravel(), columns.ravel() // stripe, rows.ravel() // stripe))
    flat = np.cumsum(weight.ravel()[order], dtype=np.float64)
    picks = (np.arange(n) + rng.random(n)) / n * flat[-1]
    index = order[np.searchsorted(flat, picks, side="right").clip(0, flat.size - 1)]
    row, column = np.divmod(index, weight.shape[1])
    return np.asarray((np.stack([column, row], -1) + rng.random((n, 2))) * COARSE_PX)


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Which 1 µm cells are taken; (h, w) uint8, changed in place."""

    taken: NDArray[np.uint8]

    @classmethod
    def empty(cls, plan: Plan) -> Occupancy:
        """A free slide."""
        width, height = plan.size_px
        return cls(np.zeros((height // PX, width // PX), np.uint8))

    def ellipse_fits(self, x: float, y: float, a: float, b: float, angle: float, slack: float) -> bool:
        """Whether an ellipse (px, radians), shrunk by ``slack``, lies on free cells."""
        c, s = np.cos(angle), np.sin(angle)
        u, v = _UNIT[:, 0] * (a * slack), _UNIT[:, 1] * (b * slack)
        columns = ((x + u * c - v * s) / PX).astype(np.int64)
        rows = ((y + u * s + v * c) / PX).astype(np.int64)
        height, width = self.taken.shape
        if columns.min() < 0 or rows.min() < 0 or columns.max() >= width or rows.max() >= height:
            return False
        return not bool(self.taken[rows, columns].any())

    def take_ellipse(self, x: float, y: float, a: float, b: float, angle: float) -> None:
        """Mark an ellipse (px, radians) as taken."""
        scale = 16 / PX
        centre = (round(x * scale), round(y * scale))
        axes = (max(1, round(a * scale)), max(1, round(b * scale)))
        cv2.ellipse(self.taken, centre, axes, float(np.degrees(angle)), 0, 360, 1, cv2.FILLED, cv2.LINE_8, 4)

    def polygon_fits(self, outline: Points, margin_um: int) -> bool:
        """Whether a polygon (px) grown by ``margin_um`` lies on free cells."""
        low = np.floor(outline.min(0) / PX).astype(int) - margin_um - 1
        high = np.ceil(outline.max(0) / PX).astype(int) + margin_um + 2
        height, width = self.taken.shape
        if low.min() < 0 or high[0] > width or high[1] > height:
            return False
        local = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(local, [np.round(outline / PX - low).astype(np.int32)], 1)
        local = cv2.dilate(local, np.ones((2 * margin_um + 1, 2 * margin_um + 1), np.uint8)).astype(np.uint8)
        window = self.taken[low[1] : high[1], low[0] : high[0]]
        return not bool((window & local).any())

    def take_polygon(self, outline: Points) -> None:
        """Mark a polygon (px) as taken."""
        cv2.fillPoly(self.taken, [np.round(outline / PX).astype(np.int32)], 1)

    def free_polygon(self, outline: Points) -> None:
        """Mark a polygon (px) as free."""
        cv2.fillPoly(self.taken, [np.round(outline / PX).astype(np.int32)], 0)
