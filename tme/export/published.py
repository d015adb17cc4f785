"""A slide as a run published it: what every export is made from, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from PIL import Image
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from tme.errors import ArtefactError, SlideError
from tme.regions.geojson import class_label, read_features
from tme.slide.types import RGB
from tme.store import is_intact, read_json, read_manifest
from tme.tables import SavedTable, read_parquet
from tme.tissue import load_mask
from tme.tissue.types import TissueMask
from tme.units import um_to_px

OBJECTS = ("cells", "vessels")
SLIDE_COLUMNS = ("patient_id", "lesion_id", "slide_id", "timepoint", "stain")


@dataclass(frozen=True, eq=False)
class PublishedSlide:
    """A finished slide's folder.

    Attributes
    ----------
    folder : Path
        ``slides/<slide_id>`` of the results.
    keys : dict
        Key and QC columns of ``slide_metrics.csv``.
    mpp : float
        µm/px of level 0.
    width_um, height_um : float
        Size of the slide.
    work_mpp : dict of str to float
        "cells", "vessels" -> µm/px they were found at; only those that were looked for.
    tissue_header : dict
        What `tme.tissue.load_mask` needs.
    """

    folder: Path
    keys: dict[str, Any]
    mpp: float
    width_um: float
    height_um: float
    work_mpp: dict[str, float]
    tissue_header: dict[str, Any]

    @property
    def slide_id(self) -> str:
        """The slide's id, a safe name for a file."""
        return self.folder.name

    @property
    def objects(self) -> tuple[str, ...]:
        """Those of `OBJECTS` the slide has a table of."""
        return tuple(kind for kind in OBJECTS if kind in self.work_mpp)

    @property
    def width_px(self) -> float:
        """Width in level-0 pixels."""
        return um_to_px(self.width_um, self.mpp)

    @property
    def height_px(self) -> float:
        """Height in level-0 pixels."""
        return um_to_px(self.height_um, self.mpp)

    def table(self, kind: str) -> pa.Table:
        """The whole table of "cells" or "vessels"."""
        return read_parquet(self.folder / f"{kind}.parquet")

    def rows(self, kind: str) -> SavedTable:
        """The same table, for reading in parts."""
        return SavedTable(self.folder / f"{kind}.parquet")

    def outlines(self, kind: str) -> np.ndarray:
        """(N,) shapely polygons of the objects in level-0 pixels, in the table's order."""
        column = read_parquet(self.folder / f"{kind}.parquet", ["geometry"]).column(0)
        return np.asarray(shapely.from_wkb(column.to_numpy()), object)

    def thumbnail(self) -> RGB:
        """(H, W, 3) uint8: the whole slide, small."""
        path = self.folder / "thumbnail.jpg"
        try:
            with Image.open(path) as image:
                return np.asarray(image, np.uint8)
        except (OSError, ValueError) as error:
            raise _unfinished(self.folder.name, f"{path.name} cannot be read: {error}"[:200]) from error

    def tissue(self) -> TissueMask:
        """Tissue and artefacts."""
        return load_mask(self.folder / "tissue.png", self.tissue_header)

    def regions(self) -> list[tuple[str, BaseGeometry]]:
        """(class, outline in level-0 pixels) of ``tissue.geojson``: tissue, artefacts and what was drawn."""
        features = read_features(self.folder / "tissue.geojson")
        return [
            (class_label(feature["properties"]), shape(feature["geometry"]))
            for feature in features
            if not shape(feature["geometry"]).is_empty
        ]


def read_published(folder: Path) -> PublishedSlide:
    """Check a slide's folder against its manifest, every byte, and open it.

    Raises
    ------
    ArtefactError
        If the slide is unfinished or was altered.
    SlideError
        If it has nothing that was measured.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise _unfinished(folder.name, "its folder has no complete manifest")
    if not is_intact(folder, thorough=True):
        raise _unfinished(folder.name, "a file of it is missing or is not the one the run wrote")
    stages = manifest.extra.get("stages", {})
    if "measurements.json" not in manifest.files or "tissue" not in stages:
        raise SlideError("nothing was measured on it", where=folder.name, fix="see its reason on index.html")
    keys = read_json(folder / "measurements.json")["keys"]
    header = stages["tissue"]["value"]
    work = {kind: float(stages[kind]["value"]["work_mpp_um"]) for kind in OBJECTS if kind in stages}
    return PublishedSlide(
        folder,
        keys,
        float(keys["mpp_um"]),
        float(header["width_um"]),
        float(header["height_um"]),
        work,
        header,
    )


def whole_px(length_um: float, mpp: float) -> int:
    """Pixels of a grid at ``mpp`` that covers ``length_um``; the last one may reach over its end."""
    return max(1, math.ceil(um_to_px(length_um, mpp) - 1e-6))


def _unfinished(slide_id: str, why: str) -> ArtefactError:
    return ArtefactError(
        "the slide is not finished",
        where=slide_id,
        why=why,
        fix="run `tme run` again; what is missing is made anew",
    )
