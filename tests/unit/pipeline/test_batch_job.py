"""A slide's process that dies, and a disk that fills, end as the contract says."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tme.cohort import Cohort, SlideRow
from tme.config import Config
from tme.errors import SlideError, SpaceError
from tme.pipeline import batch_job, drive
from tme.pipeline.outcome import Outcome, load_outcome
from tme.pipeline.slide_job import SlideJob
from tme.pipeline.stages import _stop_told
from tme.store import new_artefact, read_json

IDS = ("a", "b", "c")


def cohort(tmp_path: Path) -> Cohort:
    rows = []
    for number, slide_id in enumerate(IDS):
        path = tmp_path / f"{slide_id}.tif"
        path.write_bytes(slide_id.encode())
        rows.append(SlideRow(slide_id, slide_id, "", "baseline", "HE", path, number + 2))
    return Cohort(tuple(rows), ("baseline", "on_treatment"))


def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_b: Callable[[SlideJob], Outcome]) -> Path:
    """Run a batch whose slides do nothing, but for slide b."""
    results = tmp_path / "results"

    def run_slide(job: SlideJob) -> Outcome:
        if job.row.slide_id == "b":
            return on_b(job)
        outcome = job.outcome("ok")
        with new_artefact(job.folder, job.plan_key, job.inputs, {"outcome": {}, "stages": {}}):
            pass
        outcome.save(job.folder)
        return outcome

    monkeypatch.setattr(batch_job, "run_slide", run_slide)
    batch_job.run_batch(cohort(tmp_path), Config(), results, IDS)
    return results


def statuses(results: Path) -> dict[str, str]:
    found = {slide_id: load_outcome(results / "slides" / slide_id) for slide_id in IDS}
    return {slide_id: outcome.status for slide_id, outcome in found.items() if outcome is not None}


def killed(job: SlideJob) -> NoReturn:
    (job.results / "slides" / "b").mkdir(parents=True)
    (job.results / "slides" / "b" / "half.parquet").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def full(job: SlideJob) -> NoReturn:
    with new_artefact(job.folder, job.plan_key, job.inputs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise AssertionError


def test_a_killed_process_is_a_failed_slide_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = batch(tmp_path, monkeypatch, killed)
    assert statuses(results) == {"a": "ok", "b": "failed", "c": "ok"}
    outcome = load_outcome(results / "slides" / "b")
    assert outcome is not None
    assert "SIGKILL" in outcome.reason
    assert "memory" in outcome.reason
    assert [path.name for path in (results / "slides" / "b").iterdir()] == ["outcome.json"]


def test_a_slide_that_fails_keeps_its_costly_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"cells": {"key": "k", "files": ["cells.parquet"], "value": {}}}
    with new_artefact(tmp_path / "results" / "slides" / "b", "old", {}, {"stages": stages}) as folder:
        (folder / "cells.parquet").write_bytes(b"an hour's work")

    def damaged(job: SlideJob) -> NoReturn:
        raise SlideError("the slide cannot be used")

    results = batch(tmp_path, monkeypatch, damaged)
    assert statuses(results)["b"] == "failed"
    assert [path.name for path in (results / "slides" / "b").iterdir()] == ["outcome.json"]
    assert (results / ".stages" / "b" / "cells" / "cells.parquet").read_bytes() == b"an hour's work"


def test_a_full_disk_stops_the_batch_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpaceError) as caught:
        batch(tmp_path, monkeypatch, full)
    assert caught.value.exit_code == 5
    assert statuses(tmp_path / "results") == {"a": "ok"}
    assert not list((tmp_path / "results").rglob("*.part"))


def test_the_run_ends_with_the_exit_code_of_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides = cohort(tmp_path)
    sheet = tmp_path / "cohort.csv"
    lines = [f"{row.patient_id},baseline,HE,{row.path.name}" for row in slides.slides]
    sheet.write_text("\n".join(["patient_id,timepoint,stain,slide", *lines]) + "\n")
    results = tmp_path / "results"

    def snakemake(run: drive.Run, request: drive.RunRequest, say: drive.Say, lock: int) -> int:
        with pytest.raises(SpaceError), _stop_told(Path(run.output)):
            raise SpaceError("no space left on the disk", fix="free space and run again")
        return 1

    monkeypatch.setattr(drive, "_snakemake", snakemake)
    said: list[str] = []
    assert drive.drive(drive.RunRequest(sheet, results, None, 1), said.append) == 5
    assert any("free space" in line for line in said)
    assert read_json(results / "logs" / drive.STOP_FILE)["exit_code"] == 5
