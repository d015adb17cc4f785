"""Tissue and annotations to the areas in which things are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from shapely.geometry import box

from tme.regions.raster import rasterise
from tme.regions.types import (
    CLASSES,
    COMPARTMENT_OF,
    EVALUABLE,
    SUBTRACTED,
    Annotation,
    Regions,
)
from tme.tissue.types import Mask, TissueMask
from tme.units import um_to_px


def build_regions(tissue: TissueMask, annotations: Sequence[Annotation], slide_mpp: float) -> Regions:
    """Where the slide is evaluable, and its annotated compartments.

    Necrosis and Exclude always subtract, whatever else is drawn over them. Tumor, Stroma and
    Peritumour make compartments within ``evaluable`` and do not restrict it.

    Parameters
    ----------
    tissue : TissueMask
    annotations : sequence of Annotation
    slide_mpp : float
        µm/px of level 0, in whose pixels the annotations are.
    """
    drawn = {
        name: [one.polygon for one in annotations if one.class_name == name and not one.polygon.is_empty]
        for name in CLASSES
    }
    taken = [polygon for name in SUBTRACTED for polygon in drawn[name]]
    usable = tissue.usable
    away = rasterise(taken, tissue.shape, tissue.mpp, slide_mpp)
    evaluable = usable & ~away
    compartments = {EVALUABLE: evaluable}
    free: Mask = evaluable
    for name, compartment in COMPARTMENT_OF.items():
        if drawn[name]:
            area = rasterise(drawn[name], tissue.shape, tissue.mpp, slide_mpp)
            compartments[compartment] = free & area
            free = free & ~area
    cautions = (*_cautions(annotations, tissue, slide_mpp), *_empty(compartments))
    return Regions(tissue, usable & away, compartments, cautions)


def _cautions(annotations: Sequence[Annotation], tissue: TissueMask, slide_mpp: float) -> list[str]:
    slide = box(0, 0, um_to_px(tissue.width_um, slide_mpp), um_to_px(tissue.height_um, slide_mpp))
    outside = sum(
        bool(one.class_name) and not one.polygon.is_empty and not slide.intersects(one.polygon)
        for one in annotations
    )
    cautions = [one.caution for one in annotations if one.caution]
    if outside:
        cautions.append(
            f"annotations outside the slide: {outside}; are they of another one, or not in its pixels?"
        )
    unknown = Counter(one.label for one in annotations if not one.class_name)
    for label, count in sorted(unknown.items()):
        what = f"of class {label[:60]!r}" if label else "without a class"
        cautions.append(f"annotations {what} are not used: {count}; known are {', '.join(CLASSES)}")
    return cautions


def _empty(compartments: dict[str, Mask]) -> list[str]:
    return [
        f"the annotated {name} holds no evaluable tissue"
        for name, mask in compartments.items()
        if name != EVALUABLE and not np.any(mask)
    ]
