"""Who may write into a results folder: one run, its jobs, and nobody beside what a killed run left.

The locks are the operating system's own (``flock``): they are free again when their process dies.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tme.errors import BusyError, ConfigError


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[int]:
    """Hold a results folder for one run; the operating system frees it when the process dies.

    Yields the lock's descriptor. A process that is given it (``pass_fds``) holds the folder too, for as
    long as it lives: a Snakemake that outlives `tme run` must not find a second one beside it.

    Raises
    ------
    BusyError
        If another process holds it; the message gives its pid.
    ConfigError
        If the folder, or the lock another user left in it, cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = _open_lock(folder / ".tme.lock")
    try:
        try:
            _take(handle, alone=True)
        except OSError as error:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
            raise BusyError(
                "another run is working in this folder",
                where=str(folder),
                why=f"held by {holder}",
                fix="wait for it to end, or choose another --output",
            ) from error
        name_holder(handle, os.getpid())
        yield handle
    finally:
        os.close(handle)


def name_holder(lock: int, *processes: int) -> None:
    """Write down whose lock it is, for the message of whoever finds it taken."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, " and ".join(f"process {process}" for process in processes).encode(), 0)


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Mark this process as a job of the run in ``folder``; many jobs share the mark."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = _open_lock(folder / ".tme.jobs")
    try:
        _take(handle, alone=False)
        yield
    finally:
        os.close(handle)


def check_no_orphans(folder: Path) -> None:
    """Refuse to start while jobs of an interrupted run are still writing.

    Raises
    ------
    BusyError
    """
    handle = _open_lock(folder / ".tme.jobs")
    try:
        _take(handle, alone=True)
    except OSError as error:
        raise BusyError(
            "jobs of an interrupted run are still working in this folder",
            where=str(folder),
            why="two writers would mix their results",
            fix="wait until they have ended and run again",
        ) from error
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError as error:
        raise ConfigError(
            "the output folder cannot be written",
            where=str(path),
            why=f"{error.strerror}; it may be another user's",
            fix="ask for write permission to all of it, or copy the folder and name the copy",
        ) from error


def _take(handle: int, alone: bool) -> None:
    """Take a lock: alone, at once or OSError; beside others, as soon as nobody holds it alone."""
    # Not there on Windows, where everything that locks nothing should still run.
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
