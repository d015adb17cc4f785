"""Labels as a user draws them -> nuclei: outlines or points of QuPath, or a label mask.

In: a file beside an image. Out: `Drawn` (outlines and points, in pixels of the image) or a label map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LinearRing
from skimage.draw import polygon

from tme.errors import AnnotationError
from tme.learn.field import UNKNOWN
from tme.regions.geojson import class_label, dictionary, read_features
from tme.regions.outline import Area, polygon_of
from tme.safety import comparison_key

LYMPHOCYTE_NAMES = (
    *("Lymphocyte", "Lymphocytes", "Immune cell", "Immune cells", "TIL", "TILs"),
    *("Plasma", "Plasma cell", "Plasma cells"),
)
NO_CLASS = {
    *("", "nucleus", "nuclei", "cell", "cells", "unknown", "unlabelled", "unlabeled", "unclassified"),
    # What QuPath calls cells by their stain says nothing about their kind.
    *("positive", "negative", "1+", "2+", "3+"),
}
REGION = ("region",)
NOT_KNOWN = ("exclude", "ignore")
NO_NUCLEI = {"tile", "tmacore", "root", "pathtileobject", "tmacoreobject", "pathrootobject"}


@dataclass(eq=False)
class Drawn:
    """What was drawn on an image, in its pixels.

    Attributes
    ----------
    outlines : list of Polygon or MultiPolygon
        Of nuclei.
    kinds : list of float
        Of each outline: 1 lymphocyte, 0 another nucleus, NaN unknown.
    points, point_kinds : list
        Nuclei of which only a point was set.
    regions : list of area
        Where labels hold; empty: everywhere.
    unknown : list of area
        Where they do not.
    """

    outlines: list[Area] = field(default_factory=list)
    kinds: list[float] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    point_kinds: list[float] = field(default_factory=list)
    regions: list[Area] = field(default_factory=list)
    unknown: list[Area] = field(default_factory=list)


@dataclass(frozen=True)
class Names:
    """Class names that mean a lymphocyte, as compared."""

    lymphocyte: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """From names as a user writes them."""
        return cls(frozenset(comparison_key(name) for name in names))

    def kind(self, label: str) -> float:
        """1 lymphocyte, 0 another nucleus, NaN where the name says nothing.

        A derived class ("Immune cells: CD8") counts as its base, unless it is named itself.
        """
        whole, base = comparison_key(label), _base(label)
        if whole in self.lymphocyte or base in self.lymphocyte:
            return 1.0
        return float(UNKNOWN) if base in NO_CLASS else 0.0


def _base(label: str) -> str:
    return comparison_key(label.split(":")[0])


def read_drawn(path: Path, names: Names) -> Drawn:
    """Read QuPath's objects.

    Cells count by the outline of their nucleus where they have one; annotations of class ``Region`` (or
    ``Region*``) say where everything is labelled, ``Exclude`` and ``Ignore`` where nothing is known.

    Raises
    ------
    AnnotationError
        If the file is not GeoJSON, an outline is broken, or there is no nucleus.
    """
    drawn = Drawn()
    for number, feature in enumerate(read_features(path), 1):
        properties = dictionary(feature.get("properties"))
        kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
        if str(kind).casefold() in NO_NUCLEI:
            continue
        _take(drawn, feature, class_label(properties), names, f"{path.name}: feature {number}")
    if not drawn.outlines and not drawn.points:
        raise AnnotationError(
            "there is no nucleus in it",
            where=path.name,
            why="neither outlines nor points of nuclei were exported",
            fix="export all objects, cells and detections too",
        )
    if drawn.outlines and drawn.points:
        raise AnnotationError(
            "some nuclei have outlines and some only points",
            where=path.name,
            why=f"{len(drawn.outlines)} outlines and {len(drawn.points)} points are labels of two kinds",
            fix="keep one kind a file",
        )
    return drawn


def _take(drawn: Drawn, feature: dict[str, Any], label: str, names: Names, where: str) -> None:
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    if dictionary(geometry).get("type") in {"Point", "MultiPoint"}:
        _take_points(drawn, dictionary(geometry), names.kind(label), where)
        return
    outline, _ = polygon_of(geometry, where, counts=True)
    if outline.is_empty:
        return
    base = _base(label).rstrip("*")
    if base in REGION:
        drawn.regions.append(outline)
    elif base in NOT_KNOWN:
        drawn.unknown.append(outline)
    else:
        drawn.outlines.append(outline)
        drawn.kinds.append(names.kind(label))


def _take_points(drawn: Drawn, geometry: dict[str, Any], kind: float, where: str) -> None:
    spots = geometry.get("coordinates")
    try:
        given = np.asarray(spots, np.float64)
        spots = given.reshape(-1, given.shape[-1])[:, :2]
        if spots.shape[1] != 2 or not np.isfinite(spots).all():
            raise ValueError("it is not two numbers")
    except (ValueError, TypeError, IndexError) as error:
        raise AnnotationError(
            "a point is no place", where=where, why=str(error)[:120], fix="set it again in QuPath"
        ) from error
    drawn.points += [(float(x), float(y)) for x, y in spots]
    drawn.point_kinds += [kind] * len(spots)


def painted(areas: Iterable[Area], shape: tuple[int, int], numbers: Iterable[int]) -> NDArray[np.int32]:
    """(H, W) int32 of areas by number, 0 elsewhere; a pixel belongs to the area that holds its centre.

    Larger ones are painted first, so that a nucleus drawn on another one stays whole.
    """
    out = np.zeros(shape, np.int32)
    for area, number in sorted(zip(areas, numbers, strict=True), key=lambda pair: -pair[0].area):
        for part in shapely.get_parts(area):
            below = out.copy() if part.interiors else out
            out[_inside(part.exterior, shape)] = number
            for hole in part.interiors:
                pixels = _inside(hole, shape)
                out[pixels] = below[pixels]
    return out


def _inside(ring: LinearRing, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    x, y = shapely.get_coordinates(ring).T
    rows, columns = polygon(y - 0.5, x - 0.5, shape)
    return rows, columns
