"""µm/px, magnification and colour profile from a TIFF's own tags and descriptions."""

from __future__ import annotations

import re

import tifffile

from tme.slide.resolution import in_um, number

ICC_PROFILE = 34675
ICC_COLOUR_SPACE = slice(16, 20)
UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}


def aperio_value(description: str, key: str) -> float | None:
    """``MPP`` or ``AppMag`` of an Aperio description; decimal commas accepted."""
    found = re.search(rf"\|\s*{key}\s*=\s*([^|\r\n]+)", description)
    return number(found.group(1)) if found else None


def resolution_tags(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    """(x, y) µm/px from XResolution, YResolution and their unit, as ImageJ or TIFF mean it."""
    across, down = (_pixels_per_unit(page, tag) for tag in (282, 283))
    scale = _imagej_unit(page.description) or UM_PER_RESOLUTION_UNIT.get(_unit(page))
    if scale is None or across is None or down is None:
        return None, None
    return scale / across, scale / down


def _unit(page: tifffile.TiffPage) -> int:
    value = page.tags.valueof(296, 2)
    return int(value) if isinstance(value, int) else 0


def _pixels_per_unit(page: tifffile.TiffPage, tag: int) -> float | None:
    value = page.tags.valueof(tag)
    if not isinstance(value, tuple) or len(value) != 2 or 0 in value:
        return None
    return float(value[0]) / float(value[1])


def _imagej_unit(description: str) -> float | None:
    if not description.startswith("ImageJ="):
        return None
    found = re.search(r"^unit=(.+)$", description, re.MULTILINE)
    if not found:
        return None
    return in_um(1, found.group(1).strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ"))


def profile_cautions(page: tifffile.TiffPage) -> tuple[str, ...]:
    """A colour profile changes no number here (colours are read as stored), but a wrong one is told."""
    profile = page.tags.valueof(ICC_PROFILE)
    if not isinstance(profile, bytes) or profile[ICC_COLOUR_SPACE] == b"RGB ":
        return ()
    return ("its colour profile is damaged or not one for RGB; colours are read as stored",)
