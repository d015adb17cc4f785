"""`tme check`: every problem of the sheet and of every slide, at once, before any compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tme.change import check_names
from tme.cohort import SlideRow
from tme.config import Config, load_config
from tme.errors import AnnotationError, ConfigError, EngineError, Problem, SlideError
from tme.pipeline.inputs import (
    check_engine,
    checked_sha256,
    frozen_threshold,
    read_run_cohort,
    slide_annotations,
)
from tme.slide.pool import preflight_many
from tme.slide.preflight import Preflight
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
    check_names(config.change, config.outcomes.family)
    reading = read_run_cohort(sheet, config)
    rows = reading.slides()
    # A sheet with problems is looked through all the same, so that they are mended in one go.
    stopping = (*reading.problems, *_engine_problems(rows, config))
    for problem in (*stopping, *reading.cohort.notes):
        say(f"{problem.severity}: {problem}")
    bad = _check_slides(rows, config, cores, say)
    if rows:
        say(f"{len(rows)} slides checked, {bad} cannot be used")
    if stopping:
        say(f"problems of the sheet or the settings: {len(stopping)}; nothing runs until they are mended")
        return 2
    return 3 if bad else 0


def _engine_problems(rows: Sequence[SlideRow], config: Config) -> tuple[Problem, ...]:
    try:
        check_engine(rows, config)
    except (EngineError, ConfigError) as error:
        return error.problems
    return ()


def _check_slides(rows: Sequence[SlideRow], config: Config, cores: int, say: Say) -> int:
    """Say what is found of every slide; how many cannot be used."""
    jobs = [(row.path, row.mpp, STAINS.get(row.stain).targets[0]) for row in rows]
    bad = 0
    for row, found in zip(rows, preflight_many(jobs, workers=cores), strict=True):
        problems = [*found.problems, *_beside(row, config, found)]
        errors = [problem for problem in problems if problem.severity == "error"]
        bad += bool(errors)
        for problem in problems:
            say(f"{problem.severity}: row {row.sheet_row} {row.slide_id}: {problem}")
        if found.info is not None and not errors:
            info = found.info
            say(
                f"ok: row {row.sheet_row} {row.slide_id}: {info.width} x {info.height} px,"
                f" {info.mpp:.4g} µm/px ({info.mpp_source}), {len(info.levels)} levels, {info.backend}"
            )
    return bad


def _beside(row: SlideRow, config: Config, found: Preflight) -> list[Problem]:
    """What a run would find of the slide's annotations, calibration, and hash where one is expected."""
    problems: list[Problem] = []
    frozen = frozen_threshold(row, config)
    if frozen is not None and frozen.note:
        problems.append(Problem("stain.calibration", frozen.note, severity="caution"))
    try:
        slide_annotations(row, config)
        if row.sha256 and found.ok:
            checked_sha256(row)
    except (AnnotationError, SlideError) as error:
        problems += error.problems
    return problems
