"""A TIL slide and the vessel slide of its block, from their folders to the TIL slide's row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_measures import SETTINGS, SLIDE_MPP, cells_at, context_of, key_row, vessels_at
from tests.section_scenes import block, section, turned_about_middle
from tme.change import SlideResult
from tme.cohort import Cohort, SlideRow
from tme.config import Config
from tme.metrics import Estimate, measure_slide
from tme.pipeline.joint_job import join_sections
from tme.register import MAP_MPP, Registration, SectionMap, save_map
from tme.store import new_artefact, read_json
from tme.tables import write_parquet
from tme.tissue import save_mask
from tme.tissue.types import TissueMask

STILL = Registration(0.0, 0.0, 0.0)
CONFIG = Config(metrics=SETTINGS)
NAMES = ("til_to_vessel_um_median", "til_within_30um_pct", "til_perivascular_ratio")


def published(
    results: Path, row: SlideRow, shown: SectionMap, cells: Any = None, vessels: Any = None, **more: Any
) -> SlideResult:
    """The folder a slide's job leaves, as far as sections are concerned, and its measurements."""
    height, width = shown.usable.shape
    nothing = np.zeros(shown.usable.shape, np.uint8)
    size = (width * MAP_MPP, height * MAP_MPP)
    tissue = TissueMask(MAP_MPP, *size, shown.usable, nothing, True, 1)
    stages: dict[str, Any] = {"section": {"key": row.slide_id}}
    with new_artefact(results / "slides" / row.slide_id, "key", {}, {"stages": stages}) as folder:
        stages["tissue"] = {"value": save_mask(folder / "tissue.png", tissue)}
        save_map(folder / "section.png", np.rint(shown.density * 200).astype(np.uint8))
        for name, table in (("cells", cells), ("vessels", vessels)):
            if table is not None:
                write_parquet(folder / f"{name}.parquet", table)
    context = context_of(row.stain, shown.usable, cells=cells, vessels=vessels, tissue=tissue, **more)
    context = replace(context, keys={"slide_id": row.slide_id, "mpp_um": SLIDE_MPP})
    keys = key_row(slide_id=row.slide_id, stain=row.stain)
    return SlideResult(keys, measure_slide(context, SETTINGS))


def slide_row(slide_id: str, stain: str, **more: Any) -> SlideRow:
    return SlideRow(slide_id, "P1", "", "baseline", stain, Path(f"{slide_id}.svs"), 2, **more)


class Case:
    """A CD8 and a CD31 section of one block: half of the TILs lie 12 µm from a vessel."""

    def __init__(self, results: Path, other_block: bool = False) -> None:
        self.results = results
        tissue = block(1)
        rng = np.random.default_rng(5)
        rows, columns = np.nonzero(tissue.usable)
        picked = rng.choice(len(rows), 340, replace=False)
        places = (np.stack([columns, rows], 1)[picked] + 0.5) * MAP_MPP
        vessels, strewn = places[:40], places[40:]
        angle = rng.uniform(0, 2 * np.pi, 300)
        near = vessels[np.arange(300) % 40] + 17 * np.stack([np.cos(angle), np.sin(angle)], 1)
        self.tils = np.concatenate([near, strewn])
        lies = turned_about_middle(-35, tissue, 250, 180)
        there = vessels @ lies.matrix(1, 1)[:, :2].T + [lies.right_um, lies.down_um]
        self.cd8, self.cd31 = slide_row("a", "CD8"), slide_row("b", "CD31")
        cells = cells_at(*self.tils.T, [True] * 600)
        self.til_slide = published(results, self.cd8, section(tissue, STILL, 11), cells=cells)
        shown = section(block(55) if other_block else tissue, lies, 12)
        self.vessel_slide = published(results, self.cd31, shown, vessels=vessels_at(*there.T))

    def joined(
        self, rows: list[SlideRow] | None = None, slides: list[SlideResult] | None = None
    ) -> list[SlideResult]:
        cohort = Cohort(tuple(rows or [self.cd8, self.cd31]), ("baseline",))
        return join_sections(slides or [self.til_slide, self.vessel_slide], cohort, CONFIG, self.results)


