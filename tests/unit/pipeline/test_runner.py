"""Whoever computes, results come back in the order of the tasks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tme.config import RunSettings
from tme.errors import ConfigError
from tme.pipeline import dask_runner
from tme.pipeline.dask_runner import LostTaskError, make_runner


def slow_square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


def refuse(number: int) -> int:
    raise ValueError(f"task {number}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    import dask
    from distributed import LocalCluster

    # A local cluster closes the nanny of a lost worker after 15 s, which on a busy machine may be before its
    # new worker is there.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})
    with (
        patient,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=40,
        ) as made,
    ):
        yield made.scheduler_address


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_of_tasks(scheduler: str, workers: int) -> None:
    with make_runner(RunSettings(scheduler=scheduler, workers=workers)) as run:
        assert list(run(slow_square, list(range(7)))) == [n * n for n in range(7)]
        assert list(run(slow_square, [])) == []


def test_a_cluster_gives_the_same(cluster: str) -> None:
    with make_runner(RunSettings(scheduler=cluster)) as run:
        assert list(run(slow_square, list(range(7)))) == [n * n for n in range(7)]


def test_a_task_that_kills_its_worker_is_named_and_others_are_not_blamed(cluster: str) -> None:
    with make_runner(RunSettings(scheduler=cluster)) as run:
        with pytest.raises(LostTaskError, match="killed its worker"):
            list(run(die, [1, 2, 3, 4]))
        assert list(run(slow_square, [5])) == [25]


def too_slow(number: int) -> int:
    time.sleep(3)
    return number


def test_a_task_that_takes_too_long_is_named(cluster: str) -> None:
    with (
        make_runner(RunSettings(scheduler=cluster, timeout_s=0.3)) as run,
        pytest.raises(LostTaskError, match="not finished after"),
    ):
        list(run(too_slow, [1]))


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_a_tasks_own_error_comes_through(scheduler: str) -> None:
    with (
        make_runner(RunSettings(scheduler=scheduler, workers=2)) as run,
        pytest.raises(ValueError, match="task 1"),
    ):
        list(run(refuse, [1]))


def test_a_cluster_without_workers_is_named_and_waited_for(
    cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    with make_runner(RunSettings(scheduler=cluster)) as run:
        assert list(run(slow_square, [1])) == [1]
    assert "has no workers yet" not in caplog.text
    from distributed import LocalCluster

    empty = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1", silence_logs=40)
    settings = RunSettings(scheduler=empty.scheduler_address, timeout_s=0.5)
    with empty, make_runner(settings) as run, pytest.raises(LostTaskError, match="not finished after"):
        list(run(slow_square, [1]))
    assert "has no workers yet" in caplog.text


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_runner, "ANSWER_S", 1.0)
    settings = RunSettings(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match="does not answer"), make_runner(settings):
        pass
