"""The overlay page as a whole, and in a real browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_objects import cell_table, plain_slide, tissue_mask, vessel_table
from tests.page_checks import browse, check_page, page_text
from tme.config import OverlaySettings
from tme.overlay import write_assets, write_overlay
from tme.stains.types import StainProfile

TITLE = {"slide_id": "P01-baseline-CD8", "patient": "P01", "timepoint": "baseline", "stain": "CD8"}
PROFILE = StainProfile(
    "CD8",
    (243.0, 242.0, 244.0),
    ((0.65, 0.70, 0.29), (0.27, 0.57, 0.78), (0.7, -0.4, 0.5)),
    0.217,
    "slide",
    "",
    (),
    {"edges": [0.0, 0.1, 0.2, 0.3], "counts": [5.0, 9.0, 2.0]},
    threshold_low_od=0.19,
    threshold_high_od=0.24,
    slide_threshold_od=0.217,
)
FROZEN = replace(PROFILE, dab_threshold_od=0.15, threshold_source="control", threshold_low_od=0.12)
NO_GROUND = replace(
    PROFILE,
    dab_threshold_od=None,
    threshold_source="",
    threshold_note="half of the tissue is brown",
    threshold_low_od=None,
    threshold_high_od=None,
    slide_threshold_od=None,
)


def make(results: Path, **changes: Any) -> Path:
    slide = plain_slide()
    tissue = tissue_mask(slide, artefact="pen")
    folder = results / "slides" / "P01-baseline-CD8" / "overlay"
    values: dict[str, Any] = {
        "title": TITLE,
        "summary": [("TIL density", "312 /mm² (250 – 390)")],
        "cautions": ["less than 4 blocks"],
        "settings": OverlaySettings(fields=3, field_um=200),
        "profile": PROFILE,
        "cells": cell_table(900, 1600, 1200, 0.5),
        "vessels": None,
    } | changes
    cells, vessels = values.pop("cells"), values.pop("vessels")
    write_overlay(folder, slide, tissue, {"evaluable": tissue.usable}, cells, vessels, **values)
    return folder


def script_value(path: Path) -> Any:
    return json.loads(path.read_text().split(" = ", 1)[1].rstrip(";\n"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("results"))


def test_page_says_what_it_is_about(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    text = page_text(page)
    check_page(page)
    for expected in (
        "P01",
        "CD8",
        "312 /mm²",
        "less than 4 blocks",
        "0.217 OD (95 % interval 0.190 to 0.240), from the slide itself",
        "Density of TILs",
    ):
        assert expected in text
    assert "All slides" in text
    assert text.count("highest density") + text.count("median density") + text.count("random") >= 2


def test_areas_and_shares_are_those_of_the_mask(folder: Path) -> None:
    tissue = tissue_mask(plain_slide(), artefact="pen")
    text = page_text((folder / "index.html").read_text())
    share = 100 * tissue.area_mm2(tissue.artefact("pen")) / tissue.area_mm2(tissue.tissue)
    assert f"Tissue {tissue.area_mm2(tissue.tissue):.2f} mm²" in text
    assert f"{tissue.area_mm2(tissue.artefact('pen')):.3f}{share:.1f}" in text.replace("\n", "").replace(
        " ", ""
    )


def test_data_fits_the_page(folder: Path) -> None:
    data = script_value(folder / "data.js")
    assert len(data["fields"]) == 3
    assert [item["name"] for item in data["artefacts"]] == ["pen"]
    histogram = data["histogram"]
    assert [histogram[name] for name in ("threshold", "low", "high", "own")] == [0.217, 0.19, 0.24, None]
    for entry in data["fields"]:
        field = script_value(folder / f"field-{entry['number']}.js")
        assert field["url"].startswith("data:image/jpeg;base64,")
        assert {group["name"] for group in field["groups"]} == {"lymphocyte", "plasma", "other"}
        tils = sum(group["count"] for group in field["groups"] if group["name"] != "other")
        assert tils >= int(entry["count"].split()[0])
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000


def test_a_threshold_from_controls_stands_beside_the_slides_own(tmp_path: Path) -> None:
    made = make(tmp_path, profile=FROZEN)
    text = page_text((made / "index.html").read_text())
    assert "0.150 OD (95 % interval 0.120 to 0.240), from control slides of its batch" in text
    assert "The slide's own0.217 OD" in text.replace("\n", "").replace("  ", "")
    assert script_value(made / "data.js")["histogram"]["own"] == 0.217


def test_a_histogram_without_ground_for_a_cut_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, profile=NO_GROUND)
    page = (made / "index.html").read_text()
    check_page(page)
    text = page_text(page)
    for expected in ("none, see below", "half of the tissue is brown", "No cut is drawn"):
        assert expected in text
    histogram = script_value(made / "data.js")["histogram"]
    assert sum(histogram["counts"]) == 16
    assert [histogram[name] for name in ("threshold", "low", "high", "own")] == [None] * 4


def test_same_input_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = make(tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_a_slide_without_objects_or_profile_has_a_page(tmp_path: Path) -> None:
    made = make(tmp_path, cells=None, profile=None, summary=[], cautions=[])
    page = (made / "index.html").read_text()
    check_page(page)
    assert "Density of" not in page
    data = script_value(made / "data.js")
    assert data["density"] is None
    assert data["histogram"] is None


def test_an_empty_table_has_a_page_with_zero(tmp_path: Path) -> None:
    made = make(tmp_path, cells=None, vessels=vessel_table(0, 100, 100, 0.5))
    assert "0 vessels, 0/mm²" in page_text((made / "index.html").read_text())


def test_assets_are_written_once_and_mended(tmp_path: Path, folder: Path) -> None:
    write_assets(tmp_path)
    files = sorted((tmp_path / "assets").iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    files[0].write_bytes(b"cut off")
    write_assets(tmp_path)
    assert files[0].stat().st_size > 1000
    assert [path.stat().st_mtime_ns for path in files][1:] == times[1:]
    page = (folder / "index.html").read_text()
    assert all(f"../../../assets/{path.name}" in page for path in files)


# ---- in a browser -------------------------------------------------------------------------------

PROBE = """
window.addEventListener("load", () => setTimeout(() => {
  const below = (root) => [...root.querySelectorAll("*")].flatMap(
    (e) => [e, ...(e.shadowRoot ? below(e.shadowRoot) : [])]);
  const dark = (id) => below(document.getElementById(id)).filter((e) => e.tagName === "CANVAS").map((c) => {
    const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    return pixels.filter((_, i) => i % 4 === 0 && pixels[i] < 235 && pixels[i + 3] > 0).length;
  }).reduce((a, b) => a + b, 0);
  const say = (name, value) => document.body.setAttribute("data-" + name, value);
  say("overview", dark("overview"));
  say("chart", dark("histogram"));
  say("field", dark("field"));
  say("classes", document.getElementById("classes").textContent);
  document.querySelectorAll("#tabs button")[1].click();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "o" }));
  setTimeout(() => {
    say("outlines", document.getElementById("outlines").checked);
    say("second", dark("field"));
    say("loaded", Object.keys(window.tmeFields).join(","));
  }, 1200);
}, 1200));
"""


@pytest.mark.parametrize("profile", [PROFILE, FROZEN, NO_GROUND])
def test_the_page_works_from_a_folder_in_a_browser(tmp_path: Path, profile: StainProfile) -> None:
    results = tmp_path / "results"
    made = make(results, profile=profile)
    write_assets(results)
    page = made / "index.html"
    (made / "probe.js").write_text(PROBE)
    probed = page.read_text().replace("</body>", '<script src="probe.js"></script></body>')
    page.write_text(probed)
    document, console = browse(page, tmp_path / "profile")
    assert console == []
    assert 'id="waiting"' not in document
    said = {
        name: document.split(f'data-{name}="', 1)[1].split('"', 1)[0]
        for name in ("overview", "chart", "field", "second", "classes", "outlines", "loaded")
    }
    assert int(said["overview"]) > 20_000
    assert int(said["chart"]) > 500
    assert int(said["field"]) > 20_000
    assert int(said["second"]) > 20_000
    assert "Lymphocyte" in said["classes"]
    assert said["outlines"] == "false"
    assert said["loaded"] == "1,2"


def test_the_page_says_so_when_the_shared_scripts_are_missing(tmp_path: Path) -> None:
    document, _ = browse(make(tmp_path / "results") / "index.html", tmp_path / "profile")
    assert 'id="waiting"' in document
    assert "keep the results folder together" in document


def test_pixels_shown_are_those_of_the_slide(folder: Path) -> None:
    import base64
    import io

    from PIL import Image

    entry = script_value(folder / "data.js")["fields"][0]
    shown = script_value(folder / "field-1.js")
    with Image.open(io.BytesIO(base64.b64decode(shown["url"].split(",", 1)[1]))) as image:
        pixels = np.asarray(image).astype(int)
    slide = plain_slide()
    x, y = round(entry["x"] / 0.5), round(entry["y"] / 0.5)
    truth = slide.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]]
    assert np.abs(pixels - truth).mean() < 4
