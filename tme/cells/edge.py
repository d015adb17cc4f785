"""Positive cells that crowd along the border of the tissue: stain that has dried in there.

In: a `TissueMask`. Out: which of its pixels lie at the border and which deep inside, and, once positive cells
are counted in both, what to say of them. Reagents dry and pool at the border of a section, and every nucleus
there looks positive; a rim of lymphocytes along glass, several times as dense as anything inside, is rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.distance import rough_distance_px
from tme.tissue.types import TissueMask

EDGE_UM, DEEP_UM = 30.0, 60.0
"""Nearer to glass is at the border, farther is deep."""
FEWEST_AT_EDGE = 20
MOST_TIMES = 4.0
"""Density of positive cells at the border over that deep inside from which on it is said."""
UNUSABLE, DEEP, BETWEEN, EDGE = range(4)


@dataclass(frozen=True, eq=False)
class Zones:
    """Where on a tissue mask is border and where is not.

    Attributes
    ----------
    mask : (H, W) uint8
        `UNUSABLE` (no tissue, or an artefact), `DEEP`, `BETWEEN` or `EDGE`.
    deep_mm2, edge_mm2 : float
        Areas.
    """

    mask: NDArray[np.uint8]
    deep_mm2: float
    edge_mm2: float


def edge_zones(tissue: TissueMask) -> Zones:
    """The zones of a slide; the picture's own border is none of the tissue."""
    away = np.full(tissue.shape, np.inf, np.float32)
    if not tissue.tissue.all():
        away = rough_distance_px(tissue.tissue) * np.float32(tissue.mpp)
    mask = np.full(tissue.shape, BETWEEN, np.uint8)
    mask[away <= EDGE_UM], mask[away > DEEP_UM] = EDGE, DEEP
    mask[~tissue.usable] = UNUSABLE
    return Zones(mask, *(tissue.area_mm2(mask == zone) for zone in (DEEP, EDGE)))


def edge_caution(at_edge: int, deep: int, tissue: TissueMask) -> str:
    """A sentence where positive cells crowd at the border; else empty.

    Parameters
    ----------
    at_edge, deep : int
        Positive cells in `EDGE` and `DEEP`.
    tissue : TissueMask
    """
    if at_edge < FEWEST_AT_EDGE:
        return ""
    zones = edge_zones(tissue)
    if at_edge * zones.deep_mm2 < MOST_TIMES * deep * zones.edge_mm2:
        return ""
    if zones.deep_mm2 < zones.edge_mm2 / 4:
        # Too thin for an inside to compare with.
        return ""
    inside = f"{deep / zones.deep_mm2:.0f} per mm² deeper than {DEEP_UM:.0f} µm"
    return (
        f"{at_edge} positive cells lie within {EDGE_UM:.0f} µm of the tissue's border, "
        f"{at_edge / zones.edge_mm2:.0f} per mm² beside {inside}: stain dried in at the border? "
        "Look at the overlay, and draw it as Exclude"
    )
