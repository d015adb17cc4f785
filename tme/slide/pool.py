"""Preflight in child processes: a crash, a hang or a memory bomb is an answer about one file."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

from tme.errors import Problem
from tme.slide.guards import shown
from tme.slide.preflight import Preflight, preflight

MEMORY_LIMIT = 3 << 30
START_SECONDS = 120.0
ORPHAN_SECONDS = 600
READY = "ready"
Check = Callable[[Path, float | None, str | None], Preflight]


class Job(NamedTuple):
    """One file to check; see `tme.slide.preflight.preflight`."""

    path: Path
    mpp: float | None = None
    stain_kind: str | None = None


def preflight_many(
    jobs: Sequence[tuple[Path, float | None, str | None]],
    workers: int = 2,
    timeout_s: float = 20.0,
    check: Check = preflight,
) -> list[Preflight]:
    """Check many slides in long-lived child processes; answers in the order of ``jobs``.

    Parameters
    ----------
    workers : int
        Child processes; never more than there are jobs.
    timeout_s : float
        A file that takes longer is refused, its process ended and replaced.
    check : callable
        What a child does with a job; importable by name.
    """
    answers: dict[int, Preflight] = {}
    waiting = deque((number, Job(*job)) for number, job in enumerate(jobs))
    children = [_Child(check) for _ in range(min(workers, len(waiting)))]
    try:
        while True:
            for child in children:
                child.step(waiting, answers, timeout_s)
            if len(answers) == len(jobs):
                break
            due = [child for child in children if child.waited_for]
            wait([child.pipe for child in due], timeout=_patience(due, timeout_s))
    finally:
        for child in children:
            child.end()
    return [answers[number] for number in range(len(jobs))]


@dataclass
class _Child:
    """One child process and what it is busy with."""

    check: Check
    pipe: Connection = field(init=False)
    process: SpawnProcess = field(init=False)
    ready: bool = False
    gone: bool = False
    busy: tuple[int, Job] | None = None
    since: float = 0.0

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.check), daemon=True)
        self.process.start()
        theirs.close()
        self.ready, self.gone, self.busy, self.since = False, False, None, time.monotonic()

    def step(self, waiting: deque[tuple[int, Job]], answers: dict[int, Preflight], timeout_s: float) -> None:
        """Take an answer if there is one, end what takes too long, hand out the next file."""
        if self.gone:
            return
        limit = timeout_s if self.ready else START_SECONDS
        try:
            while self.pipe.poll():
                self._take(self.pipe.recv(), answers)
            if self.waited_for and time.monotonic() - self.since > limit:
                self._lost(answers, f"reading it took longer than {limit:g} s", waiting)
            elif self.ready and self.busy is None and waiting:
                self.busy, self.since = waiting.popleft(), time.monotonic()
                self.pipe.send(self.busy[1])
        except (EOFError, OSError):
            self._lost(answers, "reading it ended its process", waiting)

    @property
    def waited_for(self) -> bool:
        """Whether an answer is due: to a file, or that the process has started."""
        return not self.gone and (self.busy is not None or not self.ready)

    def _take(self, message: Preflight | str, answers: dict[int, Preflight]) -> None:
        if isinstance(message, Preflight) and self.busy:
            answers[self.busy[0]] = message
            self.busy = None
        else:
            self.ready = True

    def _lost(self, answers: dict[int, Preflight], what: str, waiting: deque[tuple[int, Job]]) -> None:
        if self.busy is None and not self.ready and waiting:
            # A child that cannot even start must not leave the caller waiting for ever.
            self.busy = waiting.popleft()
        if self.busy:
            number, job = self.busy
            problem = Problem(
                shown(job.path),
                what,
                "the file is damaged in a way its decoder does not survive",
                "export the slide again, or leave it out with the column exclude",
            )
            answers[number] = Preflight(None, "", (problem,))
        self.end()
        if waiting:
            self._start()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.gone = True
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.kill()
        self.process.join()


def _patience(children: list[_Child], timeout_s: float) -> float:
    """Seconds until the next child may be overdue."""
    now = time.monotonic()
    ends = [child.since + (timeout_s if child.ready else START_SECONDS) - now for child in children]
    return max(0.01, min(ends, default=0.01))


def _serve(pipe: Connection, check: Check) -> None:
    """The child: one file after the other until the pipe closes."""
    _limit_memory()
    warnings.simplefilter("ignore")
    # C libraries write their complaints about a file to stderr; the answer says what matters.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    pipe.send(READY)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            job = pipe.recv()
            # Should the parent die while a decoder hangs, nobody else would end this process.
            signal.alarm(ORPHAN_SECONDS)
            pipe.send(check(*job))
            signal.alarm(0)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
