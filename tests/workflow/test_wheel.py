"""An installed wheel runs without a checkout: it carries Snakefile, workflows, configs and sample slides."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT
from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS

pytestmark = pytest.mark.slow
CARRIED = ("Snakefile", "workflows", "configs", "sample_slides")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel would install."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_carries_all_that_a_checkout_has(site: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *CARRIED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = [name for name in tracked.stdout.split("\0") if name]
    if not names:
        pytest.skip("not a git checkout")
    for name in names:
        assert (site / "tme" / "_data" / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_a_run_from_the_wheel_needs_no_checkout(site: Path, tmp_path: Path) -> None:
    made = render_slide(SlideSpec("CD8", area_mm2=0.05, til_density_per_mm2=300), 0)
    (tmp_path / "in").mkdir()
    WRITERS[".tif"](tmp_path / "in" / "A_baseline_CD8.tif", made.pixels, made.mpp, 85)
    done = subprocess.run(
        [sys.executable, "-m", "tme", "run", "in", "-o", "out", "--cores", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "out" / "logs" / "snakemake.log").read_text()
    assert str(site / "tme" / "_data" / "Snakefile") in log
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "slides" / "A_baseline_CD8" / "cells.parquet").is_file()
