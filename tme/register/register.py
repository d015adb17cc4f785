"""Two section maps -> Registration: guesses, refinement, and the check that decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from tme.register.check import found_patches
from tme.register.coarse import first_guesses
from tme.register.refine import refined
from tme.register.types import Patch, Registration, SectionMap

MAX_ERROR_UM = 30.0
LEAST_FOUND = 0.5
MIN_PATCHES = 16
"""They overlap: as much tissue as four that do not."""
DECIMALS = 4
T = TypeVar("T", Registration, Patch)


def register_sections(fixed: SectionMap, moving: SectionMap) -> Registration:
    """Lay the moving section on the fixed one by a rotation and a shift.

    Parameters
    ----------
    fixed, moving : SectionMap
        Of the same µm/px.

    Returns
    -------
    Registration
        With a ``reason`` where it cannot be trusted: fewer than `MIN_PATCHES` patches looked for, less
        than `LEAST_FOUND` of them found again, or displacements whose 90th percentile is above
        `MAX_ERROR_UM`.

    Raises
    ------
    ValueError
        If the maps have different µm/px.
    """
    if fixed.mpp != moving.mpp:
        raise ValueError(f"maps of {fixed.mpp:g} and {moving.mpp:g} µm/px")
    if not (fixed.usable.any() and moving.usable.any()):
        return Registration(0.0, 0.0, 0.0, reason="no usable tissue")
    best = refined(fixed, moving, first_guesses(fixed, moving))
    if best is None:
        return Registration(0.0, 0.0, 0.0, reason="no angle and shift lays one section on the other")
    lies = rounded(best)
    patches, judged = found_patches(fixed, moving, lies)
    found = replace(lies, patches=tuple(rounded(patch) for patch in patches), judged=judged)
    return replace(found, reason=_doubt(found))


def rounded(value: T) -> T:
    """The value with its numbers as they will be saved, so that reading it back changes nothing."""
    numbers: dict[str, Any] = {
        name: round(number, DECIMALS) for name, number in vars(value).items() if isinstance(number, float)
    }
    return replace(value, **numbers)


def _doubt(found: Registration) -> str:
    if found.judged < MIN_PATCHES:
        return f"the sections share {found.judged} patches of tissue; {MIN_PATCHES} are needed to judge"
    number = len(found.patches)
    if number < LEAST_FOUND * found.judged:
        return f"only {number} of {found.judged} patches of tissue are found again"
    error = found.error_um()
    return f"patches lie up to {error:.0f} µm apart, over {MAX_ERROR_UM:g} µm" if error > MAX_ERROR_UM else ""
