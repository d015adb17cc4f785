"""Images with their labels -> fields to learn from; every problem of every file, at once.

A field is a whole image, or each ``Region`` drawn on it with what surrounds it: the surroundings are
seen and teach nothing.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from tme.cells.stage import COARSEST_MPP
from tme.errors import AnnotationError, Problem, SheetError, SlideError, TmeError
from tme.geometry import Box
from tme.learn.field import Field, centroids, from_points
from tme.learn.labels import Drawn, Names, painted, read_drawn
from tme.learn.masks import read_kinds, read_mask
from tme.learn.sources import Source, Sources
from tme.regions.outline import Area, areas_of
from tme.slide.open import open_slide
from tme.slide.types import RGB, Slide

FINEST_MPP = 0.25
CONTEXT_UM = 32.0
LARGEST_PIXELS = 36_000_000
LEAST_SIDE_UM = 16.0
LARGEST_NUCLEUS_UM2 = 1000.0
DATASET = "own"


@dataclass(frozen=True)
class LabelRule:
    """How labels are understood.

    Attributes
    ----------
    names : Names
        Classes that are lymphocytes.
    complete : bool
        Whether every nucleus where labels hold is labelled.
    """

    names: Names
    complete: bool = True


def read_fields(sources: Sources, rule: LabelRule) -> list[Field]:
    """Every field of every image.

    Raises
    ------
    SheetError
        With the problems of every file, or if there is nothing to read.
    """
    fields: list[Field] = []
    problems = list(sources.problems)
    for source in sources.found:
        try:
            fields += _fields_of(source, rule)
        except TmeError as error:
            problems += error.problems
    if not fields and not problems:
        problems.append(
            Problem(
                "fields", "there is no image", "nothing can be learned", "name a folder of labelled images"
            )
        )
    if problems:
        raise SheetError(problems[0].what, problems=tuple(problems))
    return fields


def _fields_of(source: Source, rule: LabelRule) -> list[Field]:
    with closing(open_slide(source.image, source.mpp)) as slide:
        if slide.info.mpp > COARSEST_MPP:
            raise SlideError(
                f"{slide.info.mpp:.3f} µm/px is too coarse to tell cells apart",
                where=source.image.name,
                why=f"the limit is {COARSEST_MPP} µm/px",
                fix="take the field at 20x or more",
            )
        if source.labels.name.casefold().endswith((".geojson", ".geojson.gz")):
            drawn = read_drawn(source.labels, rule.names)
            _check_sizes(drawn, slide.info.mpp, source)
            return _drawn_fields(slide, drawn, source, rule)
        return [_masked_field(slide, source, rule)]


def _check_sizes(drawn: Drawn, mpp: float, source: Source) -> None:
    """Refuse areas that cannot be nuclei: taken for one, they would teach nonsense."""
    large = [area for area in drawn.outlines if area.area * mpp**2 > LARGEST_NUCLEUS_UM2]
    if large:
        raise AnnotationError(
            f"{len(large)} outlines are larger than any nucleus",
            where=source.labels.name,
            why=f"the first has {large[0].area * mpp**2:.0f} µm² at {mpp:.3g} µm/px",
            fix="give areas where everything is labelled the class Region, take others out, or mend --mpp",
        )


def _masked_field(slide: Slide, source: Source, rule: LabelRule) -> Field:
    info = slide.info
    labels = read_mask(source.labels, (info.height, info.width))
    present = np.unique(labels[labels > 0])
    kinds = read_kinds(source.classes, present, rule.names)
    rgb, mpp = _pixels(slide, Box(0, 0, info.height, info.width), source)
    height, width = rgb.shape[:2]
    if (height, width) != labels.shape:
        labels = cv2.resize(labels.astype(np.float64), (width, height), interpolation=cv2.INTER_NEAREST)
        labels = np.asarray(labels, np.int32)
    return _field(source, source.image.name, rgb, mpp, _numbered(labels, present, kinds), rule)


def _numbered(
    labels: NDArray[np.int32], present: NDArray[np.int32], kinds: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels as 1..n without those that have no pixel left, and the kinds of the rest."""
    left = np.isin(present, labels)
    number = np.zeros(int(present.max(initial=0)) + 1, np.int32)
    number[present[left]] = np.arange(1, left.sum() + 1, dtype=np.int32)
    out = np.where(labels > 0, number[np.maximum(labels, 0)], np.minimum(labels, 0))
    return out.astype(np.int32), kinds[left]


def _field(
    source: Source,
    name: str,
    rgb: RGB,
    mpp: float,
    labelled: tuple[NDArray[np.int32], NDArray[np.float32]],
    rule: LabelRule,
) -> Field:
    labels, kinds = labelled
    certain = np.isfinite(kinds).astype(np.float32)
    spots = centroids(labels, len(kinds))
    return Field(name, DATASET, source.patient, rgb, mpp, spots, labels, kinds, certain, rule.complete)


