"""The cohort's tables and pages, from the slides' folders alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from tme import __version__
from tme.cells.engines import SEGMENTERS
from tme.change import (
    Recount,
    SlideResult,
    change_columns,
    compute_changes,
    patient_columns,
    patient_rows,
)
from tme.cohort import Cohort, SlideRow
from tme.config import Config, settings_hash
from tme.dictionary import dictionary_columns, dictionary_rows
from tme.errors import ArtefactError
from tme.metrics import failed_row, from_json, slide_columns, slide_rows
from tme.overlay import write_assets
from tme.pipeline.finished import list_written
from tme.pipeline.joint_job import join_sections
from tme.pipeline.outcome import Outcome, load_outcome
from tme.pipeline.provenance import write_provenance
from tme.pipeline.publish import sheet_keys
from tme.pipeline.recount import positive_cells
from tme.pipeline.run_crate import write_crate
from tme.pipeline.versions import STAGES
from tme.report import write_batches, write_index, write_report
from tme.safety import file_sha256
from tme.stains import STAINS, Stain
from tme.store import MANIFEST, read_json
from tme.tables import write_csv

log = logging.getLogger("tme")

TABLES = ("slide_metrics.csv", "pairs.csv", "patient_metrics.csv", "data_dictionary.csv")
PAGES = ("index.html", "report/index.html", "report/batches.html")


def cohort_key(cohort: Cohort, config: Config, slide_keys: list[str]) -> str:
    """Hash of all that can change the cohort's tables and pages."""
    rows = [[sheet_keys(row), row.biopsy_date, row.extra] for row in cohort.slides]
    settings = config.model_dump(mode="json", exclude={"run": True, "change": {"repeatability"}})
    return settings_hash([slide_keys, rows, settings, dict(STAGES), __version__])


def cohort_is_done(results: Path, key: str) -> bool:
    """Whether the tables and pages in ``results`` are whole and were made under ``key``."""
    try:
        manifest = read_json(results / MANIFEST)
        return bool(manifest["key"] == key) and all(
            (results / name).is_file() and file_sha256(results / name) == digest
            for name, digest in manifest["files"].items()
        )
    except (ArtefactError, TypeError, KeyError, AttributeError):
        # Missing or damaged: made anew.
        return False


def run_cohort(cohort: Cohort, config: Config, results: Path, key: str) -> None:
    """Write every table and page; every slide of the sheet has a row whatever became of it."""
    slides = [_result(row, config, results) for row in cohort.slides]
    slides = join_sections(slides, cohort, config, results)
    _write_tables(slides, cohort, config, results)
    write_assets(results)
    write_index(results, [_outcome(row, results) for row in cohort.slides])
    write_batches(results)
    # The report's methods name the versions.
    write_provenance(results, config)
    write_report(results, config)
    keys = [slide.measurements.keys if slide.measurements else slide.keys for slide in slides]
    files = {name: file_sha256(results / name) for name in (*TABLES, *PAGES)}
    write_crate(results, files, keys, SEGMENTERS.get(config.cells.engine).licence)
    list_written(results, key, files)
    log.info("wrote %s", ", ".join((*TABLES, *PAGES)))


def _result(row: SlideRow, config: Config, results: Path) -> SlideResult:
    folder = results / "slides" / row.slide_id
    outcome = load_outcome(folder) or _lost(row)
    keys: dict[str, Any] = {
        **sheet_keys(row),
        "status": outcome.status,
        "reason": outcome.reason,
        "caution": "; ".join(outcome.cautions),
        "config_sha256": config.sha256(),
        "code_version": __version__,
    }
    measured = folder / "measurements.json"
    measurements = from_json(read_json(measured)) if measured.is_file() else None
    if measurements is not None:
        # The sheet and the settings of this run, should they have changed in what no number depends on.
        measurements = replace(measurements, keys={**measurements.keys, **keys})
    return SlideResult(
        keys,
        measurements,
        outcome.status,
        outcome.reason,
        row.biopsy_date,
        _recount(folder / "cells.parquet", STAINS.get(row.stain)),
    )


def _recount(table: Path, stain: Stain) -> Callable[[str, float], Recount] | None:
    return partial(positive_cells, table, stain) if stain.kind == "dab" and table.is_file() else None


def _lost(row: SlideRow) -> Outcome:
    return Outcome(
        row.slide_id,
        "failed",
        "",
        "the slide has no outcome",
        row.path.name,
        "its job never ended",
        "run `tme run` again",
    )


def _write_tables(slides: list[SlideResult], cohort: Cohort, config: Config, results: Path) -> None:
    rows: list[dict[str, Any]] = []
    # The user's own columns stand behind tme's; one that clashes gives way.
    own = slide_columns([name for row in cohort.slides for name in row.extra])
    for slide, row in zip(slides, cohort.slides, strict=True):
        extra = {name: text for name, text in row.extra.items() if name in own[len(slide_columns()) :]}
        if slide.measurements is None:
            rows.append({**extra, **failed_row(slide.keys, slide.status, slide.reason)})
        else:
            rows += [{**extra, **found} for found in slide_rows(slide.measurements)]
    write_csv(results / "slide_metrics.csv", own, rows)
    changes = compute_changes(slides, cohort.timepoints, config.change)
    write_csv(results / "pairs.csv", change_columns(), [change.row() for change in changes])
    patients = patient_rows(changes, cohort.patients(), config)
    write_csv(results / "patient_metrics.csv", patient_columns(patients), patients)
    write_csv(results / "data_dictionary.csv", dictionary_columns(), dictionary_rows())


def _outcome(row: SlideRow, results: Path) -> dict[str, Any]:
    outcome = load_outcome(results / "slides" / row.slide_id) or _lost(row)
    return {**asdict(outcome), "reason": outcome.reason}
