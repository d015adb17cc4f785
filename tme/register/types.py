"""The values of the registration room: a section's map, and how one section lies on another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.tissue.types import Mask

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SectionMap:
    """What a section looks like whatever marker is stained: its counterstain.

    Attributes
    ----------
    density : (H, W) float32
        Mean optical density of haematoxylin.
    usable : (H, W) bool
        Tissue without artefacts.
    mpp : float
        µm/px, from the slide's top-left corner.
    """

    density: Floats
    usable: Mask
    mpp: float


@dataclass(frozen=True)
class Patch:
    """A square of the fixed section found again on the moving one.

    Attributes
    ----------
    x_um, y_um : float
        Its middle on the fixed section.
    right_um, down_um : float
        How far from where the registration puts it it was found.
    score : float
        Correlation there, -1 to 1.
    """

    x_um: float
    y_um: float
    right_um: float
    down_um: float
    score: float

    @property
    def apart_um(self) -> float:
        """Length of the displacement."""
        return math.hypot(self.right_um, self.down_um)


@dataclass(frozen=True)
class Registration:
    """How the moving section lies on the fixed one.

    A place (x, y) of the fixed section, in µm from its slide's corner, is the place
    (x cos a − y sin a + right_um, x sin a + y cos a + down_um) of the moving one.

    Attributes
    ----------
    angle_deg : float
        a; clockwise as seen on the slide, whose y axis points down.
    right_um, down_um : float
    patches : tuple of Patch
        Those found again for certain, by y, then x.
    judged : int
        Patches looked for.
    reason : str
        Why it cannot be trusted; empty where it can.
    """

    angle_deg: float
    right_um: float
    down_um: float
    patches: tuple[Patch, ...] = ()
    judged: int = 0
    reason: str = ""

    def error_um(self, level: float = 0.9) -> float:
        """A quantile of the displacements left between patches, µm; infinite without a patch."""
        apart = [patch.apart_um for patch in self.patches]
        return float(np.quantile(apart, level)) if apart else math.inf

    def matrix(self, fixed_mpp: float, moving_mpp: float) -> Matrix:
        """(2, 3) float64: pixel of a grid on the fixed section -> pixel on the moving one.

        OpenCV's convention: whole numbers are the centres of pixels.
        """
        angle = math.radians(self.angle_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shift = np.array([self.right_um, self.down_um])
        centre = turn @ np.full(2, 0.5 * fixed_mpp) + shift
        return np.column_stack([turn * (fixed_mpp / moving_mpp), centre / moving_mpp - 0.5])

    def checked(self, shape: tuple[int, int], mpp: float, side_um: float, limit_um: float) -> Mask:
        """(H, W) bool: squares of the fixed section found again within ``limit_um`` of where they should be.

        Parameters
        ----------
        shape : (H, W)
            Of a grid on the fixed section.
        mpp : float
            Its µm/px.
        side_um : float
            Of the square a patch speaks for.
        limit_um : float
        """
        mask = np.zeros(shape, np.bool_)
        for patch in self.patches:
            if patch.apart_um <= limit_um:
                left, right = (round((patch.x_um + side * side_um) / mpp) for side in (-0.5, 0.5))
                top, bottom = (round((patch.y_um + side * side_um) / mpp) for side in (-0.5, 0.5))
                mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        return mask

    @classmethod
    def from_matrix(cls, matrix: Matrix, mpp: float) -> Registration:
        """The inverse of `matrix` for two grids of ``mpp`` µm/px."""
        turn = matrix[:, :2]
        shift = (matrix[:, 2] + 0.5 - turn @ np.full(2, 0.5)) * mpp
        angle = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
        return cls(angle, float(shift[0]), float(shift[1]))
