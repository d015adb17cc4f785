"""``qupath``: everything of a slide that QuPath can show, as GeoJSON for drag and drop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tme.export.formats import FORMATS, ExportOptions
from tme.export.published import PublishedSlide
from tme.export.qupath import write_cells_geojson, write_vessels_geojson
from tme.store import link_or_copy
from tme.tables import SavedTable

WRITERS: dict[str, Callable[[Path, SavedTable, str], None]] = {
    "cells": write_cells_geojson,
    "vessels": write_vessels_geojson,
}


class QuPathObjects:
    """``cells.geojson.gz`` and ``vessels.geojson.gz`` (detections), ``tissue.geojson`` (annotations)."""

    version = 1

    def missing(self) -> str:
        """See `tme.export.formats.Format.missing`."""
        return ""

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """See `tme.export.formats.Format.write`; made anew from the tables, not copied."""
        for kind in slide.objects:
            WRITERS[kind](folder / f"{kind}.geojson.gz", slide.rows(kind), slide.slide_id)
        link_or_copy(slide.folder / "tissue.geojson", folder / "tissue.geojson")


FORMATS.add("qupath", QuPathObjects())
