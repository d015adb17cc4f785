"""What a slide's job tells beside its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.slide.slide_files import tissue, write_tiff
from tme.cohort import SlideRow
from tme.config import Config
from tme.errors import AnnotationError
from tme.pipeline.slide_job import SlideJob, run_slide
from tme.stains import STAINS
from tme.stains.threshold import DabThreshold
from tme.store import read_json
from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS


def job(folder: Path, annotations: Path | None = None) -> SlideJob:
    path = write_tiff(folder / "a.tif", tissue(600, 800))
    row = SlideRow("a", "A", "", "baseline", "CD8", path, 2, annotations=annotations)
    return SlideJob(row, Config(), folder / "results", "key", {})


def test_a_threshold_that_may_not_be_trusted_is_a_caution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tme.stains.estimate.dab_threshold", lambda *_: DabThreshold(0.12, "slide", "a fixed one is used")
    )
    assert "a fixed one is used" in run_slide(job(tmp_path)).cautions


def test_a_section_is_kept_to_register_others_to(tmp_path: Path) -> None:
    asked = job(tmp_path)
    run_slide(asked)
    stages = read_json(asked.folder / "manifest.json")["extra"]["stages"]
    assert stages["section"]["files"] == ["section.png"]
    assert (asked.folder / "section.png").is_file()


def test_a_stain_that_shows_tils_and_vessels_has_both_on_one_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dual = replace(STAINS.get("CD8"), name="DUAL", targets=("cells", "vessels"))
    monkeypatch.setattr(STAINS, "_items", {**STAINS._items, "DUAL": dual})
    slide = render_slide(SlideSpec("CD8", area_mm2=0.15, til_density_per_mm2=400), 3)
    WRITERS[".tif"](tmp_path / "a.tif", slide.pixels, slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", "DUAL", tmp_path / "a.tif", 2)
    asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
    assert run_slide(asked).status == "ok"
    found = read_json(asked.folder / "measurements.json")["compartments"][0]["estimates"]
    assert found["til_vessel_slide_id"]["value"] == "a"
    assert found["til_vessel_error_um"]["value"] == 0
    assert found["til_within_30um_pct"]["n"] == found["n_til"]["value"] >= 20
    assert found["n_vessels"]["value"] is not None


@pytest.mark.parametrize("stain", ["CD8", "CD31"])
def test_a_slide_brown_all_over_has_no_numbers_and_says_why(tmp_path: Path, stain: str) -> None:
    slide = render_slide(SlideSpec(stain, area_mm2=0.1, til_density_per_mm2=0), 3)
    # A haze of DAB over all tissue, 0.5 OD.
    haze = 0.5 * (slide.pixels.min(axis=2, keepdims=True) < 225)
    brown = slide.pixels * 10 ** (-haze * np.array([0.27, 0.57, 0.78]))
    WRITERS[".tif"](tmp_path / "a.tif", brown.astype(np.uint8), slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", stain, tmp_path / "a.tif", 2)
    asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
    outcome = run_slide(asked)
    assert outcome.status == "ok"
    assert any("half of the tissue is brown" in caution for caution in outcome.cautions)
    assert not list(asked.folder.glob("*.parquet"))
    found = read_json(asked.folder / "measurements.json")["compartments"][0]
    target = STAINS.get(stain).targets[0]
    assert "half of the tissue is brown" in found["reasons"][target][0]
    for name in ("n_til", "til_density_per_mm2", "n_positive", "n_vessels", "mvd_per_mm2"):
        assert found["estimates"].get(name, {}).get("value") is None


def test_damaged_annotations_fail_the_slide_before_anything_costly(tmp_path: Path) -> None:
    (tmp_path / "bad.geojson").write_text("not json")
    asked = job(tmp_path, tmp_path / "bad.geojson")
    with pytest.raises(AnnotationError):
        run_slide(asked)
    assert not (asked.results / ".stages").exists()
