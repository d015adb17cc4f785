"""The slides of one batch, one after another, each in a child process of its own.

A child that crashes, is killed or runs out of memory takes nobody with it: its slide gets a failed
outcome that says so, and the next slide starts from a clean process.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tme.cohort import Cohort
from tme.config import Config, settings_hash
from tme.errors import ConfigError, Problem, SpaceError
from tme.pipeline.outcome import OUTCOME, failed, guarded, load_outcome
from tme.pipeline.plan import key_inputs
from tme.pipeline.slide_job import SlideJob, run_slide
from tme.slide.hashing import fingerprint
from tme.store import is_intact, read_manifest, write_json

log = logging.getLogger("tme")


def run_batch(cohort: Cohort, config: Config, results: Path, slides: Iterable[str]) -> None:
    """Bring every named slide to an ``outcome.json``.

    Raises
    ------
    ConfigError
        If the sheet has no such slide.
    SpaceError
        If the disk is full; finished slides stay.
    """
    rows = {row.slide_id: row for row in cohort.slides}
    for slide_id in slides:
        if slide_id not in rows:
            raise ConfigError(
                f"the sheet has no slide {slide_id!r}",
                where="stage slides",
                fix="use a slide_id of the sheet",
            )
        row = rows[slide_id]
        inputs = key_inputs(row, config, fingerprint)
        job = SlideJob(row, config, results, settings_hash(inputs), inputs)
        if not _restore(job):
            _in_child(job)


def _restore(job: SlideJob) -> bool:
    """Whether the published folder is what the job would make; its outcome is put back if missing."""
    if not is_intact(job.folder, job.plan_key):
        return False
    manifest = read_manifest(job.folder)
    outcome = manifest.extra.get("outcome") if manifest else None
    if outcome is None or outcome["status"] == "failed":
        return False
    if load_outcome(job.folder) is None:
        write_json(job.folder / OUTCOME, outcome)
    return True


def _in_child(job: SlideJob) -> None:
    # Fork keeps the imports; spawn where fork is not safe (macOS frameworks start threads).
    method = "fork" if sys.platform.startswith("linux") else "spawn"
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=_child, args=(job,))
    child.start()
    try:
        child.join()
    finally:
        if child.is_alive():
            child.terminate()
            child.join(10)
    if child.exitcode == SpaceError.exit_code:
        raise SpaceError(
            "no space left", where=str(job.results), why="see the log", fix="free space and run again"
        )
    if child.exitcode != 0:
        failed(job.row.slide_id, job.plan_key, _death(job, child.exitcode)).save(job.emptied())


def _child(job: SlideJob) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        outcome = guarded(job.row.slide_id, job.plan_key, lambda: run_slide(job))
        if outcome.status == "failed":
            outcome.save(job.emptied())
    except SpaceError as error:
        log.error("%s", error)
        sys.exit(SpaceError.exit_code)


def _death(job: SlideJob, exitcode: int) -> Problem:
    if exitcode < 0:
        name = signal.Signals(-exitcode).name
        why = f"the process was ended by {name}" + (
            ", usually for want of memory" if name == "SIGKILL" else ", usually a damaged file in a decoder"
        )
    else:
        why = f"the process ended with code {exitcode}"
    return Problem(
        job.row.path.name,
        "the slide's process died",
        why,
        "check the file in a viewer, or give more memory per slide",
    )
