"""The cells stage on a rendered slide and on drawn fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.cell_scenes import MPP, all_tissue, nuclei_field, painted, profile_of, table_bytes
from tme.cells import cautions, stage
from tme.cells.engines import SEGMENTERS
from tme.cells.nuclei import LEAST_UM2
from tme.cells.stage import cells_possible, cluster_counts, find_cells, segment_task
from tme.cells.stitch import Tally, merged_slices, pack
from tme.cells.types import CELL_SCHEMA, CLUSTER_CELL_UM2, LEAST_NUCLEAR, Cells, Detections, Evidence
from tme.config import CellSettings, StainSettings, TissueSettings
from tme.slide.types import Level, SlideInfo
from tme.stains import STAINS
from tme.stains.estimate import estimate_profile
from tme.stains.types import StainProfile
from tme.testing.memory import ArraySlide
from tme.testing.render import Rendered, SlideSpec, render_slide
from tme.tiles import make_grid, one_by_one
from tme.tissue import find_tissue
from tme.tissue.types import TissueMask

SETTINGS = CellSettings(engine="watershed")
NOTHING = ArraySlide(np.zeros((10, 10, 3), np.uint8), 0.5)


@lru_cache(maxsize=4)
def rendered(stain: str) -> tuple[Rendered, ArraySlide, TissueMask, StainProfile]:
    """A slide of 2 x 2 windows, its tissue and its profile."""
    drawn = render_slide(SlideSpec(stain, 0.2, til_density_per_mm2=800, mvd_per_mm2=40), 11)
    slide = ArraySlide(drawn.pixels, drawn.mpp)
    tissue = find_tissue(slide, TissueSettings())
    return drawn, slide, tissue, estimate_profile(slide, tissue, STAINS.get(stain), StainSettings())


@lru_cache(maxsize=4)
def cells_on(stain: str) -> Cells:
    _, slide, tissue, profile = rendered(stain)
    return find_cells(slide, tissue, profile, STAINS.get(stain), SETTINGS)


def drawn_slide(stain: str = "CD8", side: int = 200, seed: int = 0) -> tuple[ArraySlide, np.ndarray]:
    density, centres = nuclei_field((side, side), seed)
    return ArraySlide(painted(density, profile_of(stain)), MPP), centres


def shuffled(seed: int) -> Any:
    """A runner that does tasks in a random order and hands the results back in that order."""

    def run(function: Any, tasks: Sequence[Any]) -> list[pa.Table]:
        return [function(tasks[place]) for place in np.random.default_rng(seed).permutation(len(tasks))]

    return run


@pytest.mark.parametrize("stain", ["HE", "CD8"])
def test_task_size_and_order_change_no_byte(stain: str) -> None:
    _, slide, tissue, profile = rendered(stain)
    wanted = table_bytes(cells_on(stain).table)
    for runner, task_px in ((shuffled(1), 1024), (one_by_one, 4096)):
        found = find_cells(slide, tissue, profile, STAINS.get(stain), SETTINGS, runner, task_px)
        assert table_bytes(found.table) == wanted


@pytest.mark.parametrize("stain", ["HE", "CD8"])
def test_the_count_is_near_the_truth(stain: str) -> None:
    truth, found = rendered(stain)[0].truth, cells_on(stain).table
    til = sum(found["is_til"].to_pylist())
    assert til == pytest.approx(truth.n_til, rel=0.3)
    if stain == "HE":
        assert found.num_rows == pytest.approx(truth.n_nuclei, rel=0.25)


@pytest.mark.parametrize("stain", ["HE", "CD8"])
def test_the_table_keeps_its_promises(stain: str) -> None:
    _, slide, tissue, _ = rendered(stain)
    table = cells_on(stain).table
    assert table.schema.equals(CELL_SCHEMA)
    values = table.to_pandas()
    assert values["cell_id"].tolist() == list(range(len(values)))
    places = list(zip(values["y_um"], values["x_um"], strict=True))
    assert places == sorted(places)
    polygons = shapely.from_wkb(values["geometry"].to_numpy())
    assert shapely.is_valid(polygons).all()
    assert (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON).all()
    np.testing.assert_allclose(shapely.area(polygons) * slide.info.mpp**2, values["area_um2"], rtol=1e-6)
    centre = shapely.get_coordinates(shapely.centroid(polygons))
    np.testing.assert_allclose(centre, values[["x_px", "y_px"]], atol=1e-4)
    np.testing.assert_allclose(values["x_px"] * slide.info.mpp, values["x_um"], atol=1e-3)
    assert values["class_prob"].between(0.5, 1).all()
    assert values["solidity"].between(0, 1).all()
    assert values["area_um2"].between(LEAST_UM2 * 0.9, SETTINGS.max_area_um2 * 1.1).all()
    assert tissue.values_at(values["x_um"].to_numpy(), values["y_um"].to_numpy(), tissue.tissue).all()
    assert values["cluster_count"].isna().all()
    assert values["compartment"].isna().all()
    # Outlines are of one label map per window, so that hardly any two overlap.
    one, two = shapely.STRtree(polygons).query(polygons, predicate="overlaps")
    assert len(set(one[one < two])) <= 2


def test_columns_that_do_not_apply_are_missing() -> None:
    he, cd8 = cells_on("HE").table, cells_on("CD8").table
    for name in ("dab_od", "dab_ring_od", "positive"):
        assert he[name].null_count == he.num_rows
        assert cd8[name].null_count == 0
    assert he["is_til"].null_count == cd8["is_til"].null_count == 0
    assert cd8["is_til"].equals(cd8["positive"])
    assert set(he["class"].to_pylist()) == {"lymphocyte", "other"}
    assert set(cd8["class"].to_pylist()) == {"positive", "negative"}


def test_ki67_says_nothing_of_lymphocytes() -> None:
    slide, centres = drawn_slide("KI67")
    table = find_cells(slide, all_tissue(slide), profile_of("KI67"), STAINS.get("KI67"), SETTINGS).table
    assert table["is_til"].null_count == table.num_rows == len(centres)
    assert table["positive"].null_count == 0


def test_where_cells_come_from_is_recorded() -> None:
    assert cells_on("CD8").provenance == {
        "engine": "watershed",
        "model_id": "watershed-1",
        "model_sha256": "",
        "work_mpp_um": 0.5,
        "cautions": [],
    }


class Pale:
    """An engine that learned from paler slides than any."""

    model_id, model_sha256, domain = "pale-1", "", MappingProxyType({"nucleus": (0.0, 0.01)})


@pytest.mark.parametrize(("stain", "said"), [("HE", True), ("CD8", False)])
def test_a_slide_unlike_what_the_engine_learned_from_gets_a_caution(
    monkeypatch: pytest.MonkeyPatch, stain: str, said: bool
) -> None:
    monkeypatch.setattr(stage, "load_engine", lambda _: Pale())
    cautions = stage.cell_provenance(NOTHING.info, all_tissue(NOTHING), SETTINGS, profile_of(stain), Tally())[
        "cautions"
    ]
    assert bool(cautions) is said
    if said:
        assert "darker" in cautions[0]


def test_positive_cells_that_crowd_along_glass_are_said() -> None:
    side = 600
    rgb = np.full((side, side, 3), 246, np.uint8)
    rgb[:, 100:] = (222, 216, 226)
    rng = np.random.default_rng(0)
    for x in range(125, side - 20, 25):
        for y in range(20, side - 20, 25):
            colour = (110, 80, 50) if x < 150 else (110, 120, 170)
            cv2.circle(rgb, (x, y + int(rng.integers(-3, 4))), 7, colour, -1)
    slide = ArraySlide(rgb, MPP)
    tissue, profile = find_tissue(slide, TissueSettings()), replace(profile_of("CD8"), dab_threshold_od=0.15)
    found = find_cells(slide, tissue, profile, STAINS.get("CD8"), SETTINGS)
    (said,) = found.provenance["cautions"]
    assert "positive cells lie within 30 µm of the tissue's border" in said
    inside = replace(tissue, tissue=np.ones_like(tissue.tissue))
    assert not find_cells(slide, inside, profile, STAINS.get("CD8"), SETTINGS).provenance["cautions"]


@pytest.mark.parametrize(
    ("left_out", "positive", "said"), [(19, 0, False), (20, 60, True), (20, 61, False), (0, 0, False)]
)
def test_much_brown_without_a_nucleus_is_a_caution(left_out: int, positive: int, said: bool) -> None:
    provenance = stage.cell_provenance(
        NOTHING.info, all_tissue(NOTHING), SETTINGS, profile_of("CD8"), Tally(positive, left_out)
    )
    assert bool(provenance["cautions"]) is said
    assert not said or f"{left_out} of {left_out + positive} positive objects" in provenance["cautions"][0]


@pytest.mark.parametrize(
    ("mpp", "possible"), [(0.1, True), (0.25, True), (0.65, True), (0.6501, False), (1.0, False)]
)
def test_how_coarse_a_slide_may_be(mpp: float, possible: bool) -> None:
    reason = cells_possible(SlideInfo("a", "memory", (Level(10, 10, mpp),), "sheet"))
    assert (reason == "") is possible
    assert possible or "0.65" in reason


def test_every_drawn_nucleus_is_found_where_it_is() -> None:
    slide, centres = drawn_slide(side=300)
    table = find_cells(slide, all_tissue(slide), profile_of("CD8"), STAINS.get("CD8"), SETTINGS).table
    found = np.column_stack([table["x_px"], table["y_px"]])
    assert len(found) == len(centres)
    away = np.linalg.norm(found[:, None] - centres[None], axis=2).min(axis=1)
    assert away.max() < 1.0


def test_finer_pixels_give_the_same_cells_in_their_own_coordinates() -> None:
    slide, centres = drawn_slide()
    fine = ArraySlide(np.repeat(np.repeat(slide.pixels, 2, axis=0), 2, axis=1), MPP / 2)
    coarse, found = (
        find_cells(one, all_tissue(one), profile_of("CD8"), STAINS.get("CD8"), SETTINGS).table
        for one in (slide, fine)
    )
    assert found["x_um"].equals(coarse["x_um"])
    assert found["area_um2"].equals(coarse["area_um2"])
    np.testing.assert_allclose(found["x_px"], 2 * coarse["x_px"].to_numpy(), atol=2e-4)
    areas = [shapely.area(shapely.from_wkb(table["geometry"].to_numpy())) for table in (coarse, found)]
    np.testing.assert_allclose(areas[1], 4 * areas[0])
    assert len(centres) == found.num_rows


def test_cells_outside_tissue_have_no_row() -> None:
    slide, _ = drawn_slide()
    mask = all_tissue(slide)
    left = replace(mask, tissue=np.arange(mask.shape[1])[None] < np.full((mask.shape[0], 1), 12))
    everything, half = (
        find_cells(slide, one, profile_of("CD8"), STAINS.get("CD8"), SETTINGS).table for one in (mask, left)
    )
    inside = everything["x_um"].to_numpy() < 12 * mask.mpp
    assert 0 < inside.sum() < len(inside)
    assert half["x_um"].to_pylist() == everything["x_um"].to_numpy()[inside].tolist()


@pytest.mark.parametrize("level", [243, 255, 0, 128])
def test_blank_tissue_has_no_cells(level: int) -> None:
    slide = ArraySlide(np.full((150, 130, 3), level, np.uint8), MPP)
    for stain in ("HE", "CD8"):
        cells = find_cells(slide, all_tissue(slide), profile_of(stain), STAINS.get(stain), SETTINGS)
        assert cells.table.num_rows == 0
        assert cells.table.schema.equals(CELL_SCHEMA)


def test_no_tissue_no_cells_and_no_task() -> None:
    slide, _ = drawn_slide()
    mask = all_tissue(slide)
    none = replace(mask, tissue=np.zeros_like(mask.tissue))
    asked: list[int] = []

    def runner(function: Any, tasks: Sequence[Any]) -> list[pa.Table]:
        asked.append(len(tasks))
        return [function(task) for task in tasks]

    assert find_cells(slide, none, profile_of("CD8"), STAINS.get("CD8"), SETTINGS, runner).table.num_rows == 0
    assert asked == [0]


@pytest.mark.parametrize("shape", [(3, 3), (3, 200), (200, 5)])
def test_slides_smaller_than_a_nucleus(shape: tuple[int, int]) -> None:
    slide = ArraySlide(np.full((*shape, 3), 90, np.uint8), MPP)
    for stain in ("HE", "CD8"):
        table = find_cells(slide, all_tissue(slide), profile_of(stain), STAINS.get(stain), SETTINGS).table
        assert table.schema.equals(CELL_SCHEMA)


def test_windows_are_the_segmenters_own() -> None:
    assert SEGMENTERS.get(SETTINGS.engine).core_px < min(rendered("HE")[1].pixels.shape[:2])


class Undecided:
    """An engine that puts one nucleus a pixel beyond its core, whichever window it is asked about."""

    model_id, model_sha256 = "undecided-1", ""

    def segment(self, rgb: np.ndarray, mpp: float, profile: StainProfile) -> Detections:
        labels = np.zeros(rgb.shape[:2], np.int32)
        # The left window reaches from 0 to 148, the right one from 52 to 200; the border lies at 100.
        left = 101 if rgb[0, 0, 0] == 0 else 97 - 52
        labels[40:50, left - 4 : left + 6] = 1
        return Detections(labels)


def test_a_nucleus_no_window_owns_is_counted_once() -> None:
    pixels = np.full((100, 200, 3), 200, np.uint8)
    pixels[0, 0] = 0
    slide = ArraySlide(pixels, MPP)
    windows = make_grid(all_tissue(slide), (200, 100), MPP, 100, 48, fixed=False).windows
    assert len(windows) == 2
    tables = [
        segment_task(
            (one,), slide.read, Undecided(), slide.info, MPP, profile_of("CD8"), STAINS.get("CD8"), SETTINGS
        )
        for one in windows
    ]
    assert [table["in_core"].to_pylist() for table in tables] == [[False], [False]]
    assert sum(table.num_rows for table in merged_slices([pack(table) for table in tables])) == 1


class Crumbling:
    """An engine whose nuclei, labels 1 and 2, have 25 and 49 pixels in one piece and 20 more strewn about."""

    model_id, model_sha256 = "crumbling-1", ""

    def segment(self, rgb: np.ndarray, mpp: float, profile: StainProfile) -> Detections:
        labels = np.zeros(rgb.shape[:2], np.int32)
        for label, column, side in ((1, 20, 5), (2, 60, 7)):
            labels[20 : 20 + side, column : column + side] = label
            labels[40:50:2, column : column + 8 : 2] = label
        return Detections(labels)


@pytest.mark.parametrize(("least_um2", "kept"), [(None, 1), (5.0, 2), (12.0, 1), (13.0, 0)])
def test_the_least_area_is_asked_of_outlines_whatever_the_engine(least_um2: float | None, kept: int) -> None:
    slide = ArraySlide(np.full((100, 100, 3), 200, np.uint8), MPP)
    windows = make_grid(all_tissue(slide), (100, 100), MPP, 100, 0, fixed=False).windows
    settings = CellSettings(min_area_um2=least_um2)
    table = segment_task(
        windows, slide.read, Crumbling(), slide.info, MPP, profile_of("CD8"), STAINS.get("CD8"), settings
    )
    assert table.num_rows == kept


class Doubting(Crumbling):
    """The same, and in the second there is no whole nucleus, and less of one than a cell has."""

    share = LEAST_NUCLEAR - 0.01

    def segment(self, rgb: np.ndarray, mpp: float, profile: StainProfile) -> Detections:
        found = super().segment(rgb, mpp, profile)
        seen = Evidence(np.array([True, False]), np.array([0.0, self.share]), np.array([False, False]))
        return replace(found, evidence=seen)


class Believing(Doubting):
    """As much of the second is nucleus as a cell has."""

    share = LEAST_NUCLEAR


@pytest.mark.parametrize(
    ("engine", "stain", "left_out"),
    [(Doubting(), "CD8", 1), (Doubting(), "HE", 0), (Believing(), "CD8", 0), (Crumbling(), "CD8", 0)],
)
def test_what_no_nucleus_is_seen_in_is_no_cell_and_is_counted(
    monkeypatch: pytest.MonkeyPatch, engine: Crumbling, stain: str, left_out: int
) -> None:
    monkeypatch.setattr(stage, "load_engine", lambda _: engine)
    monkeypatch.setattr(cautions, "FEWEST_UNSEEN", 1)
    slide = ArraySlide(np.full((100, 100, 3), (130, 90, 50), np.uint8), MPP)
    settings = CellSettings(engine="watershed", min_area_um2=5.0)
    cells = find_cells(slide, all_tissue(slide), profile_of(stain), STAINS.get(stain), settings)
    assert cells.table.num_rows == 2 - left_out
    assert cells.table["x_um"].to_pylist()[0] == pytest.approx(22.5 * MPP, abs=0.3)
    assert ["no nucleus is seen" in said for said in cells.provenance["cautions"]] == [True] * left_out


class Clumped(Crumbling):
    """A cell, and what is left of a clump, in which nuclei are hidden or not."""

    def __init__(self, hidden: bool) -> None:
        self.hidden = hidden

    def segment(self, rgb: np.ndarray, mpp: float, profile: StainProfile) -> Detections:
        labels = np.zeros(rgb.shape[:2], np.int32)
        labels[10:20, 10:20], labels[40:80, 40:80] = 1, 2
        seen = Evidence(np.array([True, self.hidden]), np.array([1.0, 0.0]), np.array([False, True]))
        return Detections(labels, evidence=seen)


def test_the_rest_of_a_clump_is_a_row_that_counts_as_its_area_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slide = ArraySlide(np.full((100, 100, 3), (130, 90, 50), np.uint8), MPP)
    settings = CellSettings(engine="watershed")

    def found(hidden: bool, stain: str = "CD8") -> Cells:
        monkeypatch.setattr(stage, "load_engine", lambda _: Clumped(hidden))
        return find_cells(slide, all_tissue(slide), profile_of(stain), STAINS.get(stain), settings)

    worth = round(400 / CLUSTER_CELL_UM2)
    table = found(True).table
    assert table["in_cluster"].to_pylist() == [False, True]
    assert table["cluster_count"].to_pylist() == [None, worth]
    assert table["positive"].to_pylist() == [True, True]
    # Without a nucleus in it the clump is no cell, and it is said of as many as it would have been.
    monkeypatch.setattr(cautions, "FEWEST_UNSEEN", worth)
    without = found(False)
    assert without.table["cluster_count"].to_pylist() == [None]
    assert f"in {worth} of {worth + 1} positive objects" in without.provenance["cautions"][0]


@pytest.mark.parametrize(("area", "count"), [(10.0, 1), (60.0, 1), (89.0, 1), (91.0, 2), (1800.0, 30)])
def test_a_cluster_counts_by_its_area_and_a_cell_as_one(area: float, count: int) -> None:
    found = cluster_counts(np.array([area, area]), np.array([True, False]))
    assert found.tolist() == [count, 1]
    assert cluster_counts(np.array([area]), None).tolist() == [1]


ROWS, COLUMNS = np.mgrid[:100, :100]
AWAY = np.hypot(ROWS - 50, COLUMNS - 50)
HALF_RIM = (AWAY >= 6) & (AWAY < 10) & (COLUMNS < 50)
GRAIN = (np.hypot(ROWS - 50, COLUMNS - 34) < 10) & (AWAY >= 6)


class Rimmed:
    """An engine that finds a nucleus and, as an object of its own, stain that is no cell."""

    model_id, model_sha256 = "rimmed-1", ""

    def __init__(self, stain: np.ndarray) -> None:
        self.stain = stain

    def segment(self, rgb: np.ndarray, mpp: float, profile: StainProfile) -> Detections:
        labels = np.where(AWAY < 6, 1, np.where(self.stain, 2, 0)).astype(np.int32)
        seen = Evidence(np.array([True, False]), np.array([1.0, 0.02]), np.array([False, False]))
        return Detections(labels, evidence=seen)


@pytest.mark.parametrize(("stain", "positive"), [(HALF_RIM, True), (GRAIN, False)], ids=["rim", "grain"])
def test_a_rim_that_is_no_cell_is_the_ring_of_its_cell_and_a_grain_is_not(
    stain: np.ndarray, positive: bool
) -> None:
    density = np.zeros((100, 100, 2), np.float32)
    density[AWAY < 6] = (0.6, 0.0)
    density[stain] = (0.0, 0.9)
    slide = ArraySlide(painted(density, profile_of("CD8")), MPP)
    windows = make_grid(all_tissue(slide), (100, 100), MPP, 100, 0, fixed=False).windows
    one = Rimmed(stain)
    table = segment_task(
        windows, slide.read, one, slide.info, MPP, profile_of("CD8"), STAINS.get("CD8"), CellSettings()
    )
    assert table["is_cell"].to_pylist() == [True, False]
    assert table["positive"].to_pylist() == [positive, True]
