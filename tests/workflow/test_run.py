"""The workflow for real: Snakemake, Dask, exports, what reruns."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import config, hashes, rows, snakemake, tme

pytestmark = pytest.mark.slow


def test_every_slide_has_its_row_and_every_file_is_there(clean_run: Path) -> None:
    table = rows(clean_run / "slide_metrics.csv")
    assert [row["slide_id"] for row in table if row["compartment"] == "evaluable"] == [
        "A_baseline_CD8", "A_on_treatment_CD8", "A_baseline_CD31", "A_on_treatment_CD31", "B_baseline_HE",
    ]  # fmt: skip
    assert {row["status"] for row in table} == {"ok"}
    for name in (
        "index.html",
        "report/index.html",
        "pairs.csv",
        "patient_metrics.csv",
        "data_dictionary.csv",
    ):
        assert (clean_run / name).stat().st_size > 0
    for slide, own in (("A_baseline_CD8", "cells"), ("A_baseline_CD31", "vessels")):
        folder = clean_run / "slides" / slide
        pages = ["thumbnail.jpg", "tissue.geojson", f"{own}.geojson.gz", "overlay/index.html"]
        values = ["outcome.json", "manifest.json", "qc.json", "measurements.json", f"{own}.parquet"]
        for name in pages + values:
            assert (folder / name).is_file(), name
    assert not list(clean_run.rglob("*.part"))


def test_a_run_says_what_it_used_and_made(clean_run: Path) -> None:
    crate = json.loads((clean_run / "provenance" / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    graph = {entity["@id"]: entity for entity in crate["@graph"]}
    assert len(graph) == len(crate["@graph"])
    used = {graph[one["@id"]]["name"]: graph[one["@id"]] for one in graph["#run"]["object"]}
    made = {graph[one["@id"]]["name"]: graph[one["@id"]] for one in graph["#run"]["result"]}
    table = rows(clean_run / "slide_metrics.csv")
    for row in table:
        assert used[row["slide_id"]]["sha256"] == row["slide_sha256"]
        if row["model_sha256"]:
            assert used[row["model_id"]]["sha256"] == row["model_sha256"]
    assert "config" in used
    for name in (
        "pairs.csv",
        "slides/A_baseline_CD8/cells.parquet",
        "slides/A_baseline_CD31/vessels.parquet",
    ):
        assert made[name]["sha256"] == hashlib.sha256((clean_run / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("to", ["csv", "qupath", "ome-zarr"])
def test_a_finished_run_is_exported(clean_run: Path, tmp_path: Path, to: str) -> None:
    done = tme("export", clean_run, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "5 of 5 slides" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (clean_run / "slides").iterdir()
    }


def test_a_second_run_has_nothing_to_do(clean_run: Path, small_cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in clean_run.rglob("*.parquet")}
    done = tme("run", small_cohort / "cohort.csv", "-o", clean_run, "--cores", 1)
    assert done.returncode == 0, done.stderr
    assert "5 cached, 0 to do" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in clean_run.rglob("*.parquet")} == before


@pytest.mark.parametrize("task_px", [1024, 4096])
def test_threads_and_task_size_change_no_byte(
    clean_run: Path, small_cohort: Path, tmp_path: Path, task_px: int
) -> None:
    settings = config(tmp_path, f"run: {{task_px: {task_px}, workers: 2, scheduler: threads}}\n")
    done = tme("run", small_cohort / "cohort.csv", "-o", tmp_path / "r", "--config", settings, "--cores", 2)
    assert done.returncode == 0, done.stdout
    assert hashes(tmp_path / "r") == hashes(clean_run)


def test_a_dask_cluster_changes_no_byte(clean_run: Path, small_cohort: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1", silence_logs=40
    ) as cluster:
        settings = config(tmp_path, f"run: {{task_px: 1024, scheduler: '{cluster.scheduler_address}'}}\n")
        done = tme(
            "run", small_cohort / "cohort.csv", "-o", tmp_path / "r", "--config", settings, "--cores", 1
        )
    assert done.returncode == 0, done.stdout
    assert hashes(tmp_path / "r") == hashes(clean_run)


def test_a_bare_snakemake_changes_no_byte(clean_run: Path, small_cohort: Path, tmp_path: Path) -> None:
    done = snakemake(
        "--cores",
        2,
        "--config",
        f"sheet={small_cohort / 'cohort.csv'}",
        f"output={tmp_path / 'r'}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "r") == hashes(clean_run)
    again = snakemake(
        "--cores",
        2,
        "--config",
        f"sheet={small_cohort / 'cohort.csv'}",
        f"output={tmp_path / 'r'}",
        cwd=tmp_path,
    )
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_changed_setting_runs_only_what_depends_on_it(
    clean_run: Path, small_cohort: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    shutil.copytree(clean_run, results)
    cells = {path: path.stat().st_ino for path in results.rglob("cells.parquet")}
    settings = config(tmp_path, "vessels: {join_um: 5}\n")
    plan = tme("run", small_cohort / "cohort.csv", "-o", results, "--config", settings, "--plan")
    assert re.findall(r"^(\S+): changed: settings of vessels$", plan.stdout, re.M) == [
        "A_baseline_CD31", "A_on_treatment_CD31",
    ]  # fmt: skip
    assert plan.stdout.count("cached") == 3
    done = tme("run", small_cohort / "cohort.csv", "-o", results, "--config", settings, "--cores", 1)
    assert done.returncode == 0, done.stdout
    assert {path: path.stat().st_ino for path in results.rglob("cells.parquet")} == cells
