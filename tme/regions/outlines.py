"""Tissue, artefacts and exclusions as GeoJSON annotations that QuPath shows."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import shapely
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from tme.regions.outline import areas_of
from tme.regions.types import Regions
from tme.tissue.types import ARTEFACTS, Mask, TissueMask
from tme.units import px_to_um, um_to_px

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tme:tissue")
COORDINATE_DECIMALS = 2
_TISSUE_COLOUR = (0, 158, 115)
_ARTEFACT_COLOUR = (213, 94, 0)
_EXCLUDED_COLOUR = (86, 86, 86)


def tissue_geojson(tissue: TissueMask, regions: Regions | None, slide_mpp: float) -> dict[str, Any]:
    """FeatureCollection of annotations: tissue, artefacts by kind, and what was excluded.

    One feature each, classes ``Tissue``, ``Artefact: pen`` and so on, in level-0 pixels; ids are
    UUIDv5 of class and outline. `read_annotations` passes these classes over, so a pathologist may
    export them along with the annotations drawn by hand.

    Parameters
    ----------
    tissue : TissueMask
    regions : Regions or None
        None for a slide nothing was counted on.
    slide_mpp : float
        µm/px of level 0.
    """
    layers: list[tuple[tuple[str, ...], Mask, tuple[int, int, int]]]
    layers = [(("Tissue",), tissue.tissue, _TISSUE_COLOUR)]
    layers += [(("Artefact", kind), tissue.artefact(kind), _ARTEFACT_COLOUR) for kind in ARTEFACTS]
    if regions is not None:
        layers += [(("Artefact", "excluded"), regions.excluded, _EXCLUDED_COLOUR)]
    features = [
        _feature(names, mask_outline(mask, tissue, slide_mpp), colour)
        for names, mask, colour in layers
        if mask.any()
    ]
    return {"type": "FeatureCollection", "features": features}


def mask_outline(mask: Mask, tissue: TissueMask, slide_mpp: float) -> BaseGeometry:
    """Outline of an (H, W) bool mask along the edges of its pixels, in level-0 px, clipped to the slide.

    Stairs are smoothed by at most half a mask pixel.
    """
    runs = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(runs == 1)
    _, end = np.nonzero(runs == -1)
    merged = shapely.union_all(shapely.box(start, row, end, row + 1))
    smooth = shapely.make_valid(shapely.simplify(merged, 0.5))
    scale = um_to_px(px_to_um(1.0, tissue.mpp), slide_mpp)
    outline = shapely.transform(smooth, lambda points: points * scale)
    slide = box(0, 0, um_to_px(tissue.width_um, slide_mpp), um_to_px(tissue.height_um, slide_mpp))
    clipped = shapely.set_precision(shapely.intersection(outline, slide), 10.0**-COORDINATE_DECIMALS)
    return shapely.transform(areas_of(clipped), lambda points: np.round(points, COORDINATE_DECIMALS))


def _feature(names: tuple[str, ...], outline: BaseGeometry, colour: tuple[int, int, int]) -> dict[str, Any]:
    title = ": ".join(names)
    mark = uuid.uuid5(NAMESPACE, title + shapely.to_wkb(outline, hex=True, byte_order=1))
    named: dict[str, Any] = {"name": names[0]} if len(names) == 1 else {"names": list(names)}
    return {
        "type": "Feature",
        "id": str(mark),
        "geometry": mapping(outline),
        "properties": {
            "objectType": "annotation",
            "classification": {**named, "color": list(colour)},
            "name": title,
            "isLocked": True,
        },
    }
