"""The workflow disturbed: kills, broken slides, hostile names, two runs at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import config, hashes, rows, tme
from tme.errors import BusyError
from tme.locks import check_no_orphans, run_lock

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_killed_run_goes_on_and_ends_the_same(
    clean_run: Path, small_cohort: Path, tmp_path: Path, whole_group: bool
) -> None:
    results = tmp_path / "r"
    words = [sys.executable, "-m", "tme", "run", str(small_cohort / "cohort.csv"), "-o", str(results)]
    process = subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _wait_for(lambda: list((results / "slides").glob("*/outcome.json")), 120)
    if whole_group:
        _kill_tree(process.pid)
    process.kill()
    process.wait()
    if not whole_group:
        # Snakemake outlives its parent and works on; until it ends, nobody else may.
        refused = tme("run", small_cohort / "cohort.csv", "-o", results)
        assert refused.returncode == 4
        assert f"process {process.pid} and process" in refused.stdout + refused.stderr
    _wait_for(lambda: _is_free(results), 400)
    done = tme("run", small_cohort / "cohort.csv", "-o", results)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hashes(results) == hashes(clean_run)


def _is_free(results: Path) -> bool:
    try:
        with run_lock(results):
            check_no_orphans(results)
    except BusyError:
        return False
    return True


def _wait_for(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            pytest.fail("nothing happened in time")
        time.sleep(0.3)


def _kill_tree(pid: int) -> None:
    import psutil

    for child in psutil.Process(pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)


def test_one_broken_slide_changes_nothing_for_the_others(
    clean_run: Path, small_cohort: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(small_cohort, folder)
    (folder / "broken.tif").write_bytes((folder / "B_baseline_HE.tif").read_bytes()[:60_000])
    with (folder / "cohort.csv").open("a") as sheet:
        sheet.write("C,baseline,HE,broken.tif,C_baseline_HE,-3\n")
    done = tme("run", folder / "cohort.csv", "-o", tmp_path / "r")
    assert done.returncode == 3, done.stdout
    failed = [row for row in rows(tmp_path / "r" / "slide_metrics.csv") if row["status"] == "failed"]
    assert [row["slide_id"] for row in failed] == ["C_baseline_HE"]
    assert failed[0]["reason"]
    assert failed[0]["til_density_per_mm2"] == ""
    assert "Traceback" not in done.stdout + done.stderr
    mine, clean = hashes(tmp_path / "r"), hashes(clean_run)
    slides = {name for name in clean if name.startswith("slides/")}
    assert {name: mine[name] for name in slides} == {name: clean[name] for name in slides}
    kept = [row for row in rows(tmp_path / "r" / "slide_metrics.csv") if row["status"] == "ok"]
    assert kept == rows(clean_run / "slide_metrics.csv")
    again = tme("run", folder / "cohort.csv", "-o", tmp_path / "r")
    assert "5 cached, 1 to do" in again.stdout
    assert again.returncode == 3


HOSTILE = [
    "x;touch P",
    "../evil",
    "<script>alert(1)</script>",
    "=1+1",
    "{x}",
    "病" * 64,
    "$(touch P)",
    "a'b\"c",
]


def test_hostile_text_is_only_text(small_cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = small_cohort / "B_baseline_HE.tif"
    lines = ["patient_id;timepoint;stain;slide"]
    for number, text in enumerate(HOSTILE):
        name = f"{number} {text.replace('/', '_')[:40]}.tif"
        (folder / name).write_bytes(source.read_bytes() + bytes([number]))
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in (text, "baseline", "HE", name)]
        lines.append(";".join(quoted))
    (folder / "my sheet; rm.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = tmp_path / "out dir; touch P"
    done = tme("run", folder / "my sheet; rm.csv", "-o", results)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [path for path in tmp_path.rglob("P") if path.is_file()]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out dir; touch P"}
    from tme.tables import read_csv

    shown = [row["patient_id"] for row in read_csv(results / "slide_metrics.csv")]
    assert shown == HOSTILE
    for page in results.rglob("*.html"):
        assert "<script>alert" not in page.read_text(encoding="utf-8")


def test_two_runs_in_one_folder_do_not_mix(clean_run: Path, small_cohort: Path) -> None:
    with run_lock(clean_run):
        done = tme("run", small_cohort / "cohort.csv", "-o", clean_run)
    assert done.returncode == 4
    assert "another run" in done.stderr


def test_a_folder_of_someone_else_is_left_alone(small_cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = tme("run", small_cohort / "cohort.csv", "-o", tmp_path)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_interrupt_stops_and_the_exit_code_says_so(small_cohort: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tme", "run", str(small_cohort / "cohort.csv"), "-o", str(tmp_path / "r")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: (tmp_path / "r" / "logs").is_dir(), 60)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_an_engine_that_cannot_run_stops_a_run_before_any_compute(small_cohort: Path, tmp_path: Path) -> None:
    settings = config(tmp_path, "cells: {engine: cellpose}\n")
    done = tme("run", small_cohort / "cohort.csv", "-o", tmp_path / "r", "--config", settings)
    assert done.returncode == 2
    assert "cellpose" in done.stderr
    assert not (tmp_path / "r").exists()


def test_the_sheet_stops_a_run_before_any_compute(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("patient_id,timepont,stain,slide\nA,baseline,HE,none.tif\n")
    done = tme("run", tmp_path / "c.csv", "-o", tmp_path / "r")
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert not (tmp_path / "r").exists()
