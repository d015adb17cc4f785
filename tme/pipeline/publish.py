"""What a slide's job leaves behind: one folder, whole or not at all."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tme import __version__
from tme.cells.types import CELL_SCHEMA, Cells
from tme.cohort import SlideRow
from tme.config import Config
from tme.export.qupath import write_cells_geojson, write_vessels_geojson
from tme.metrics import Measurements, mark_hotspots, to_json
from tme.overlay import read_overview, write_overlay, write_thumbnail
from tme.pipeline.headline import headline
from tme.pipeline.outcome import Outcome
from tme.pipeline.source import TravellingSlide
from tme.pipeline.stage_store import StageStore
from tme.regions import Regions, tissue_geojson
from tme.regions.walls import make_walls
from tme.stains import StainProfile
from tme.store import new_artefact, write_json
from tme.tables import ROW_GROUP, SavedTable, write_parquet, write_slices
from tme.tissue import quality
from tme.tissue.types import TissueMask
from tme.vessels.types import Vessels

log = logging.getLogger("tme")


@dataclass(frozen=True)
class Findings:
    """All that is known of a slide at the end of its job; what was not reached is None."""

    slide: TravellingSlide
    tissue: TissueMask
    outcome: Outcome
    profile: StainProfile | None = None
    cells: Cells | None = None
    vessels: Vessels | None = None
    regions: Regions | None = None
    measurements: Measurements | None = None


def publish_empty(folder: Path, key: str, inputs: dict[str, Any], outcome: Outcome) -> Outcome:
    """A folder with an outcome and nothing else."""
    with new_artefact(folder, key, inputs, {"outcome": _plain(outcome), "stages": {}}):
        pass
    outcome.save(folder)
    return outcome


def publish(
    folder: Path,
    row: SlideRow,
    config: Config,
    key: str,
    inputs: dict[str, Any],
    store: StageStore,
    found: Findings,
) -> Outcome:
    """Write the slide's folder: stage files, tables with compartments, exports and the overlay page."""
    started = time.monotonic()
    extra = {"outcome": _plain(found.outcome), "stages": store.done}
    with new_artefact(folder, key, inputs, extra) as target:
        store.collect(target)
        _write_pictures(target, row, config, found)
        _write_tables(target, row.slide_id, found)
        write_json(target / "qc.json", _quality(found))
    store.clear()
    log.info("%s: pages and tables took %.1f s", folder.name, time.monotonic() - started)
    found.outcome.save(folder)
    return found.outcome


def slide_keys(
    row: SlideRow,
    slide: TravellingSlide,
    cells: Cells | None,
    vessels: Vessels | None,
    config: Config,
    outcome: Outcome,
) -> dict[str, Any]:
    """Key and QC columns of slide_metrics.csv that come from the sheet, the header and the engines."""
    engine = (cells or vessels).provenance if cells or vessels else {}  # type: ignore[union-attr]
    return {
        **sheet_keys(row),
        "mpp_um": slide.info.mpp,
        "mpp_source": slide.info.mpp_source,
        "work_mpp_um": engine.get("work_mpp_um"),
        "status": outcome.status,
        "reason": outcome.reason,
        "caution": "; ".join(outcome.cautions),
        "slide_sha256": slide.source.content,
        "config_sha256": config.sha256(),
        "code_version": __version__,
        "model_id": engine.get("model_id"),
        "model_sha256": engine.get("model_sha256") or None,
    }


def sheet_keys(row: SlideRow) -> dict[str, Any]:
    """Key columns a slide has whatever becomes of it."""
    return {
        "patient_id": row.patient_id,
        "lesion_id": row.lesion_id or None,
        "specimen_id": row.specimen_id or None,
        "block_id": row.block_id or None,
        "slide_id": row.slide_id,
        "timepoint": row.timepoint,
        "biopsy_day": row.biopsy_day,
        "stain": row.stain,
        "specimen_type": row.specimen_type or None,
        "batch": row.batch or None,
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "cautions": list(outcome.cautions)}


def _write_pictures(target: Path, row: SlideRow, config: Config, found: Findings) -> None:
    overview = read_overview(found.slide)
    write_thumbnail(target / "thumbnail.jpg", overview)
    regions = found.regions
    write_json(target / "tissue.geojson", tissue_geojson(found.tissue, regions, found.slide.info.mpp))
    write_overlay(
        target / "overlay",
        found.slide,
        found.tissue,
        {**regions.compartments, "exclude": regions.excluded} if regions else {},
        found.cells.table if found.cells else None,
        found.vessels.table if found.vessels else None,
        title={
            "slide_id": row.slide_id,
            "patient": row.patient_id,
            "timepoint": row.timepoint,
            "stain": row.stain,
        },
        summary=headline(found.measurements) if found.measurements else [("Outcome", found.outcome.what)],
        cautions=list(found.outcome.cautions),
        settings=config.overlay,
        profile=found.profile,
        overview=overview,
    )


def _write_tables(target: Path, slide_id: str, found: Findings) -> None:
    if found.measurements is not None:
        write_json(target / "measurements.json", to_json(found.measurements))
    if found.cells is not None:
        (target / "cells.parquet").unlink()
        batches = found.cells.table.to_batches(max_chunksize=ROW_GROUP)
        slices = (_placed(pa.Table.from_batches([batch]), found.regions) for batch in batches)
        write_slices(target / "cells.parquet", CELL_SCHEMA, slices)
        write_cells_geojson(target / "cells.geojson.gz", SavedTable(target / "cells.parquet"), slide_id)
    if found.vessels is not None:
        table = found.vessels.table
        if found.regions is not None:
            walls = make_walls(table, found.slide.info.mpp, found.tissue)
            table = _named(table, found.regions.compartment_of(walls))
        if found.measurements is not None:
            table = mark_hotspots(table, found.measurements)
        (target / "vessels.parquet").unlink()
        write_parquet(target / "vessels.parquet", table, ["geometry"])
        write_vessels_geojson(target / "vessels.geojson.gz", table, slide_id)


def _placed(table: pa.Table, regions: Regions | None) -> pa.Table:
    """The table with each cell's compartment."""
    if regions is None:
        return table
    names = regions.compartment_at(table["x_um"].to_numpy(), table["y_um"].to_numpy())
    return _named(table, names)


def _named(table: pa.Table, names: NDArray[np.object_]) -> pa.Table:
    index = table.schema.get_field_index("compartment")
    return table.set_column(index, "compartment", pa.array(names, pa.string()))


def _quality(found: Findings) -> dict[str, Any]:
    evaluable = found.regions.evaluable if found.regions else None
    report = quality(found.tissue, evaluable)
    if found.profile is not None:
        report["stain"] = asdict(found.profile)
    return report
