"""Text from outside is shown as text on every page: the same elements whatever it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_objects import cell_table, plain_slide, tissue_mask
from tests.page_checks import PAYLOADS, check_page, element_tree, page_text
from tme.config import Config, OverlaySettings
from tme.overlay import write_overlay
from tme.report import write_index, write_report
from tme.stains.types import StainProfile
from tme.tables import write_csv

SLIDE_TEXTS = (
    "patient_id", "lesion_id", "timepoint", "stain", "compartment", "not_evaluable_reason", "reason",
    "caution", "code_version", "config_sha256",
)  # fmt: skip
PAIR_TEXTS = ("patient_id", "lesion_id", "compartment", "rc_source", "change_call", "note")


def index_page(folder: Path, text: str) -> str:
    row = {name: text for name in SLIDE_TEXTS} | {"slide_id": "s1", "status": "failed", "evaluable": ""}
    write_csv(folder / "slide_metrics.csv", list(row), [row])
    problem = {name: text for name in ("what", "where", "why", "fix")}
    write_index(folder, [{"slide_id": "s1", "status": "failed", **problem}])
    return (folder / "index.html").read_text()


def report_page(folder: Path, text: str) -> str:
    row = {name: text for name in SLIDE_TEXTS} | {"slide_id": "s1", "status": "failed", "evaluable": ""}
    pair = {name: text for name in PAIR_TEXTS} | {
        "stain": "CD8", "metric": "til_density_per_mm2", "timepoint_pre": "baseline",
        "timepoint_post": "on_treatment", "value_pre": 5.0, "value_post": 9.0, "log2fc": 0.8,
    }  # fmt: skip
    write_csv(folder / "slide_metrics.csv", list(row), [row])
    write_csv(folder / "pairs.csv", list(pair), [pair])
    write_report(folder, Config())
    return (folder / "report" / "index.html").read_text()


def overlay_page(folder: Path, text: str) -> str:
    slide = plain_slide(600, 400)
    tissue = tissue_mask(slide, artefact="pen")
    cells = cell_table(60, 600, 400, 0.5, compartment=[text] * 60, **{"class": [text] * 60})
    profile = StainProfile(
        text, (240.0, 240.0, 240.0), ((0.6, 0.7, 0.3), (0.3, 0.6, 0.7), (0.5, 0.5, 0.5)), 0.2, text, text
    )
    write_overlay(
        folder,
        slide,
        tissue,
        {text: tissue.usable},
        cells,
        None,
        title={name: text for name in ("slide_id", "patient", "timepoint", "stain")},
        summary=[(text, text)],
        cautions=[text],
        settings=OverlaySettings(fields=1, field_um=100),
        profile=profile,
    )
    scripts = "".join((folder / name).read_text() for name in ("data.js", "field-1.js"))
    for char in "<>&\u2028":
        assert char not in scripts
    return (folder / "index.html").read_text()


@pytest.mark.parametrize("make", [index_page, report_page, overlay_page])
def test_same_elements_and_the_text_is_shown(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    benign = element_tree(make(tmp_path / "benign", "P01"))
    for number, payload in enumerate(PAYLOADS):
        page = make(tmp_path / str(number), payload)
        assert element_tree(page) == benign, payload
        check_page(page)
        assert payload in page_text(page)
