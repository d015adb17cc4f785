"""``anndata``: cells and vessels as ``.h5ad`` files that scanpy and squidpy open.

Squidpy's convention: ``obsm["spatial"]`` are pixels of the full-resolution image, x then y, and
``uns["spatial"][<library>]`` holds a picture and the factor from those pixels to the picture's. Distances
in µm are in ``obsm["spatial_um"]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tme import __version__
from tme.export.formats import FORMATS, ExportOptions
from tme.export.formats._optional import missing_package
from tme.export.observations import Observations, observations
from tme.export.published import OBJECTS, PublishedSlide
from tme.overlay.palette import class_colour
from tme.store import space_guard
from tme.units import um2_to_px

if TYPE_CHECKING:
    import anndata

PIXELS, UM = "spatial", "spatial_um"


class AnnotatedMatrix:
    """``cells.h5ad`` and ``vessels.h5ad``."""

    version = 1

    def missing(self) -> str:
        """See `tme.export.formats.Format.missing`."""
        return missing_package("anndata", "anndata")

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """See `tme.export.formats.Format.write`."""
        for kind in slide.objects:
            found = observations(slide, kind)
            data = annotated(found, slide)
            data.uns["spatial"] = {slide.slide_id: _library(slide, found)}
            _save(data, folder / f"{kind}.h5ad")

    def join(self, folders: Sequence[Path], target: Path) -> None:
        """See `tme.export.formats.JoinedFormat.join`; ``slide_id`` is the library key.

        A measurement that some slides lack is missing (NaN) for their objects.
        """
        import anndata

        for kind in OBJECTS:
            paths = [path for folder in folders if (path := folder / f"{kind}.h5ad").is_file()]
            if not paths:
                continue
            parts = [anndata.read_h5ad(path) for path in paths]
            whole = anndata.concat(parts, join="outer", merge="first", uns_merge="unique")
            # The outer join gives up what the parts say of each measurement in different order.
            for name in parts[0].var.columns:
                meaning = {key: text for part in parts for key, text in part.var[name].items()}
                whole.var[name] = [meaning[key] for key in whole.var_names]
            _set_colours(whole)
            _save(whole, target / f"{kind}.h5ad")


def annotated(found: Observations, slide: PublishedSlide) -> anndata.AnnData:
    """Objects of a slide with their centroids, and what the run says of the slide, without a picture."""
    import anndata

    about = {name: value for name, value in slide.keys.items() if value not in (None, "")}
    data = anndata.AnnData(
        X=found.x,
        obs=found.obs,
        var=found.var,
        obsm={PIXELS: found.pixels, UM: found.um},
        uns={"tme": {slide.slide_id: {**about, "export_version": __version__}}},
    )
    _set_colours(data)
    return data


def _set_colours(data: anndata.AnnData) -> None:
    """Colours of the classes where scanpy and squidpy look for them."""
    if "class" in data.obs:
        names = data.obs["class"].cat.categories
        data.uns["class_colors"] = [class_colour(name) for name in names]


def _library(slide: PublishedSlide, found: Observations) -> dict[str, Any]:
    picture = slide.thumbnail()
    return {
        "images": {"hires": picture},
        "scalefactors": {
            "tissue_hires_scalef": picture.shape[1] / slide.width_px,
            "spot_diameter_fullres": _diameter_px(found, slide.mpp),
        },
        "metadata": {"unit": "pixels of level 0", "mpp_um": slide.mpp},
    }


def _diameter_px(found: Observations, mpp: float) -> float:
    """Median diameter of the objects' circles of equal area, level-0 pixels; 1 where there is none."""
    if "area_um2" not in found.var.index or not len(found.x):
        return 1.0
    area = float(np.nanmedian(found.x[:, found.var.index.get_loc("area_um2")]))
    return 2 * float(np.sqrt(um2_to_px(area, mpp) / np.pi))


def _save(data: anndata.AnnData, path: Path) -> None:
    with space_guard(path):
        data.write_h5ad(path, convert_strings_to_categoricals=False, compression="gzip")


FORMATS.add("anndata", AnnotatedMatrix())
