"""``spatialdata``: a slide as one SpatialData store, ``slide.zarr``.

Outlines keep the pixels of level 0; the coordinate system ``global`` is in µm from the slide's top-left
corner, and ``pixels`` is level 0, for whoever adds the slide's own image.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tme.export.formats import FORMATS, ExportOptions
from tme.export.formats._optional import missing_package
from tme.export.formats.anndata import annotated
from tme.export.observations import ID_COLUMN, observations
from tme.export.published import PublishedSlide
from tme.store import space_guard

if TYPE_CHECKING:
    import anndata
    import geopandas

UM, PIXELS = "global", "pixels"
REGION = "region"
THUMBNAIL, TISSUE = "thumbnail", "tissue"


class SpatialStore:
    """Shapes and tables of cells and vessels, shapes of tissue and annotations, the thumbnail."""

    version = 1

    def missing(self) -> str:
        """See `tme.export.formats.Format.missing`."""
        return missing_package("spatialdata", "spatialdata")

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """See `tme.export.formats.Format.write`."""
        import spatialdata

        elements = {THUMBNAIL: _thumbnail(slide), **_tissue(slide)}
        for kind in slide.objects:
            found = observations(slide, kind)
            if len(found.obs):
                elements[kind] = _shapes(slide, slide.outlines(kind), found.obs[ID_COLUMN[kind]].to_numpy())
                elements[f"{kind}_table"] = _table(annotated(found, slide), kind)
        with space_guard(folder), warnings.catch_warnings():
            # What anndata says of its own next release is nothing a user of tme can act on.
            warnings.filterwarnings("ignore", "zarr v3 autosharding")
            spatialdata.SpatialData.init_from_elements(elements).write(folder / "slide.zarr")


def _transforms(slide: PublishedSlide, scale: tuple[float, float] = (1.0, 1.0)) -> dict[str, Any]:
    """Both coordinate systems for an element whose pixels are ``scale`` (x, y) pixels of level 0."""
    from spatialdata.transformations import Scale

    x, y = scale
    return {
        UM: Scale([x * slide.mpp, y * slide.mpp], axes=("x", "y")),
        PIXELS: Scale([x, y], axes=("x", "y")),
    }


def _thumbnail(slide: PublishedSlide) -> Any:
    from spatialdata.models import Image2DModel

    picture = slide.thumbnail()
    height, width = picture.shape[:2]
    return Image2DModel.parse(
        np.moveaxis(picture, -1, 0),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations=_transforms(slide, (slide.width_px / width, slide.height_px / height)),
    )


def _tissue(slide: PublishedSlide) -> dict[str, Any]:
    """Tissue, artefacts and annotated areas, by class; nothing where there is none."""
    regions = slide.regions()
    if not regions:
        return {}
    shapes = _shapes(slide, np.array([area for _, area in regions], object), np.arange(len(regions)))
    shapes["class"] = [name for name, _ in regions]
    return {TISSUE: shapes}


def _shapes(slide: PublishedSlide, outlines: np.ndarray, index: np.ndarray) -> geopandas.GeoDataFrame:
    import geopandas
    from spatialdata.models import ShapesModel

    frame = geopandas.GeoDataFrame(geometry=list(outlines), index=index)
    return ShapesModel.parse(frame, transformations=_transforms(slide))


def _table(data: anndata.AnnData, kind: str) -> anndata.AnnData:
    """The objects' table, each row linked to the shape whose index is its number."""
    from spatialdata.models import TableModel

    data.obs[REGION] = kind
    data.obs[REGION] = data.obs[REGION].astype("category")
    return TableModel.parse(data, region=kind, region_key=REGION, instance_key=ID_COLUMN[kind])


FORMATS.add("spatialdata", SpatialStore())