def _drawn_fields(slide: Slide, drawn: Drawn, source: Source, rule: LabelRule) -> list[Field]:
    info = slide.info
    whole = shapely.box(0, 0, info.width, info.height)
    regions = [areas_of(shapely.intersection(region, whole)) for region in drawn.regions] or [whole]
    fields = []
    for number, region in enumerate(regions, 1):
        name = source.image.name + (f" region {number}" if drawn.regions else "")
        if region.is_empty or min(_sides(region)) * info.mpp < LEAST_SIDE_UM:
            raise AnnotationError(
                f"region {number} lies outside the image or is smaller than {LEAST_SIDE_UM:.0f} µm",
                where=source.labels.name,
                why=f"the image has {info.width} x {info.height} px",
                fix="export from the image itself, at full resolution",
            )
        make = _outlined_field if drawn.outlines else _dotted_field
        fields.append(make(slide, drawn, region, source, name, rule))
    if not any(len(field.centres) for field in fields):
        raise AnnotationError(
            "no nucleus lies inside the image or its regions",
            where=source.labels.name,
            why=f"the image has {info.width} x {info.height} px",
            fix="export from the image itself, at full resolution",
        )
    return fields


def _sides(area: Area) -> tuple[float, float]:
    left, top, right, bottom = area.bounds
    return right - left, bottom - top


def _outlined_field(
    slide: Slide, drawn: Drawn, region: Area, source: Source, name: str, rule: LabelRule
) -> Field:
    info = slide.info
    box = _around(region.bounds).grow(math.ceil(CONTEXT_UM / info.mpp)).clip(info.width, info.height)
    rgb, mpp = _pixels(slide, box, source)
    known_area = areas_of(shapely.difference(region, shapely.union_all(drawn.unknown)))
    inside = np.asarray(shapely.contains(known_area, shapely.centroid(np.array(drawn.outlines, object))))
    chosen = [_moved(drawn.outlines[k], box, info.mpp / mpp) for k in np.flatnonzero(inside)]
    kinds = np.array(drawn.kinds, np.float32)[inside]
    labels = painted(chosen, rgb.shape[:2], range(1, len(chosen) + 1))
    known = painted([_moved(known_area, box, info.mpp / mpp)], rgb.shape[:2], [1])
    labels = np.where((labels == 0) & (known == 0), -1, labels).astype(np.int32)
    present = np.arange(1, len(chosen) + 1, dtype=np.int32)
    return _field(source, name, rgb, mpp, _numbered(labels, present, kinds), rule)


def _dotted_field(
    slide: Slide, drawn: Drawn, region: Area, source: Source, name: str, rule: LabelRule
) -> Field:
    """Points alone cannot say where nobody knows: of a region that is no rectangle they are not all."""
    box = _around(region.bounds)
    rgb, mpp = _pixels(slide, box, source)
    known = areas_of(shapely.difference(region, shapely.union_all(drawn.unknown)))
    spots = np.array(drawn.points, np.float64)
    inside = shapely.contains_xy(known, spots[:, 0], spots[:, 1])
    scale = slide.info.mpp / mpp
    centres = ((spots[inside] - np.array([box.x0, box.y0])) * scale).astype(np.float32)
    kinds = np.array(drawn.point_kinds, np.float32)[inside]
    filled = known.area >= 0.99 * _sides(region)[0] * _sides(region)[1]
    return from_points(name, DATASET, source.patient, rgb, mpp, centres, kinds, rule.complete and filled)


def _around(bounds: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = bounds
    return Box(math.floor(top), math.floor(left), math.ceil(bottom), math.ceil(right))


def _moved(area: Area, box: Box, scale: float) -> Area:
    return areas_of(shapely.transform(area, lambda points: (points - np.array([box.x0, box.y0])) * scale))


def _pixels(slide: Slide, box: Box, source: Source) -> tuple[RGB, float]:
    """A box of level 0 as it is, or at `FINEST_MPP` where it is finer; and its µm/px."""
    if box.width * box.height * min(1.0, slide.info.mpp / FINEST_MPP) ** 2 > LARGEST_PIXELS:
        raise AnnotationError(
            f"{box.width} x {box.height} px are too many for one field",
            where=source.image.name,
            why="a field is what somebody has labelled nucleus by nucleus",
            fix="draw annotations of class Region around what is labelled and export again",
        )
    rgb = slide.read(box.x0, box.y0, box.width, box.height, slide.info.mpp)
    scale = slide.info.mpp / FINEST_MPP
    if scale >= 1:
        return rgb, slide.info.mpp
    size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    # Rounding to whole pixels must not bend the resolution: sides come first, µm/px follows from them.
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), slide.info.mpp * box.width / size[0]
