"""µm per pixel: the sheet's value, else the file's, else a refusal. Never a guess.

A field that opens with screen or print resolution (72, 96, 300 dpi) has no resolution: those
values come from image editors. Nothing is concluded from the objective's magnification, which
scanners use loosely (a "20x" can be 0.23 µm/px); a disagreement is only a caution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tme.errors import SlideError
from tme.slide.guards import shown
from tme.slide.source import Header

FINEST, COARSEST = 0.1, 2.0
NONSENSE = 20.0
ANISOTROPY = 0.05
MAGNIFICATION_TIMES_MPP = (8.0, 12.0)
DISAGREEMENT = 0.05

UM_PER_UNIT = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}


@dataclass(frozen=True)
class Resolution:
    """Level-0 µm/px (mean of x and y) and where it came from."""

    mpp: float
    source: str
    cautions: tuple[str, ...] = ()


def number(text: object) -> float | None:
    """A positive finite number in metadata; decimal commas accepted. None for anything else."""
    try:
        value = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def in_um(value: object, unit: str) -> float | None:
    """A length with a unit's name, in µm; None if either makes no sense (``pixel``, empty)."""
    size = number(value)
    scale = UM_PER_UNIT.get(unit.strip().casefold().replace("\u03bc", "\u00b5"))
    return None if size is None or scale is None else size * scale


def resolve(path: Path, header: Header, sheet_mpp: float | None) -> Resolution:
    """The slide's µm/px under the rules above.

    Raises
    ------
    SlideError
        No resolution, one outside 0.1-2 µm/px, or x and y more than 5 % apart.
    """
    found = _found(header)
    if sheet_mpp is None:
        if found is None:
            raise _missing(path, header)
        _check_square(path, *found)
        mpp, cautions = sum(found) / 2, []
    else:
        mpp, cautions = _checked_sheet_value(path, sheet_mpp), _disagreement(found, sheet_mpp)
    _check_range(path, mpp, "sheet" if sheet_mpp is not None else "file")
    cautions += _magnification(header.objective_power, mpp)
    return Resolution(mpp, "metadata" if sheet_mpp is None else "sheet", tuple(cautions))


def _found(header: Header) -> tuple[float, float] | None:
    x, y = header.mpp_x, header.mpp_y
    if x is None or y is None or max(x, y) >= NONSENSE:
        return None
    return x, y


def _missing(path: Path, header: Header) -> SlideError:
    if header.mpp_x is not None and header.mpp_x >= NONSENSE:
        why = f"its tag says {header.mpp_x:.4g} µm/px, which is a screen or print setting"
    else:
        why = "areas and densities would have no scale"
    hint = f" (the file says {header.objective_power:g}x)" if header.objective_power else ""
    return SlideError(
        "the file does not say how many µm a pixel has",
        where=shown(path),
        why=why,
        fix=f"put the scanner's µm/px{hint} into this slide's row of the sheet, column mpp; "
        f"a sheet line reads e.g. `slide,mpp` and `{shown(path)},0.5`",
    )


def _checked_sheet_value(path: Path, mpp: float) -> float:
    if not math.isfinite(mpp) or mpp <= 0:
        raise SlideError(
            f"mpp {mpp!r} in the sheet is not a resolution",
            where=shown(path),
            fix="give µm per pixel, e.g. 0.25",
        )
    return mpp


def _check_square(path: Path, x: float, y: float) -> None:
    if abs(x / y - 1) > ANISOTROPY:
        raise SlideError(
            f"the file gives {x:.4g} µm/px across and {y:.4g} down",
            where=shown(path),
            why="pixels more than 5 % from square are not accepted, and one of the values may be wrong",
            fix="find the true µm/px and put it into the sheet's column mpp",
        )


def _check_range(path: Path, mpp: float, origin: str) -> None:
    if not FINEST <= mpp <= COARSEST:
        raise SlideError(
            f"{mpp:.4g} µm/px (from the {origin}) is outside {FINEST:g}-{COARSEST:g}",
            where=shown(path),
            why="no slide scanner's level 0 is there; a factor of 10 or a unit has been lost, "
            "or the scan is too coarse to see cells and vessels",
            fix="put the right µm/px into this slide's row of the sheet, column mpp",
        )


def _disagreement(found: tuple[float, float] | None, sheet_mpp: float) -> list[str]:
    if found is None:
        return []
    mean = sum(found) / 2
    if abs(mean / sheet_mpp - 1) <= DISAGREEMENT:
        return []
    return [f"the sheet says {sheet_mpp:.4g} µm/px, the file {mean:.4g}; the sheet's value is used"]


def _magnification(power: float | None, mpp: float) -> list[str]:
    low, high = MAGNIFICATION_TIMES_MPP
    if power is None or low <= power * mpp <= high:
        return []
    return [f"magnification {power:g}x and {mpp:.4g} µm/px do not belong together; µm/px is used"]
