"""A GeoJSON geometry to a valid polygon in level-0 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from tme.errors import AnnotationError

Area: TypeAlias = Polygon | MultiPolygon
_NO_AREA = {"Point", "MultiPoint", "LineString", "MultiLineString"}


def polygon_of(geometry: Any, where: str, counts: bool) -> tuple[Area, str]:
    """The area a geometry covers.

    An outline that crosses itself is repaired by `shapely.make_valid`.

    Parameters
    ----------
    geometry : object
        The feature's ``geometry``: Polygon, MultiPolygon or a collection of them.
    where : str
        File and feature, for messages.
    counts : bool
        Whether the area takes part in the numbers. If not, a broken one is passed over.

    Returns
    -------
    (Polygon or MultiPolygon, str)
        Empty where points or lines were drawn; the caution is empty if nothing had to be done.

    Raises
    ------
    AnnotationError
        If ``counts`` and the outline is broken beyond repair.
    """
    try:
        drawn = [_polygon(rings) for rings in _polygons(geometry)]
        area = areas_of(shapely.union_all([shapely.make_valid(polygon) for polygon in drawn]))
        if drawn and area.is_empty:
            raise ValueError("it encloses no area")
    except (ValueError, TypeError, OverflowError, KeyError, shapely.errors.GEOSException) as error:
        if not counts:
            return Polygon(), ""
        raise AnnotationError(
            "the outline of this annotation is broken",
            where=where,
            why=str(error)[:200] or type(error).__name__,
            fix="draw it again in QuPath and export anew",
        ) from error
    if not counts:
        return area, ""
    if not drawn:
        return area, f"{where} is a point or a line, not an area, and is not used"
    crossed = not all(polygon.is_valid for polygon in drawn)
    return area, f"{where} has an outline that crosses itself; it was repaired" if crossed else ""


def _polygons(geometry: Any) -> Iterator[Any]:
    """The rings of every polygon in a geometry."""
    waiting = [geometry]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict):
            raise ValueError("it has no geometry")
        kind = one.get("type")
        if kind == "Polygon":
            yield one["coordinates"]
        elif kind == "MultiPolygon":
            yield from one["coordinates"]
        elif kind == "GeometryCollection":
            waiting += one["geometries"]
        elif kind not in _NO_AREA:
            raise ValueError(f"its geometry is of an unknown type, {str(kind)[:40]!r}")


def _polygon(rings: Any) -> Polygon:
    if not isinstance(rings, list) or not rings:
        raise ValueError("it has no outline")
    shell, *holes = [_ring(ring) for ring in rings]
    return Polygon(shell, holes)


def _ring(points: Any) -> NDArray[np.float64]:
    ring = np.array([point[:2] for point in points], dtype=np.float64)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(np.unique(ring, axis=0)) < 3:
        raise ValueError("an outline has fewer than three points")
    if not np.isfinite(ring).all():
        raise ValueError("an outline has a point that is no number")
    return ring


def areas_of(geometry: BaseGeometry) -> Area:
    """The polygons of a geometry; `make_valid` may leave lines and points beside them."""
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    for collection in shapely.get_parts(geometry):
        if collection.geom_type in {"MultiPolygon", "GeometryCollection"}:
            parts += [p for p in shapely.get_parts(collection) if p.geom_type == "Polygon"]
    if len(parts) == 1:
        only: Polygon = parts[0]
        return only
    return MultiPolygon(parts) if parts else Polygon()
