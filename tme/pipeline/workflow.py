"""What the Snakefile sees of a run: ids, keys, resources. No rule holds logic of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme.change import check_names
from tme.cohort import Cohort
from tme.config import Config, load_config
from tme.errors import ConfigError
from tme.locks import check_no_orphans, run_lock
from tme.pipeline.cohort_job import cohort_is_done, cohort_key
from tme.pipeline.inputs import check_engine, load_run_cohort
from tme.pipeline.plan import Plan, discard_failed, make_plan
from tme.slide.hashing import fingerprint

DRIVEN = "TME_RUN_HOLDS_LOCK"
_held = contextlib.ExitStack()
_held_folders: set[str] = set()


@dataclass(frozen=True)
class Run:
    """One run of the workflow.

    Attributes
    ----------
    sheet, output : str
        Absolute paths.
    config_file : str
        Absolute path of the YAML, or empty for the defaults.
    """

    sheet: str
    output: str
    config_file: str
    config: Config
    cohort: Cohort
    plan: Plan

    @property
    def options(self) -> list[str]:
        """The options every stage's command takes, one word an element."""
        words = ["--sheet", self.sheet, "--output", self.output]
        return [*words, "--config", self.config_file] if self.config_file else words

    def keys(self, slides: Iterable[str]) -> list[str]:
        """The plan's keys of these slides; a changed key is a changed rule parameter."""
        keys = {slide.slide_id: slide.key for slide in self.plan.slides}
        return [keys[slide] for slide in slides]

    @property
    def cohort_key(self) -> str:
        """Key of the cohort's tables and pages."""
        return cohort_key(self.cohort, self.config, [slide.key for slide in self.plan.slides])

    def threads(self, cores: int | None) -> int:
        """Cores for one batch: all the batches that are left share what there is."""
        names = {slide.slide_id for slide in self.plan.pending}
        batches = sum(any(slide in names for slide in batch) for batch in self.plan.batches)
        return max(1, (cores or 1) // max(1, batches), self.config.run.workers if cores is None else 1)

    def memory_mb(self, cores: int | None) -> int:
        """MB planned for one batch."""
        return self.config.run.memory_mb + 500 * (self.threads(cores) - 1)


def open_workflow(settings: Mapping[str, Any], discard: bool) -> Run:
    """Read what ``--config sheet=… output=… [config=…]`` names and plan the run.

    Parameters
    ----------
    settings : mapping
        Snakemake's ``config``.
    discard : bool
        Take the folder's lock and remove outcomes and tables that are stale, so that Snakemake makes
        them; False for dry runs and for jobs on a cluster, which read the Snakefile again.
    """
    missing = [name for name in ("sheet", "output") if not settings.get(name)]
    if missing:
        raise ConfigError(
            f"{missing[0]} is not given",
            where="snakemake --config",
            why="the workflow needs a sheet and an output folder",
            fix="snakemake --cores 2 --config sheet=cohort.csv output=results",
        )
    sheet = Path(str(settings["sheet"])).resolve()
    output = Path(str(settings["output"])).resolve()
    config_file = str(Path(str(settings["config"])).resolve()) if settings.get("config") else ""
    config = load_config(Path(config_file) if config_file else None)
    check_names(config.change, config.outcomes.family)
    cohort = load_run_cohort(sheet, config)
    plan = make_plan(cohort, config, output, fingerprint)
    run = Run(str(sheet), str(output), config_file, config, cohort, plan)
    if discard:
        if os.environ.get(DRIVEN) != "1":
            check_engine(run.cohort.included(), run.config)
        hold_lock(run)
        discard_stale(run)
    return run


def discard_stale(run: Run) -> None:
    """Remove what must be made anew; call only while the run lock is held."""
    output = Path(run.output)
    discard_failed(output, run.plan)
    if run.plan.pending or not cohort_is_done(output, run.cohort_key):
        (output / "manifest.json").unlink(missing_ok=True)


def hold_lock(run: Run) -> None:
    """Take the folder's lock for a bare ``snakemake``; `tme run` holds it already."""
    if os.environ.get(DRIVEN) != "1" and run.output not in _held_folders:
        _held.enter_context(run_lock(Path(run.output)))
        _held_folders.add(run.output)
        check_no_orphans(Path(run.output))
