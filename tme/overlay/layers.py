"""Outlines as short lists of whole numbers, ready to be drawn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from tme.overlay.fields import Field, inside_field
from tme.overlay.palette import CLASS_COLOURS, class_colour, class_title
from tme.tables import Rows
from tme.tissue.types import Mask

TENTHS = 10.0
SIMPLIFY_UM = 0.3
NAMES_SHOWN = 12
LONGEST_CELL_UM = 100.0
PICTURE_PX = 2048


def mask_rings(mask: Mask, mpp: float, tolerance_um: float) -> list[list[int]]:
    """Borders of a mask as rings ``[x0, y0, x1, y1, …]`` in whole µm from the slide's corner.

    Borders run through the centres of the outermost pixels; detail under ``tolerance_um`` is
    dropped. For drawing only: areas are never taken from them.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for contour in contours:
        ring = cv2.approxPolyDP(contour, tolerance_um / mpp, True)
        points = np.rint((ring[:, 0, :] + 0.5) * mpp).astype(np.int64)
        if len(points) > 2:
            rings.append([int(value) for value in points.ravel()])
    return sorted(rings)


def reduced_mask(mask: Mask, mpp: float, longest_px: int = PICTURE_PX) -> tuple[Mask, float]:
    """A mask small enough for a page, and its µm/px; a pixel is True where any of those it stands for is."""
    factor = -(-max(mask.shape) // longest_px)
    if factor == 1:
        return mask, mpp
    height, width = (-(-side // factor) for side in mask.shape)
    padded = np.zeros((height * factor, width * factor), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    shown = np.asarray(padded.reshape(height, factor, width, factor).any(axis=(1, 3)), bool)
    return shown, mpp * factor


def field_objects(
    field: Field, mpp0: float, cells: Rows | None, vessels: pa.Table | None
) -> list[dict[str, Any]]:
    """Objects of a field by class, for the page.

    Parameters
    ----------
    field : Field
    mpp0 : float
        µm/px of the tables' geometry (level 0).
    cells : pyarrow.Table, SavedTable or None
    vessels : pyarrow.Table or None

    Returns
    -------
    list of dict
        ``name, title, colour, count`` (centroids inside the field) and per object that touches it
        ``rings`` (outer border; tenths of µm from the field's corner, first point, then steps),
        ``prob`` (null where unknown), ``area`` (µm²) and ``id``.
    """
    groups = []
    for table, id_column, prob_column in (
        (cells, "cell_id", "class_prob"),
        (vessels, "vessel_id", "object_prob"),
    ):
        if table is None:
            continue
        shown, outlines = _touching(table, field, mpp0)
        names = _class_names(shown)
        for name in _order(set(names.tolist())):
            rows = np.flatnonzero(names == name)
            groups.append(_group(name, shown.take(rows), outlines[rows], field, id_column, prob_column))
    return groups


def _touching(rows: Rows, field: Field, mpp0: float) -> tuple[pa.Table, NDArray[np.object_]]:
    """Rows whose outline touches the field, and the outlines in µm from the field's corner."""
    table = rows.filter(pa.array(_near(rows, field)))
    outlines = shapely.from_wkb(table.column("geometry").to_numpy())
    bounds = shapely.bounds(outlines) * mpp0 - np.array([field.x_um, field.y_um] * 2)
    touching = (
        (bounds[:, 0] < field.width_um)
        & (bounds[:, 1] < field.height_um)
        & (bounds[:, 2] > 0)
        & (bounds[:, 3] > 0)
    )
    shown = np.flatnonzero(touching)
    corner = np.array([field.x_um, field.y_um])
    moved = shapely.transform(outlines[shown], lambda points: points * mpp0 - corner)
    return table.take(shown), moved


def _near(table: Rows, field: Field) -> NDArray[np.bool_]:
    """Rows whose centroid is near enough to touch the field; spares reading every outline."""
    reach = LONGEST_CELL_UM
    if "max_feret_um" in table.column_names:
        reach = pc.fill_null(table.column("max_feret_um"), np.inf).to_numpy()
    x = table.column("x_um").to_numpy() - field.x_um
    y = table.column("y_um").to_numpy() - field.y_um
    near: NDArray[np.bool_] = (
        (x > -reach) & (y > -reach) & (x < field.width_um + reach) & (y < field.height_um + reach)
    )
    return near


def _class_names(table: pa.Table) -> NDArray[np.object_]:
    if "class" not in table.column_names:
        return np.full(table.num_rows, "vessel", object)
    return np.array([name or "unclassified" for name in table.column("class").to_pylist()], object)


def _order(names: set[str]) -> list[str]:
    known = [name for name in CLASS_COLOURS if name in names]
    return (known + sorted(names - set(known)))[:NAMES_SHOWN]


def _group(
    name: str, table: pa.Table, outlines: NDArray[np.object_], field: Field, id_column: str, prob_column: str
) -> dict[str, Any]:
    x_um, y_um = (table.column(column).to_numpy() for column in ("x_um", "y_um"))
    return {
        "name": name,
        "title": class_title(name),
        "colour": class_colour(name),
        "count": int(inside_field(field, x_um, y_um).sum()),
        "rings": [_steps(outline) for outline in shapely.simplify(outlines, SIMPLIFY_UM)],
        "prob": _rounded(table, prob_column, 2),
        "area": _rounded(table, "area_um2", 1),
        "id": table.column(id_column).to_pylist(),
    }


def _steps(outline: shapely.Geometry) -> list[int]:
    """The outer border of (the largest part of) an outline: first point, then steps."""
    parts = shapely.get_parts(outline)
    largest = parts[int(np.argmax(shapely.area(parts)))]
    points = np.rint(shapely.get_coordinates(shapely.get_exterior_ring(largest))[:-1] * TENTHS).astype(
        np.int64
    )
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 2), np.int64))
    return [int(value) for value in steps.ravel()]


def _rounded(table: pa.Table, column: str, decimals: int) -> list[float | None]:
    values = table.column(column).to_pylist()
    return [None if value is None or not np.isfinite(value) else round(value, decimals) for value in values]