def numbers(slide: SlideResult) -> dict[str, Estimate]:
    assert slide.measurements is not None
    return dict(slide.measurements.compartments["evaluable"].estimates)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_tils_are_measured_to_the_vessels_of_the_registered_section(case: Case) -> None:
    til_slide, vessel_slide = case.joined()
    found = numbers(til_slide)
    assert found["til_vessel_slide_id"].value == "b"
    assert 0 < found["til_vessel_error_um"].value <= 30
    assert found["til_within_30um_pct"].value == pytest.approx(50, abs=8)
    ratio = found["til_perivascular_ratio"]
    assert ratio.ci_low is not None
    assert ratio.ci_low > 5
    assert found["til_to_vessel_um_median"].value < 45
    assert "til_vessel_reason" not in found
    # Nothing else moved, on either slide.
    before = numbers(case.til_slide)
    assert {name: found[name] for name in before if name not in (*NAMES, "til_vessel_reason")} == {
        name: before[name] for name in before if name not in (*NAMES, "til_vessel_reason")
    }
    assert vessel_slide == case.vessel_slide
    saved = read_json(case.results / "registrations" / "a" / "b" / "registration.json")
    assert saved["reason"] == ""
    assert (case.results / "registrations" / "a" / "b" / "picture.jpg").is_file()


def test_a_registration_is_found_again_and_gives_the_same(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = numbers(case.joined()[0])

    def fails(*_: Any) -> None:
        raise AssertionError("registered twice")

    monkeypatch.setattr("tme.pipeline.joint_job.register_sections", fails)
    assert numbers(case.joined()[0]) == first


def reason_of(slide: SlideResult) -> str:
    found = numbers(slide)
    assert all(found[name].value is None for name in NAMES)
    assert all(found[name].note == found["til_vessel_reason"].value for name in NAMES)
    return str(found["til_vessel_reason"].value)


def test_another_block_is_told_and_gives_no_number(tmp_path: Path) -> None:
    case = Case(tmp_path, other_block=True)
    assert reason_of(case.joined()[0]).startswith("b: not registered, ")


@pytest.mark.parametrize(
    "other", [{"block_id": "B2"}, {"stain": "CD8"}, {"timepoint": "on_treatment"}, {"patient_id": "P2"}]
)
def test_only_a_vessel_slide_of_the_same_block_is_a_partner(case: Case, other: dict[str, str]) -> None:
    slides = case.joined([case.cd8, replace(case.cd31, **other)])
    assert reason_of(slides[0]) == "no section of this block is stained for vessels"


def test_a_partner_without_results_is_named(case: Case) -> None:
    failed = replace(case.vessel_slide, measurements=None, status="failed")
    assert reason_of(case.joined(slides=[case.til_slide, failed])[0]) == "b: slide failed"


def test_a_partner_whose_vessels_cannot_be_trusted_is_not_used(case: Case) -> None:
    measured = case.vessel_slide.measurements
    assert measured is not None
    whole = measured.compartments["evaluable"]
    doubtful = replace(whole, reasons={"vessels": ("the tumour may carry the marker itself",)})
    slide = replace(case.vessel_slide, measurements=replace(measured, compartments={"evaluable": doubtful}))
    assert "carry the marker itself" in reason_of(case.joined(slides=[case.til_slide, slide])[0])


def test_a_lost_map_takes_this_measure_alone(case: Case) -> None:
    (case.results / "slides" / "b" / "section.png").unlink()
    found = case.joined()[0]
    assert "cannot be read" in reason_of(found)
    assert numbers(found)["n_til"] == numbers(case.til_slide)["n_til"]


def test_lost_cells_take_this_measure_alone(case: Case) -> None:
    (case.results / "slides" / "a" / "cells.parquet").unlink()
    assert "cells.parquet" in reason_of(case.joined()[0])


def test_a_slide_whose_cells_could_not_be_counted_stays_as_it_is(case: Case) -> None:
    measured = case.til_slide.measurements
    assert measured is not None
    part = replace(measured.compartments["evaluable"], estimates={})
    slide = replace(case.til_slide, measurements=replace(measured, compartments={"evaluable": part}))
    assert case.joined(slides=[slide, case.vessel_slide])[0] == slide


def test_a_til_slide_that_failed_stays_as_it_is(case: Case) -> None:
    failed = replace(case.til_slide, measurements=None, status="failed")
    assert case.joined(slides=[failed, case.vessel_slide])[0] == failed
