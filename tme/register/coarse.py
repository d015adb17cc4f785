"""First guesses of how a section lies: every angle is tried on small pictures of both."""

from __future__ import annotations

import cv2
import numpy as np

from tme.register.detail import LEAST_OVERLAP, shrunk
from tme.register.types import Matrix, Registration, SectionMap

LONGEST_PX = 128
FINEST_MPP = 32.0
STEP_DEG = 6.0
GUESSES = 6
APART_DEG = 15.0


def first_guesses(fixed: SectionMap, moving: SectionMap) -> list[Registration]:
    """The best `GUESSES` angles, at least `APART_DEG` apart, each with the shift that goes with it.

    The sections are turned about the middle of the picture and slid over each other; what is compared is
    density with nothing outside the tissue, so that both outline and structure count.
    """
    longest = max(*fixed.density.shape, *moving.density.shape)
    mpp = max(FINEST_MPP, fixed.mpp * longest / LONGEST_PX)
    target, picture = shrunk(fixed, mpp), shrunk(moving, mpp)
    scored = []
    for angle in np.arange(0.0, 360.0, STEP_DEG):
        score, matrix = _best_shift(target, picture, float(angle))
        scored.append((score, Registration.from_matrix(matrix, mpp)))
    scored.sort(key=lambda found: -found[0])
    guesses: list[Registration] = []
    for _, guess in scored:
        if all(_apart_deg(guess, other) >= APART_DEG for other in guesses):
            guesses.append(guess)
    return guesses[:GUESSES]


def _best_shift(fixed: SectionMap, moving: SectionMap, angle_deg: float) -> tuple[float, Matrix]:
    """The highest correlation of the turned moving section with the fixed one, and where it is."""
    height, width = moving.density.shape
    side = int(np.ceil(np.hypot(height, width))) + 1
    turn = Registration(angle_deg, 0.0, 0.0).matrix(1.0, 1.0)[:, :2]
    # The picture's middle stays in the middle of a square that holds it at any angle.
    middle = np.array([(width - 1) / 2, (height - 1) / 2]) - turn @ np.full(2, (side - 1) / 2)
    matrix = np.column_stack([turn, middle])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(moving.density, matrix, (side, side), flags=flags)
    found = cv2.matchTemplate(np.pad(fixed.density, side), square, cv2.TM_CCOEFF_NORMED)
    # On a few pixels of tissue anything correlates, and on none the correlation does not exist.
    under = cv2.matchTemplate(
        np.pad(fixed.usable, side).astype(np.float32), (square > 0).astype(np.float32), cv2.TM_CCORR
    )
    least = LEAST_OVERLAP * min(np.count_nonzero(fixed.usable), np.count_nonzero(square))
    found = np.where(np.isfinite(found) & (under >= max(least, 1.0)), found, np.float32(-1))
    _, score, _, (column, row) = cv2.minMaxLoc(found)
    # A pixel p of the fixed section is the square's pixel p + side − (column, row).
    shift = matrix[:, 2] + turn @ np.array([side - column, side - row], np.float64)
    return float(score), np.column_stack([turn, shift])


def _apart_deg(one: Registration, other: Registration) -> float:
    difference = abs(one.angle_deg - other.angle_deg) % 360.0
    return min(difference, 360.0 - difference)
