"""What the columns of ``cells.parquet`` and ``vessels.parquet`` mean, in the tables' order."""

from __future__ import annotations

from tme.metrics.types import ColumnSpec


def _object(name: str, unit: str, definition: str, formula: str = "", *caveats: str) -> ColumnSpec:
    return ColumnSpec(name, unit, "object", definition, formula, caveats=caveats)


X_UM = _object("x_um", "µm", "centroid, from the left edge of level 0")
Y_UM = _object("y_um", "µm", "centroid, from the top edge of level 0")
COMPARTMENT = _object(
    "compartment", "", "most specific compartment of the centroid; missing where not evaluable"
)
VESSEL_COMPARTMENT = _object(
    "compartment",
    "",
    "most specific compartment that holds most of the outline; missing where not evaluable",
    "of what of the outline lies on tissue more than half; the middle of a wide lumen is no tissue",
)

CELL_COLUMNS: tuple[ColumnSpec, ...] = (
    _object("cell_id", "", "number of the cell on its slide, from 0 in the order of y, then x"),
    X_UM,
    Y_UM,
    _object("x_px", "px", "centroid in level-0 pixels; pixel (0, 0) has its centre at 0.5"),
    _object("y_px", "px", "centroid in level-0 pixels; pixel (0, 0) has its centre at 0.5"),
    _object("area_um2", "µm²", "area of the nucleus"),
    _object(
        "eccentricity",
        "",
        "0 for a circle, towards 1 for a spindle",
        "of the ellipse with the same second moments",
    ),
    _object("solidity", "", "area over that of the convex hull; 1 without dents"),
    _object("hematoxylin_od", "OD", "mean haematoxylin of the nucleus"),
    _object("dab_od", "OD", "mean DAB of the nucleus; missing on H&E"),
    _object(
        "dab_ring_od", "OD", "DAB of the ring around the nucleus, where membrane markers sit; missing on H&E"
    ),
    _object(
        "class",
        "",
        "H&E: lymphocyte, plasma (not given so far: plasma cells are not told from lymphocytes) or other; "
        "immunohistochemistry: positive or negative",
    ),
    _object(
        "class_prob",
        "",
        "probability of the class, 0-1; 1 for pigment on CD3 and CD8; missing where there is none",
    ),
    _object(
        "is_til",
        "",
        "H&E: lymphocyte or plasma cell; CD3 and CD8: positive cell; missing for other stains",
        "",
        "On H&E small round tumour cells and apoptotic bodies can pass for lymphocytes.",
    ),
    _object(
        "positive",
        "",
        "marker at or above dab_threshold_od where it sits, and no pigment; missing on H&E",
    ),
    _object("in_cluster", "", "the row is a cluster of cells that could not be parted"),
    _object("cluster_count", "", "cells in the cluster by a model of its area; missing outside clusters"),
    COMPARTMENT,
    _object("geometry", "px", "outline of the nucleus, WKB polygon in level-0 pixels"),
)

VESSEL_COLUMNS: tuple[ColumnSpec, ...] = (
    _object("vessel_id", "", "number of the vessel on its slide, from 0 in the order of y, then x"),
    X_UM,
    Y_UM,
    _object("area_um2", "µm²", "area with the lumen filled"),
    _object("endothelium_area_um2", "µm²", "stained area"),
    _object("lumen_area_um2", "µm²", "area of holes of at least 4 µm equivalent diameter; 0 without a lumen"),
    _object("perimeter_um", "µm", "length of the outer outline"),
    _object("min_feret_um", "µm", "smallest calliper width: the calibre, also when cut at a slant"),
    _object("max_feret_um", "µm", "largest calliper width"),
    _object(
        "eccentricity",
        "",
        "0 for a circle, towards 1 for a line",
        "of the ellipse with the same second moments",
    ),
    _object("solidity", "", "area over that of the convex hull; 1 without dents"),
    _object(
        "object_prob", "", "how sure it is that this is a vessel, 0-1; a score, not a calibrated probability"
    ),
    VESSEL_COMPARTMENT,
    _object("in_hotspot", "", "evaluable, with the centroid in one of the fields behind mvd_hotspot_per_mm2"),
    _object("geometry", "px", "filled outline, WKB polygon in level-0 pixels"),
)
