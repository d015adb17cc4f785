"""What a slide's job tells beside its numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.slide.slide_files import tissue, write_tiff
from tme.cohort import SlideRow
from tme.config import Config
from tme.errors import AnnotationError
from tme.pipeline.slide_job import SlideJob, run_slide
from tme.stains.threshold import DabThreshold


def job(folder: Path, annotations: Path | None = None) -> SlideJob:
    path = write_tiff(folder / "a.tif", tissue(600, 800))
    row = SlideRow("a", "A", "", "baseline", "CD8", path, 2, annotations=annotations)
    return SlideJob(row, Config(), folder / "results", "key", {})


def test_a_threshold_that_may_not_be_trusted_is_a_caution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tme.stains.estimate.dab_threshold", lambda dab: DabThreshold(0.12, "slide", "a fixed one is used")
    )
    assert "a fixed one is used" in run_slide(job(tmp_path)).cautions


def test_damaged_annotations_fail_the_slide_before_anything_costly(tmp_path: Path) -> None:
    (tmp_path / "bad.geojson").write_text("not json")
    asked = job(tmp_path, tmp_path / "bad.geojson")
    with pytest.raises(AnnotationError):
        run_slide(asked)
    assert not (asked.results / ".stages").exists()
