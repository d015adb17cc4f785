"""A small cohort on disk, and runs of the real commands in processes of their own."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS

ROOT = Path(__file__).resolve().parents[2]
NOT_RESULTS = {"provenance", "logs", ".workflow", ".tme.lock", ".tme.jobs", ".stages"}
SLIDES = [
    ("A", "baseline", "CD8", ".svs"),
    ("A", "on_treatment", "CD8", ".tif"),
    ("A", "baseline", "CD31", ".ome.tif"),
    ("A", "on_treatment", "CD31", ".tif"),
    ("B", "baseline", "HE", ".tif"),
]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``make`` fills: the first process of the test run that needs it does, others wait for it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _write_cohort(folder: Path) -> None:
    rows = ["patient_id,timepoint,stain,slide,slide_id,biopsy_day"]
    for seed, (patient, timepoint, stain, suffix) in enumerate(SLIDES):
        name = f"{patient}_{timepoint}_{stain}"
        made = render_slide(SlideSpec(stain, area_mm2=0.2, til_density_per_mm2=300, mvd_per_mm2=90), seed)
        WRITERS[suffix](folder / f"{name}{suffix}", made.pixels, made.mpp, 85)
        rows.append(
            f"{patient},{timepoint},{stain},{name}{suffix},{name},{-3 if timepoint == 'baseline' else 40}"
        )
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sheet of five rendered slides of about 0.2 mm²."""
    return made_once(tmp_path_factory, "small-cohort", _write_cohort)


def tme(*words: object, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tme …`` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "tme", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )


def snakemake(*words: object, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a bare ``snakemake`` on the root Snakefile."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
    )


def hashes(results: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file users read: tables, parquet, JSON, pages."""
    found = {}
    for path in sorted(results.rglob("*")):
        relative = path.relative_to(results)
        if path.is_file() and relative.parts[0] not in NOT_RESULTS and ".snakemake" not in relative.parts:
            found[relative.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="session")
def clean_run(small_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of `tme run` with one serial worker: what every other way must reproduce.

    Each process has a copy of its own, which its tests may lock and run again.
    """

    def run(folder: Path) -> None:
        done = tme("run", small_cohort / "cohort.csv", "-o", folder / "results", "--cores", 1)
        assert done.returncode == 0, done.stdout + done.stderr

    made = made_once(tmp_path_factory, "clean-run", run)
    return shutil.copytree(made / "results", tmp_path_factory.mktemp("clean") / "results", symlinks=True)


def config(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
