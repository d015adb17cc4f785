"""`tme run`: hold the folder, plan, let Snakemake work, show progress, answer with an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tme.errors import ConfigError
from tme.locks import check_no_orphans, name_holder, run_lock
from tme.pipeline.inputs import check_engine
from tme.pipeline.outcome import Outcome, load_outcome
from tme.pipeline.resources import resource
from tme.pipeline.workflow import DRIVEN, Run, discard_stale, open_workflow
from tme.store import need_folder, read_json

POLL_SECONDS = 0.5
STOP_FILE = "stopped.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for on the command line."""

    sheet: Path
    output: Path
    config_file: Path | None
    cores: int
    profile: str = ""


def open_run(request: RunRequest) -> Run:
    """Read sheet and settings and plan, without touching the output folder.

    Raises
    ------
    SheetError, ConfigError, EngineError
        For what stops a run before any compute.
    """
    settings = {
        "sheet": str(request.sheet),
        "output": str(request.output),
        "config": str(request.config_file) if request.config_file else "",
    }
    run = open_workflow(settings, discard=False)
    check_engine(run.cohort.included(), run.config)
    _profile_folder(request)
    return run


def describe_plan(run: Run) -> list[str]:
    """One line a slide: cached, or what would run and why."""
    return [f"{slide.slide_id}: {slide.why}" for slide in run.plan.slides]


def drive(request: RunRequest, say: Say) -> int:
    """Run the workflow to its end; see CONTRACT for the exit codes.

    Returns
    -------
    int
        0 all ok, 1 a bug, 3 some slides failed, 5 no space, 130/143 signals.
    """
    run = open_run(request)
    _own_folder(Path(run.output))
    with run_lock(Path(run.output)) as lock:
        check_no_orphans(Path(run.output))
        discard_stale(run)
        for note in run.cohort.notes:
            say(f"{note.severity}: {note}")
        pending = run.plan.pending
        total = len(run.plan.slides)
        say(f"{total} slides: {total - len(pending)} cached, {len(pending)} to do")
        stopped = Path(run.output) / "logs" / STOP_FILE
        stopped.unlink(missing_ok=True)
        code = _snakemake(run, request, say, lock)
        if code in (130, 143):
            return code
        if stopped.is_file():
            stop = read_json(stopped)
            say(str(stop["message"]))
            return int(stop["exit_code"])
        return _verdict(run, code, say)


def _own_folder(output: Path) -> None:
    """Make the folder, and refuse one that is not tme's own or cannot be written."""
    need_folder(output)
    try:
        strange = any(output.iterdir()) and not (output / ".tme.lock").exists()
    except OSError as error:
        raise ConfigError(
            "the output folder cannot be read",
            where=str(output),
            why=error.strerror or str(error),
            fix="choose another --output",
        ) from error
    if strange:
        raise ConfigError(
            "the output folder holds other files",
            where=str(output),
            why="tme only writes into a folder that is empty or its own",
            fix="choose another --output",
        )


def _profile_folder(request: RunRequest) -> Path:
    """The folder of the profile asked for; ConfigError if there is none or it cannot work here."""
    profile = request.profile or "default"
    folder = Path(profile) if Path(profile).is_dir() else resource("workflows/profiles") / profile
    if not folder.is_dir():
        raise ConfigError(
            f"there is no profile {profile!r}",
            where="--profile",
            fix="use default, slurm, or a folder with a config.yaml",
        )
    if profile == "slurm" and find_spec("snakemake_executor_plugin_slurm") is None:
        raise ConfigError(
            "Snakemake's plugin for SLURM is not installed",
            where="--profile slurm",
            fix="pip install 'tme[slurm]'",
        )
    return folder


def _command(run: Run, request: RunRequest) -> list[str]:
    settings = [f"sheet={run.sheet}", f"output={run.output}"]
    settings += [f"config={run.config_file}"] if run.config_file else []
    cores = [] if request.profile else ["--cores", str(request.cores)]
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(resource("Snakefile")),
        "--workflow-profile", str(_profile_folder(request)),
        "--directory", str(Path(run.output) / ".workflow"),
        *cores, "--config", *settings,
    ]  # fmt: skip


def _snakemake(run: Run, request: RunRequest, say: Say, lock: int) -> int:
    logs = Path(run.output) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (Path(run.output) / ".workflow").mkdir(exist_ok=True)
    environment = {**os.environ, DRIVEN: "1"}
    with (logs / "snakemake.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - a list of our own words; no shell
            _command(run, request),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            pass_fds=(lock,),
        )
        name_holder(lock, os.getpid(), process.pid)
        with _forwarded(process) as caught:
            _watch(run, process, say)
            process.wait()
    return 128 + caught[0] if caught else process.returncode


class _forwarded:
    """While open, Ctrl-C and SIGTERM stop Snakemake and its jobs, and are remembered."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.caught: list[int] = []

    def __enter__(self) -> list[int]:
        self.before = {kind: signal.signal(kind, self._forward) for kind in (signal.SIGINT, signal.SIGTERM)}
        return self.caught

    def __exit__(self, *_: object) -> None:
        for kind, handler in self.before.items():
            signal.signal(kind, handler)

    def _forward(self, kind: int, _frame: object) -> None:
        self.caught.append(kind)
        # The whole group: Snakemake alone would wait for its jobs to end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)


def _watch(run: Run, process: subprocess.Popen[bytes], say: Say) -> None:
    """Tell each slide's outcome as it appears, with the time left from the megabytes still to do."""
    waiting = {slide.slide_id: slide.megabytes + 0.5 for slide in run.plan.pending}
    total, done, started = sum(waiting.values()), 0.0, time.monotonic()
    while process.poll() is None:
        for slide_id in list(waiting):
            outcome = load_outcome(Path(run.output) / "slides" / slide_id)
            if outcome is None:
                continue
            done += waiting.pop(slide_id)
            left = (time.monotonic() - started) / done * (total - done)
            count = len(run.plan.slides) - len(waiting)
            say(
                f"[{count}/{len(run.plan.slides)}] {_line(outcome)}"
                + (f" · {_duration(left)} left" if waiting else "")
            )
        time.sleep(POLL_SECONDS)


def _line(outcome: Outcome) -> str:
    return f"{outcome.slide_id}: {outcome.status}" + (f" ({outcome.reason})" if outcome.reason else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _verdict(run: Run, code: int, say: Say) -> int:
    outcomes = {
        slide.slide_id: load_outcome(Path(run.output) / "slides" / slide.slide_id)
        for slide in run.plan.slides
    }
    missing = [slide_id for slide_id, outcome in outcomes.items() if outcome is None]
    bad = [outcome for outcome in outcomes.values() if outcome is not None and outcome.status == "failed"]
    excluded = sum(outcome is not None and outcome.status == "excluded" for outcome in outcomes.values())
    say(f"{len(outcomes) - len(bad) - excluded - len(missing)} ok, {excluded} excluded, {len(bad)} failed")
    for outcome in bad:
        say(f"  {outcome.slide_id} · {outcome.reason}")
    finished = (Path(run.output) / "manifest.json").is_file()
    if missing or not finished:
        say(f"the workflow stopped early (code {code}); see {run.output}/logs/snakemake.log")
        return 1
    say(f"look at {run.output}/index.html")
    return 3 if bad else 0
