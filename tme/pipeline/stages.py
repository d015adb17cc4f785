"""The two commands behind the workflow's rules: slides of one batch, and the cohort."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tme.config import Config, load_config
from tme.errors import SpaceError
from tme.locks import job_lock
from tme.pipeline.batch_job import run_batch
from tme.pipeline.cohort_job import cohort_key, run_cohort
from tme.pipeline.drive import STOP_FILE
from tme.pipeline.inputs import load_run_cohort
from tme.pipeline.plan import make_plan
from tme.slide.hashing import fingerprint
from tme.store import write_json


def stage_slides(
    slides: list[str], sheet: Path, output: Path, config_file: Path | None, workers: int
) -> None:
    """Bring these slides of the sheet to their ``outcome.json``."""
    config = load_config(config_file)
    overrides = {"workers": max(workers, config.run.workers)}
    config = config.model_copy(update={"run": config.run.model_copy(update=overrides)})
    cohort = load_run_cohort(sheet, config, by_content=False)
    with job_lock(output), _stop_told(output):
        run_batch(cohort, config, output, slides)


def stage_cohort(sheet: Path, output: Path, config_file: Path | None) -> None:
    """Write the cohort's tables and pages."""
    config: Config = load_config(config_file)
    cohort = load_run_cohort(sheet, config, by_content=False)
    with job_lock(output), _stop_told(output):
        plan = make_plan(cohort, config, output, fingerprint)
        run_cohort(cohort, config, output, cohort_key(cohort, config, [slide.key for slide in plan.slides]))


@contextmanager
def _stop_told(output: Path) -> Iterator[None]:
    """Leave word for `tme run` when the disk is full, since a rule's exit code does not reach it."""
    try:
        yield
    except SpaceError as error:
        stop = {"exit_code": error.exit_code, "message": f"tme: {error}"}
        write_json(output / "logs" / STOP_FILE, stop)
        raise
