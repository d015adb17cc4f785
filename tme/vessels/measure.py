"""What hangs together -> a row for every vessel in it; none where there is no vessel.

An object is put together in its own box, and parted there where vessels touch: no window has a say. A
box too large to hold (a whole section stained brown) is looked at in coarser pixels; its stained area
stays exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.units import px_to_um, px_to_um2
from tme.vessels.fill import Filled, Surroundings, fill_vessel, join_radius
from tme.vessels.group import Group, Picture, picture
from tme.vessels.judge import Evidence, is_vessel, vessel_score
from tme.vessels.mask import OD_STEPS
from tme.vessels.packed import PackedPlane
from tme.vessels.part import parted
from tme.vessels.shape import Shape, filled_hull, measure_shape, outline_polygon
from tme.vessels.table import Row

Bits = NDArray[np.bool_]


def measure_vessels(
    group: Group,
    pale: PackedPlane,
    dark: PackedPlane,
    settings: VesselSettings,
    mpp: float,
    threshold_od: float,
) -> list[Row]:
    """Fill, part, measure and judge a group; empty for specks, leucocytes and what is not stained at all.

    Vessels that touch share the contrast of their stain, which only their score depends on.
    """
    step = group.step()
    coarse = mpp * step
    shown = picture(group, join_radius(settings, coarse) + 2)
    if not shown.stained_px:
        return []
    around = shown.surroundings(pale, dark)
    filled = fill_vessel(shown.stained, shown.lumen, around, settings, coarse)
    contrast = group.density / (OD_STEPS * shown.stained_px * threshold_od)
    # In coarse pixels nothing is parted: a wall is narrower than a pixel.
    outlines = parted(shown.stained, filled, settings, coarse) if step == 1 else [filled.outline]
    if len(outlines) > 1:
        parts = [_cut(shown, filled, outline) for outline in outlines]
        rows = [_measured(*part, around, contrast, settings, mpp) for part in parts]
        # A part that is no vessel by itself was no neighbour but a piece of its vessel.
        found = [row for row in rows if row is not None]
        if len(found) == len(rows):
            return found
    row = _measured(shown, filled, around, contrast, settings, mpp)
    return [] if row is None else [row]


def _cut(shown: Picture, filled: Filled, outline: Bits) -> tuple[Picture, Filled]:
    """What of a group lies in one of its vessels' outlines."""
    stained = shown.stained & outline
    part = replace(shown, stained=stained, lumen=shown.lumen & outline, stained_px=int(stained.sum()))
    return part, Filled(outline, filled.lumen & outline)


def _measured(
    shown: Picture,
    filled: Filled,
    around: Surroundings,
    contrast: float,
    settings: VesselSettings,
    mpp: float,
) -> Row | None:
    coarse = mpp * shown.step
    shape = measure_shape(filled.outline)
    dark_share, pale_share = _shares(filled.outline, around)
    evidence = Evidence(
        area_um2=max(px_to_um2(shape.area, coarse), px_to_um2(shown.stained_px, mpp)),
        endothelium_um2=px_to_um2(shown.stained_px, mpp),
        lumen_um2=px_to_um2(int(np.count_nonzero(filled.lumen)), coarse),
        min_feret_um=px_to_um(shape.min_feret, coarse),
        max_feret_um=px_to_um(shape.max_feret, coarse),
        solidity=shape.solidity,
        contrast=contrast,
        dark_share=dark_share,
        pale_share=pale_share,
    )
    if not is_vessel(evidence, settings):
        return None
    return _row(shape, filled.outline, shown, evidence, settings, coarse)


def _row(
    shape: Shape, outline: Bits, shown: Picture, evidence: Evidence, settings: VesselSettings, coarse: float
) -> Row:
    corner, step = (shown.x0, shown.y0), shown.step
    polygon = shapely.transform(outline_polygon(outline), lambda points: points * step + corner)
    return Row(
        x_px=shape.x * step + shown.x0,
        y_px=shape.y * step + shown.y0,
        perimeter_um=px_to_um(shape.perimeter, coarse),
        eccentricity=shape.eccentricity,
        evidence=evidence,
        score=vessel_score(evidence, settings),
        polygon=polygon,
    )


def _shares(outline: Bits, around: Surroundings) -> tuple[float, float]:
    """Shares of the object's convex hull that are nuclei, and empty."""
    hull = filled_hull(outline)
    area = np.count_nonzero(hull)
    return np.count_nonzero(hull & around.dark) / area, np.count_nonzero(hull & around.pale) / area
