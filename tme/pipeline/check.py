"""`tme check`: every problem of the sheet and of every slide, at once, before any compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tme.change import check_names
from tme.cohort import SlideRow
from tme.config import load_config
from tme.errors import Problem
from tme.pipeline.inputs import check_engine, load_run_cohort
from tme.slide.pool import preflight_many
from tme.stains import STAINS

Say = Callable[[str], None]


def check_sheet(sheet: Path, config_file: Path | None, cores: int, say: Say) -> int:
    """Print problems, cautions and notes.

    Returns
    -------
    int
        0 nothing stands in the way, 2 the sheet or the settings do, 3 some slides do.
    """
    config = load_config(config_file)
    check_names(config.change)
    cohort = load_run_cohort(sheet, config)
    check_engine(cohort, config)
    for note in cohort.notes:
        say(f"{note.severity}: {note}")
    rows = cohort.included()
    jobs = [(row.path, row.mpp, STAINS.get(row.stain).targets[0]) for row in rows]
    bad = 0
    for row, found in zip(rows, preflight_many(jobs, workers=cores), strict=True):
        errors = [problem for problem in found.problems if problem.severity == "error"]
        bad += bool(errors)
        for problem in found.problems:
            say(f"{problem.severity}: {_located(row, problem)}")
        if found.info is not None and not errors:
            info = found.info
            say(
                f"ok: row {row.sheet_row} {row.slide_id}: {info.width} x {info.height} px,"
                f" {info.mpp:.4g} µm/px ({info.mpp_source}), {len(info.levels)} levels, {info.backend}"
            )
    say(f"{len(rows)} slides checked, {bad} cannot be used")
    return 3 if bad else 0


def _located(row: SlideRow, problem: Problem) -> str:
    return f"row {row.sheet_row} {row.slide_id}: {problem}"
