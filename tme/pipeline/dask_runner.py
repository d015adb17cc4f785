"""Who computes the tasks of one slide: this thread, threads, processes or a Dask cluster.

The only file that knows Dask. Results come back in the order of the tasks whoever computes, and a
task's result depends on the task alone, so the choice never shows in a number. They come one by one,
so that whoever takes them need not hold them all.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tme.config import RunSettings
from tme.errors import ConfigError, TmeError
from tme.tiles import Runner, one_by_one

log = logging.getLogger("tme")

ANSWER_S = 20.0
"""Longest wait for a Dask scheduler to answer."""
WAITING_TASKS = 64
"""Tasks per worker whose results may wait in memory to be taken."""


class LostTaskError(TmeError):
    """A task could not be finished: its worker died twice or it ran out of time."""

    exit_code = 3


@contextlib.contextmanager
def make_runner(settings: RunSettings) -> Iterator[Runner[Any]]:
    """A function ``runner(function, tasks)`` that yields results in task order, while the context lasts.

    Parameters
    ----------
    settings : RunSettings
        ``scheduler`` is ``serial``, ``threads``, ``processes`` or ``tcp://host:port``; functions and
        tasks must pickle for the last two.

    Raises
    ------
    ConfigError
        If the Dask scheduler named cannot be reached.
    """
    if settings.scheduler == "serial" or (
        settings.workers == 1 and not settings.scheduler.startswith("tcp:")
    ):
        yield one_by_one
    elif settings.scheduler in ("threads", "processes"):
        yield _local(settings)
    else:
        with _client(settings) as client:
            yield _on_cluster(client, settings)


def _local(settings: RunSettings) -> Runner[Any]:
    def run(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        import dask

        # Dask's local schedulers hand over nothing before the last task is done.
        size = WAITING_TASKS * settings.workers
        for start in range(0, len(tasks), size):
            lazy = [dask.delayed(function, pure=False)(task) for task in tasks[start : start + size]]
            yield from dask.compute(*lazy, scheduler=settings.scheduler, num_workers=settings.workers)

    return run


@contextlib.contextmanager
def _client(settings: RunSettings) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(settings.scheduler, timeout=ANSWER_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ConfigError(
            "the Dask scheduler does not answer",
            where=settings.scheduler,
            why=str(error)[:200] or type(error).__name__,
            fix="start it (`dask scheduler --host 127.0.0.1`) and workers, or set run.scheduler to threads",
        ) from error
    if not client.scheduler_info()["workers"]:
        # They may still stand in a queue.
        log.warning(
            "%s has no workers yet: waiting %g s a task for them", settings.scheduler, settings.timeout_s
        )
    try:
        yield client
    finally:
        client.close()


def _on_cluster(client: Any, settings: RunSettings) -> Runner[Any]:
    def run(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        from distributed import KilledWorker

        # A future let go of is a result its worker need not keep.
        futures = deque(client.submit(function, task, pure=False) for task in tasks)
        try:
            for task in tasks:
                try:
                    result = _waited(futures.popleft(), settings)
                except KilledWorker:
                    result = _once_more(client, function, task, settings)
                yield result
        finally:
            # What nobody waits for any more must not go on, least of all what kills workers.
            client.cancel(list(futures))

    return run


def _waited(future: Any, settings: RunSettings) -> Any:
    try:
        return future.result(timeout=settings.timeout_s)
    except TimeoutError as error:
        # A task's own TimeoutError is its error; the wait's leaves the task unfinished.
        if future.done():
            raise
        raise LostTaskError(
            f"a task was not finished after {settings.timeout_s:g} s",
            where="cluster",
            why="its worker is gone, busy with something else or far too slow",
            fix="look at the cluster's workers, or raise run.timeout_s",
        ) from error


def _once_more(client: Any, function: Callable[[Any], Any], task: Any, settings: RunSettings) -> Any:
    # A worker's death takes every task it held with it; only a task that also fails alone is to blame.
    from distributed import KilledWorker

    try:
        return _waited(client.submit(function, task, pure=False, retries=0), settings)
    except KilledWorker as error:
        raise LostTaskError(
            "a task killed its worker twice",
            where="cluster",
            why=str(error)[:200],
            fix="give the workers more memory, or lower run.task_px",
        ) from error
