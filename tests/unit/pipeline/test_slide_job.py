"""What a slide's job tells beside its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from numpy.typing import NDArray

from tests.unit.slide.slide_files import UNSTAINED, tissue, write_tiff
from tme.cohort import SlideRow
from tme.config import Config
from tme.errors import AnnotationError, SlideError
from tme.pipeline.slide_job import SlideJob, run_slide
from tme.stains import STAINS
from tme.stains.threshold import DabThreshold
from tme.store import read_json
from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS

CARBON, MELANIN, HAEMOSIDERIN = (0.577, 0.577, 0.577), (0.55, 0.58, 0.60), (0.27, 0.57, 0.78)
# Absorption that falls with the second and third power of the wavelength.
BROWN_MELANIN, PALE_MELANIN = (0.42, 0.54, 0.73), (0.35, 0.50, 0.79)


def job(folder: Path, annotations: Path | None = None) -> SlideJob:
    path = write_tiff(folder / "a.tif", tissue(600, 800, colours=UNSTAINED))
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


@pytest.mark.parametrize("haze", [0.15, 0.3])
def test_a_haze_that_passes_for_counterstain_has_no_numbers(tmp_path: Path, haze: float) -> None:
    # Dark nuclei on hardly stained ground: with the haze over them, blue and brown look like one stain.
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:1000, :1000]
    tissue = np.hypot(rows - 500, columns - 500) < 450
    nuclei = np.zeros((1000, 1000), np.float32)
    for y, x in rng.integers(120, 880, (700, 2)):
        cv2.circle(nuclei, (int(x), int(y)), int(rng.integers(5, 8)), float(rng.uniform(0.64, 0.96)), -1)
    nuclei = cv2.GaussianBlur(nuclei * tissue, (0, 0), 1.2)
    density = nuclei[..., None] * np.array([0.65, 0.70, 0.29])
    density += (0.03 + haze * tissue * rng.normal(1, 0.1, tissue.shape))[..., None] * np.array(HAEMOSIDERIN)
    pixels = np.clip(250 * 10 ** -np.where(tissue[..., None], density, 0), 0, 255).astype(np.uint8)
    WRITERS[".tif"](tmp_path / "a.tif", pixels, 0.5, 90)
    row = SlideRow("a", "A", "", "baseline", "CD8", tmp_path / "a.tif", 2)
    asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
    outcome = run_slide(asked)
    assert any("palest tissue is brown" in caution for caution in outcome.cautions)
    found = read_json(asked.folder / "measurements.json")["compartments"][0]
    assert found["estimates"].get("n_positive", {}).get("value") is None


def with_grains(
    pixels: NDArray[np.uint8], count: int, colour: tuple[float, float, float], longer: int = 1
) -> NDArray[np.uint8]:
    """Grains of 4 to 10 µm, or that times ``longer``, of an optical density of 0.6 to 1.6 in ``colour``."""
    rng = np.random.default_rng(1)
    inside = cv2.GaussianBlur((pixels.min(axis=2) < 225).astype(np.float32), (0, 0), 4) > 0.9
    rows, columns = np.nonzero(inside)
    density = np.zeros(inside.shape, np.float32)
    for k in rng.choice(len(rows), count, replace=False):
        place = (int(columns[k]), int(rows[k]))
        axes = (int(rng.integers(4, 10)) * longer, int(rng.integers(4, 8)))
        cv2.ellipse(density, place, axes, 0, 0, 360, float(rng.uniform(0.6, 1.6)), -1)
    density = cv2.GaussianBlur(density, (0, 0), 1)[..., None]
    return np.asarray(pixels * 10 ** (-density * np.array(colour)), np.uint8)


def test_smears_of_stain_are_no_cells_and_many_of_them_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = render_slide(SlideSpec("CD8", area_mm2=0.2, til_density_per_mm2=300), 3)
    inside = cv2.GaussianBlur((slide.pixels.min(axis=2) < 225).astype(np.float32), (0, 0), 4) > 0.9
    rows, columns = np.nonzero(inside)
    smears = np.zeros(inside.shape, np.float32)
    for k in np.random.default_rng(2).choice(len(rows), 60, replace=False):
        cv2.line(smears, (int(columns[k]), int(rows[k])), (int(columns[k]) + 24, int(rows[k])), 0.45, 5)
    smears = cv2.GaussianBlur(smears, (0, 0), 1)[..., None]
    smeared = slide.pixels * 10 ** (-smears * np.array([0.27, 0.57, 0.78]))
    counts, cautions = [], []
    for name, pixels in (("plain", slide.pixels), ("smeared", smeared.astype(np.uint8))):
        WRITERS[".tif"](tmp_path / f"{name}.tif", pixels, slide.mpp, 90)
        row = SlideRow(name, "A", "", "baseline", "CD8", tmp_path / f"{name}.tif", 2)
        asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
        cautions.append([one for one in run_slide(asked).cautions if "no nucleus is seen" in one])
        found = read_json(asked.folder / "measurements.json")["compartments"][0]["estimates"]
        counts.append(found["n_positive"]["value"])
    assert not cautions[0]
    assert len(cautions[1]) == 1
    # A smear on a nucleus makes it look positive.
    assert 0.95 * counts[0] <= counts[1] <= counts[0] + 20


@pytest.mark.parametrize(
    ("stain", "colour", "why"),
    [
        ("CD8", CARBON, "is black, not brown"),
        ("CD8", MELANIN, "is black, not brown"),
        ("CD8", HAEMOSIDERIN, "next to no haematoxylin"),
        ("CD8", BROWN_MELANIN, "pigment such as melanin"),
        ("CD31", CARBON, "is black, not brown"),
        ("CD31", MELANIN, "is black, not brown"),
        ("CD31", BROWN_MELANIN, "pigment such as melanin"),
        ("CD31", PALE_MELANIN, "pigment such as melanin"),
    ],
)
def test_a_section_with_pigment_alone_has_no_numbers_and_says_why(
    tmp_path: Path, stain: str, colour: tuple[float, float, float], why: str
) -> None:
    slide = render_slide(SlideSpec(stain, area_mm2=0.2, til_density_per_mm2=0, mvd_per_mm2=0), 3)
    WRITERS[".tif"](tmp_path / "a.tif", with_grains(slide.pixels, 80, colour), slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", stain, tmp_path / "a.tif", 2)
    asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
    outcome = run_slide(asked)
    assert any(why in caution for caution in outcome.cautions)
    found = read_json(asked.folder / "measurements.json")["compartments"][0]
    assert why in found["reasons"][STAINS.get(stain).targets[0]][0]
    for name in ("n_til", "til_density_per_mm2", "n_positive", "n_vessels", "mvd_per_mm2"):
        assert found["estimates"].get(name, {}).get("value") is None


@pytest.mark.parametrize(("drawn", "seed", "named"), [("HE", 3, "CD8"), ("HE", 3, "CD31"), ("CD31", 5, "HE")])
@pytest.mark.parametrize("cut", [None, 0.15])
def test_a_slide_of_another_stain_has_no_numbers_whatever_the_threshold(
    tmp_path: Path, drawn: str, seed: int, named: str, cut: float | None
) -> None:
    slide = render_slide(SlideSpec(drawn, area_mm2=0.2, til_density_per_mm2=300), seed)
    WRITERS[".tif"](tmp_path / "a.tif", slide.pixels, slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", named, tmp_path / "a.tif", 2)
    config = Config.model_validate({"stain": {"dab_threshold_od": cut}})
    asked = SlideJob(row, config, tmp_path / "results", "key", {})
    outcome = run_slide(asked)
    assert outcome.status == "ok"
    assert [one for one in outcome.cautions if one.startswith(f"does not look like {named}")]
    found = read_json(asked.folder / "measurements.json")["compartments"][0]
    assert found["reasons"][STAINS.get(named).targets[0]][0].startswith(f"does not look like {named}")
    for name in ("n_til", "til_density_per_mm2", "n_nuclei", "n_positive", "n_vessels", "dab_threshold_od"):
        assert found["estimates"].get(name, {}).get("value") is None


@pytest.mark.parametrize("named", ["CD8", "CD31"])
@pytest.mark.parametrize("drawn", ["CD8", "CD31"])
def test_markers_of_lymphocytes_and_of_vessels_mixed_up_are_said(
    tmp_path: Path, drawn: str, named: str
) -> None:
    spec = SlideSpec(drawn, area_mm2=0.3, til_density_per_mm2=300, mvd_per_mm2=100)
    slide = render_slide(spec, 6)
    WRITERS[".tif"](tmp_path / "a.tif", slide.pixels, slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", named, tmp_path / "a.tif", 2)
    outcome = run_slide(SlideJob(row, Config(), tmp_path / "results", "key", {}))
    said = [one for one in outcome.cautions if one.startswith(f"may not be {named}")]
    assert len(said) == (drawn != named)


@pytest.mark.parametrize(("finer", "said"), [(1, 0), (2, 1)])
def test_nuclei_of_the_size_a_wrong_resolution_gives_are_said(tmp_path: Path, finer: int, said: int) -> None:
    slide = render_slide(SlideSpec("HE", area_mm2=0.12, til_density_per_mm2=600), 3)
    pixels = cv2.resize(slide.pixels, None, fx=finer, fy=finer, interpolation=cv2.INTER_CUBIC)
    WRITERS[".tif"](tmp_path / "a.tif", pixels, slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", "HE", tmp_path / "a.tif", 2)
    outcome = run_slide(SlideJob(row, Config(), tmp_path / "results", "key", {}))
    assert len([one for one in outcome.cautions if "is µm/px right?" in one]) == said


@pytest.mark.parametrize("seed", [2000, 2003])
def test_dust_on_a_section_of_counterstain_alone_is_no_positive_cell(tmp_path: Path, seed: int) -> None:
    slide = render_slide(SlideSpec("CD8", area_mm2=0.6, til_density_per_mm2=0), seed)
    WRITERS[".tif"](tmp_path / "a.tif", slide.pixels, slide.mpp, 90)
    row = SlideRow("a", "A", "", "baseline", "CD8", tmp_path / "a.tif", 2)
    asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
    assert run_slide(asked).status == "ok"
    found = read_json(asked.folder / "measurements.json")["compartments"][0]["estimates"]
    assert found["n_positive"]["value"] == 0
    assert found["n_nuclei"]["value"] > 1000


@pytest.mark.parametrize(
    ("stain", "what", "colour", "longer", "more"),
    [
        # One at the side of a nucleus takes on its colour.
        ("CD8", "n_positive", CARBON, 1, 1),
        # A golden grain on a nucleus looks like a positive cell.
        ("CD8", "n_positive", HAEMOSIDERIN, 1, 4),
        ("CD8", "n_positive", BROWN_MELANIN, 1, 1),
        ("CD31", "n_vessels", CARBON, 3, 0),
        ("CD31", "n_vessels", BROWN_MELANIN, 3, 0),
    ],
)
def test_grains_among_what_is_positive_add_none(
    tmp_path: Path, stain: str, what: str, colour: tuple[float, float, float], longer: int, more: int
) -> None:
    slide = render_slide(SlideSpec(stain, area_mm2=0.2, til_density_per_mm2=600), 3)
    counts = []
    for name, grains in (("plain", 0), ("grains", 40)):
        path = tmp_path / f"{name}.tif"
        pixels = with_grains(slide.pixels, grains, colour, longer)
        WRITERS[".tif"](path, pixels, slide.mpp, 90)
        row = SlideRow(name, "A", "", "baseline", stain, path, 2)
        asked = SlideJob(row, Config(), tmp_path / "results", "key", {})
        assert run_slide(asked).status == "ok"
        found = read_json(asked.folder / "measurements.json")["compartments"][0]
        counts.append(found["estimates"][what]["value"])
        if what == "n_vessels":
            named = pq.read_table(asked.folder / "vessels.parquet")["compartment"]
            assert len(named) - named.null_count == counts[-1]
    plain, grains = counts
    assert plain > 10
    # A grain that lies on a positive cell hides it.
    assert 0.9 * plain <= grains <= plain + more


def test_another_version_of_the_engines_package_finds_cells_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, keys = job(tmp_path), []
    for found in ("1.0", "1.0", "1.1"):
        monkeypatch.setattr("tme.pipeline.slide_stages.engine_version", lambda config, found=found: found)
        run_slide(asked)
        keys.append(read_json(asked.folder / "manifest.json")["extra"]["stages"])
    assert keys[0] == keys[1]
    assert keys[1]["cells"] != keys[2]["cells"]
    assert keys[1]["stain"] == keys[2]["stain"]


def test_damaged_annotations_fail_the_slide_before_anything_costly(tmp_path: Path) -> None:
    (tmp_path / "bad.geojson").write_text("not json")
    asked = job(tmp_path, tmp_path / "bad.geojson")
    with pytest.raises(AnnotationError):
        run_slide(asked)
    assert not (asked.results / ".stages").exists()


TILE = 64


def tiled(path: Path, damaged: list[int]) -> Path:
    """A rendered section in about 900 small JPEG tiles, some of them overwritten with zeros."""
    slide = render_slide(SlideSpec("CD8", area_mm2=0.25, til_density_per_mm2=400), 3)
    side = TILE * 30
    pixels = np.full((side, side, 3), 235, np.uint8)
    height, width = (min(side, n) for n in slide.pixels.shape[:2])
    pixels[:height, :width] = slide.pixels[:height, :width]
    tifffile.imwrite(path, pixels, tile=(TILE, TILE), compression="jpeg", photometric="rgb")
    with tifffile.TiffFile(path) as file:
        places = [(file.pages[0].dataoffsets[k], file.pages[0].databytecounts[k]) for k in damaged]
    with path.open("r+b") as stream:
        for offset, size in places:
            stream.seek(offset)
            stream.write(bytes(size))
    return path


def run_tiled(folder: Path, damaged: list[int]) -> tuple[SlideJob, object]:
    folder.mkdir()
    row = SlideRow("a", "A", "", "baseline", "CD8", tiled(folder / "a.tif", damaged), 2, mpp=0.5)
    asked = SlideJob(row, Config(), folder / "results", "key", {})
    return asked, run_slide(asked)


def middle(folder: Path) -> tuple[int, int]:
    """Column and row of the tile in the middle of the tissue."""
    cells = pq.read_table(folder / "cells.parquet").to_pandas()
    return int(cells.x_px.median() // TILE), int(cells.y_px.median() // TILE)


def test_a_damaged_tile_is_left_out_of_counts_and_areas(tmp_path: Path) -> None:
    sound, _ = run_tiled(tmp_path / "sound", [])
    column, row = middle(sound.folder)
    asked, outcome = run_tiled(tmp_path / "bad", [row * 30 + column])
    assert outcome.status == "ok"
    assert any("1 tile cannot be decoded" in caution for caution in outcome.cautions)
    lost = read_json(asked.folder / "qc.json")["artefacts"]["unreadable"]["area_mm2"]
    assert lost == pytest.approx((TILE * 0.5e-3) ** 2, rel=0.6)
    area = [read_json(one.folder / "qc.json")["evaluable_area_mm2"] for one in (sound, asked)]
    assert area[0] - area[1] == pytest.approx(lost, rel=0.2)
    clean, left = (pq.read_table(one.folder / "cells.parquet").to_pandas() for one in (sound, asked))

    def outside(cells: object) -> set[tuple[float, float]]:
        """Cells a nucleus and more away from the tile."""
        near = (abs(cells.x_px - (column + 0.5) * TILE) < TILE) & (
            abs(cells.y_px - (row + 0.5) * TILE) < TILE
        )
        return set(zip(cells.x_px[~near], cells.y_px[~near], strict=True))

    inside = left[(left.x_px // TILE == column) & (left.y_px // TILE == row)]
    assert (inside.compartment.fillna("") == "").all()
    # The sample the stain is read from lacks the tile: a few outlines move by a pixel.
    assert len(outside(left)) == pytest.approx(len(outside(clean)), rel=0.01)
    assert len(outside(clean) & outside(left)) >= 0.85 * len(outside(clean))


def test_too_many_damaged_tiles_fail_the_slide(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"cannot be decoded"):
        run_tiled(tmp_path / "bad", list(range(300, 330)))
