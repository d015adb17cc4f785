"""How far two registered sections still lie apart: patches of one looked for on the other.

A global correlation says that something fits, not how well. So each patch of the fixed section is looked
for around the place where the registration puts it. The displacements found are the target registration
error of a structure in the patch (Borovec 2020, IEEE Trans Med Imaging 39:3042, with patches for landmarks).
"""

from __future__ import annotations

import cv2
import numpy as np

from tme.register.detail import detail, turned
from tme.register.types import Floats, Patch, Registration, SectionMap
from tme.units import px_to_um, um_to_whole_px

PATCH_UM = 400.0
CORE_UM = 200.0
SEARCH_UM = 120.0
LEAST_USABLE = 0.5
"""Share of a patch; at a straight edge, that of one whose middle lies on it."""
LEAST_SCORE = 0.3
"""Correlation from which a patch counts as found."""
LEAST_LEAD = 0.1
"""How much higher that must be than anywhere farther than `SAME_UM` from it."""
SAME_UM = 40.0


def found_patches(
    fixed: SectionMap, moving: SectionMap, guess: Registration, reach_um: float = SEARCH_UM
) -> tuple[list[Patch], int]:
    """Patches found again within ``reach_um``, and how many were looked for.

    Patches overlap: each speaks for the square of `CORE_UM` in its middle, and these lie side by side.
    """
    matrix, shape = guess.matrix(fixed.mpp, moving.mpp), fixed.usable.shape
    usable = fixed.usable & (turned(moving.usable, matrix, shape) >= 0.5)
    side, core, reach = (um_to_whole_px(length, fixed.mpp) for length in (PATCH_UM, CORE_UM, reach_um))
    margin = side + reach
    one, other = (np.pad(image, margin) for image in (detail(fixed), turned(detail(moving), matrix, shape)))
    both = np.pad(usable, margin)
    patches, judged = [], 0
    for top in range(0, shape[0], core):
        for left in range(0, shape[1], core):
            row, column = (margin + start + (core - side) // 2 for start in (top, left))
            here = (slice(row, row + side), slice(column, column + side))
            patch = one[here]
            if both[here].mean() < LEAST_USABLE or patch.std() == 0:
                continue
            judged += 1
            window = other[row - reach : row + side + reach, column - reach : column + side + reach]
            place = _place(patch, window, reach)
            if place is not None:
                right, down, score = place
                x_um, y_um, right_um, down_um = (
                    px_to_um(value, fixed.mpp) for value in (left + core / 2, top + core / 2, right, down)
                )
                patches.append(Patch(x_um, y_um, right_um, down_um, score))
    return patches, judged


def _place(patch: Floats, window: Floats, reach: int) -> tuple[float, float, float] | None:
    """(right, down, score) in px of a patch in a window ``reach`` px wider; None where it is not certain."""
    scores = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
    scores[~np.isfinite(scores)] = -1
    _, best, _, (column, row) = cv2.minMaxLoc(scores)
    if best < LEAST_SCORE or not (0 < column < 2 * reach and 0 < row < 2 * reach):
        return None
    rows_away, columns_away = np.ogrid[: scores.shape[0], : scores.shape[1]]
    far = np.hypot(rows_away - row, columns_away - column) > SAME_UM / PATCH_UM * len(patch)
    if best - float(scores.max(where=far, initial=-1)) < LEAST_LEAD:
        return None
    right = column + _peak(scores[row, column - 1 : column + 2])
    down = row + _peak(scores[row - 1 : row + 2, column])
    return right - reach, down - reach, float(best)


def _peak(three: Floats) -> float:
    """Where the parabola through three values has its top, from the middle one; -0.5 to 0.5."""
    before, here, after = (float(value) for value in three)
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
