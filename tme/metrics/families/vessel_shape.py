"""How much of the tissue is vessel, and what the vessels look like."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tme.metrics.bootstrap import bounded_estimate, median_estimate
from tme.metrics.family import METRICS, Family
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

LUMEN_UM = 4.0
LARGE_UM = 30.0
MARKER_POSITIVE_TUMOUR_PCT = 15.0
FEW_LUMENS_PCT = 5.0
NET_UM2 = 20_000.0
"""Filled area of a round vessel 160 µm wide; the largest of two real CD31 fields has 1,400 µm²."""
ZIELINSKI = "Zieliński, calibre classes below and from 30 µm with the share of open lumens"
IN_PART = (
    "a vessel on the border, counted or not, by the share of its pixels on tissue that lie in the compartment"
)
MORPHOLOGY = "prognostic shape of vessels, PubMed 24146798"

COLUMNS = (
    ColumnSpec(
        "vessel_area_pct",
        "%",
        "bounded",
        "area inside vessels, lumen included, over the evaluable area",
        f"100 Σ filled area / evaluable area; {IN_PART}; at most 100",
        "Marien 2016, PLoS ONE e0161496",
        (
            "A collapsed vessel counts with its wall alone.",
            "A lumen wider than tissue.max_hole_mm2 is no tissue: it is part of the vessel's area, and not "
            "of the evaluable one.",
        ),
        "vessels",
    ),
    ColumnSpec(
        "endothelium_area_pct",
        "%",
        "bounded",
        "share of the evaluable area that is stained vessel wall",
        f"100 Σ stained area / evaluable area; {IN_PART}",
        "Marien 2016, PLoS ONE e0161496",
        (
            "Over 15 % without lumens, or mostly in nets larger than a vessel: the tumour carries the marker "
            "itself, and MVD is not evaluable.",
        ),
        "vessels",
    ),
    ColumnSpec(
        "lumen_vessel_pct",
        "%",
        "bounded",
        "share of vessels with an open lumen",
        "100 · vessels whose lumen has an equivalent diameter of at least 4 µm / n_vessels",
        ZIELINSKI,
        ("Fixation and cutting close lumens.",),
        "vessels",
    ),
    ColumnSpec(
        "vessel_area_um2_median",
        "µm²",
        "positive",
        "median area of a vessel, lumen filled",
        "median of area_um2",
        MORPHOLOGY,
        needs="vessels",
    ),
    ColumnSpec(
        "vessel_perimeter_um_median",
        "µm",
        "positive",
        "median perimeter of a vessel",
        "median of perimeter_um",
        MORPHOLOGY,
        needs="vessels",
    ),
    ColumnSpec(
        "vessel_min_feret_um_median",
        "µm",
        "positive",
        "median smallest calliper width: the calibre, also of vessels cut at a slant",
        "median of min_feret_um",
        ZIELINSKI,
        needs="vessels",
    ),
    ColumnSpec(
        "large_vessel_pct",
        "%",
        "bounded",
        "share of vessels of large calibre",
        "100 · vessels with min_feret_um of at least 30 µm / n_vessels",
        ZIELINSKI,
        needs="vessels",
    ),
)
MEDIANS = ("area_um2", "perimeter_um", "min_feret_um")


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    vessels = scope.vessels
    if vessels is None or scope.area_mm2 <= 0:
        return {}
    blocks, settings, number = scope.blocks, scope.settings, len(vessels)
    found = {}
    for name, column in (("vessel_area_pct", "area_um2"), ("endothelium_area_pct", "endothelium_area_um2")):
        area_mm2 = scope.vessel_area_mm2(column)
        if area_mm2 is not None:
            found[name] = bounded_estimate(name, area_mm2, blocks.areas_mm2, number, settings)
    counts = scope.by_block(vessels, vessels.weight)
    for name, chosen in (
        ("lumen_vessel_pct", vessels.numbers("lumen_area_um2") >= math.pi / 4 * LUMEN_UM**2),
        ("large_vessel_pct", vessels.numbers("min_feret_um") >= LARGE_UM),
    ):
        found[name] = bounded_estimate(
            name, scope.by_block(vessels, chosen * vessels.weight), counts, number, settings
        )
    for column in MEDIANS:
        name = f"vessel_{column}_median"
        values = vessels.numbers(column)
        good = np.isfinite(values)
        found[name] = median_estimate(name, values[good], vessels.block[good], blocks.count, settings)
    return found


def withhold(scope: Scope, found: Mapping[str, Estimate]) -> str:
    """Why vessel changes are withheld: the tumour itself seems to carry the endothelial marker."""
    own = "the tumour may carry the marker itself"
    everything, wall = scope.stained_mm2, scope.vessel_area_mm2("endothelium_area_um2")
    all_pct = 0.0 if everything is None else 100 * everything / scope.area_mm2
    # Single stained cells are dropped as leucocytes before vessels are counted.
    if everything and wall is not None and all_pct > MARKER_POSITIVE_TUMOUR_PCT:
        beside = 1 - float(wall.sum()) / everything
        if beside > 0.5:
            return (
                f"{all_pct:.0f} % of the area is stained, {100 * beside:.0f} % of that in cells that are no "
                f"vessels: {own}"
            )
    stained, lumens = found["endothelium_area_pct"].value, found["lumen_vessel_pct"].value
    if not isinstance(stained, float) or stained <= MARKER_POSITIVE_TUMOUR_PCT:
        return ""
    if not isinstance(lumens, float) or lumens < FEW_LUMENS_PCT:
        return f"{stained:.0f} % of the area is stained without lumens: {own}"
    nets = _share_in_nets(scope)
    if nets > 0.5:
        return (
            f"{stained:.0f} % of the area is stained, {100 * nets:.0f} % of that in nets larger than any "
            f"vessel: {own}"
        )
    return ""


def _share_in_nets(scope: Scope) -> float:
    """Share of the stained area in objects that enclose more than a vessel does.

    Stained cells that touch enclose gaps, which look like lumens: a marker of the tumour gives few, huge
    objects with holes.
    """
    if scope.vessels is None:
        return 0.0
    wall = np.nan_to_num(scope.vessels.numbers("endothelium_area_um2"))
    nets = scope.vessels.numbers("area_um2") > NET_UM2
    return float(wall[nets].sum() / max(wall.sum(), 1e-9))


METRICS.add("vessel_shape", Family(COLUMNS, measure, order=80, withhold=withhold))
