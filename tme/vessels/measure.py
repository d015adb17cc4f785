"""One vessel's fragments -> its row, or nothing where it is no vessel.

A vessel is put together in its own box. A box too large to hold (a whole section stained brown) is
looked at in coarser pixels, by a power of two that depends on the box alone; its stained area stays
exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.geometry import Box
from tme.units import px_to_um, px_to_um2
from tme.vessels.fill import fill_vessel, join_radius
from tme.vessels.judge import Evidence, is_vessel, vessel_score
from tme.vessels.mask import OD_STEPS
from tme.vessels.packed import PackedPlane, unpack
from tme.vessels.shape import Shape, measure_shape, outline_polygon
from tme.vessels.table import Row

Bits = NDArray[np.bool_]

MAX_BOX_PX = 36_000_000
"""Pixels of a box above which a vessel is looked at in coarser pixels (3 mm x 3 mm at 0.5 µm/px)."""


@dataclass(frozen=True)
class Assembly:
    """One vessel before it is measured.

    Attributes
    ----------
    box : Box
        Around all fragments, working pixels.
    pieces : tuple of (Box, bytes)
        Packed stained pixels in their own boxes; no pixel is in two.
    density : int
        Sum of DAB levels over the stained pixels.
    """

    box: Box
    pieces: tuple[tuple[Box, bytes], ...]
    density: int


def measure_vessel(
    assembly: Assembly, pale: PackedPlane, settings: VesselSettings, mpp: float, threshold_od: float
) -> Row | None:
    """Fill, measure and judge one vessel; None for specks and leucocytes."""
    step = _coarsening(assembly.box)
    margin = join_radius(settings, mpp * step) + 2
    stained, area_px = _stained(assembly, step, margin)
    around = Box(
        assembly.box.y0 - margin * step,
        assembly.box.x0 - margin * step,
        assembly.box.y0 + (stained.shape[0] - margin) * step,
        assembly.box.x0 + (stained.shape[1] - margin) * step,
    )
    empty = _pale(pale, around, step)
    filled = fill_vessel(stained, empty, settings, mpp * step)
    shape = measure_shape(filled.outline)
    contrast = assembly.density / (OD_STEPS * area_px * threshold_od)
    evidence = _evidence(shape, area_px, filled.lumen_px, filled.lumen_pale_px, contrast, mpp, step)
    if not is_vessel(evidence, settings):
        return None
    polygon = shapely.transform(
        outline_polygon(filled.outline), lambda points: points * step + (around.x0, around.y0)
    )
    return Row(
        x_px=shape.x * step + around.x0,
        y_px=shape.y * step + around.y0,
        perimeter_um=px_to_um(shape.perimeter * step, mpp),
        eccentricity=shape.eccentricity,
        evidence=evidence,
        score=vessel_score(evidence, settings),
        polygon=polygon,
    )


def _evidence(
    shape: Shape, area_px: int, lumen_px: int, pale_px: int, contrast: float, mpp: float, step: int
) -> Evidence:
    coarse = mpp * step
    return Evidence(
        area_um2=max(px_to_um2(shape.area, coarse), px_to_um2(area_px, mpp)),
        endothelium_um2=px_to_um2(area_px, mpp),
        lumen_um2=px_to_um2(lumen_px, coarse),
        lumen_pale_share=pale_px / lumen_px if lumen_px else 0.0,
        min_feret_um=px_to_um(shape.min_feret, coarse),
        max_feret_um=px_to_um(shape.max_feret, coarse),
        solidity=shape.solidity,
        contrast=contrast,
    )


def _coarsening(box: Box) -> int:
    step = 1
    while (box.height // step + 1) * (box.width // step + 1) > MAX_BOX_PX:
        step *= 2
    return step


def _stained(assembly: Assembly, step: int, margin: int) -> tuple[Bits, int]:
    box = assembly.box
    height, width = math.ceil(box.height / step), math.ceil(box.width / step)
    stained = np.zeros((height + 2 * margin, width + 2 * margin), bool)
    area = 0
    for place, data in assembly.pieces:
        rows, columns = np.nonzero(unpack(data, (place.height, place.width)))
        area += len(rows)
        stained[
            (rows + place.y0 - box.y0) // step + margin, (columns + place.x0 - box.x0) // step + margin
        ] = True
    return stained, area


def _pale(pale: PackedPlane, box: Box, step: int) -> Bits:
    if step == 1:
        return pale.read(box)
    rows = []
    # A strip of coarse rows at a time: the fine box may be the whole slide.
    for y0 in range(box.y0, box.y1, 64 * step):
        strip = pale.read(Box(y0, box.x0, min(y0 + 64 * step, box.y1), box.x1)).view(np.uint8)
        size = (strip.shape[1] // step, strip.shape[0] // step)
        rows.append(cv2.resize(strip * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128)
    return np.concatenate(rows)
