"""The vessels stage on scenes with known vessels."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.vessel_scenes import CD8, CD31, MPP, Scene, all_tissue, profile, vessels_of
from tme.config import VesselSettings
from tme.stains.black import black_is_told
from tme.testing.memory import ArraySlide
from tme.vessels import find_vessels, vessel_mpp, vessels_possible
from tme.vessels.stained import stained_from_json
from tme.vessels.types import VESSEL_SCHEMA
from tme.vessels.windows import CORE_PX


def only(vessels):
    """The single row of a table, as a dict."""
    assert vessels.table.num_rows == 1
    return vessels.table.to_pylist()[0]


def test_empty_section_gives_an_empty_table_with_the_schema():
    vessels = vessels_of(Scene(200, 150))
    assert vessels.table.schema.equals(VESSEL_SCHEMA)
    assert vessels.table.num_rows == 0


def test_ring_is_one_vessel_with_the_size_it_was_drawn_with():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 20, wall=2.0)
    row = only(vessels_of(scene))
    assert row["x_um"] == pytest.approx(70, abs=0.5)
    assert row["y_um"] == pytest.approx(60, abs=0.5)
    assert row["area_um2"] == pytest.approx(math.pi * 21**2, rel=0.05)
    wall_um2, lumen_um2 = (np.count_nonzero(part) * MPP**2 for part in (scene.dab > 0.5, scene.dab == 0))
    assert row["lumen_area_um2"] == pytest.approx(lumen_um2, rel=0.08)
    assert row["endothelium_area_um2"] == pytest.approx(wall_um2, rel=0.12)
    assert row["perimeter_um"] == pytest.approx(2 * math.pi * 21, rel=0.05)
    assert row["min_feret_um"] == pytest.approx(42, rel=0.04)
    assert row["max_feret_um"] == pytest.approx(42, rel=0.04)
    assert row["eccentricity"] < 0.2
    assert row["solidity"] > 0.95
    assert 0.5 < row["object_prob"] <= 1
    assert row["compartment"] is None
    assert row["in_hotspot"] is None


def test_outline_is_the_filled_vessel_in_level_0_pixels():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 14, angle=30)
    row = only(vessels_of(scene))
    outline = shapely.from_wkb(row["geometry"])
    assert outline.geom_type == "Polygon"
    assert outline.is_valid
    assert not outline.interiors
    assert outline.area * MPP**2 == pytest.approx(row["area_um2"], rel=0.01)
    assert outline.centroid.x * MPP == pytest.approx(row["x_um"], abs=0.2)


def test_slit_keeps_its_narrow_lumen():
    scene = Scene(150, 100)
    scene.vessel(70, 50, 25, 4.5, angle=20, wall=2.0)
    row = only(vessels_of(scene))
    assert row["lumen_area_um2"] > 0.5 * math.pi * 24 * 3.5
    assert row["eccentricity"] > 0.95


@pytest.mark.parametrize(("inner_radius", "has_lumen"), [(3.5, True), (1.2, False)])
def test_only_a_hole_of_at_least_4_um_is_a_lumen(inner_radius, has_lumen):
    scene = Scene(100, 100)
    scene.disc(50, 50, 12)
    scene.disc(50, 50, inner_radius, dab=0.0)
    row = only(vessels_of(scene))
    assert (row["lumen_area_um2"] > 0) == has_lumen
    assert row["area_um2"] == pytest.approx(math.pi * 12**2, rel=0.06)


def test_a_gap_in_the_wall_does_not_hide_the_lumen():
    whole, gapped = Scene(150, 150), Scene(150, 150)
    whole.vessel(70, 60, 18, 18)
    gapped.vessel(70, 60, 18, 18, gap=25)
    area = only(vessels_of(whole))["area_um2"]
    assert only(vessels_of(gapped))["area_um2"] == pytest.approx(area, rel=0.08)


@pytest.mark.parametrize("gap", [30, 60, 90])
@pytest.mark.parametrize("radius", [9, 18])
def test_a_lumen_has_a_wall_where_none_is_stained(radius, gap):
    whole, gapped = Scene(100, 100), Scene(100, 100)
    whole.vessel(50, 50, radius, radius)
    gapped.vessel(50, 50, radius, radius, gap=gap)
    area = only(vessels_of(whole))["area_um2"]
    missing = area - only(vessels_of(gapped))["area_um2"]
    # Of a wall drawn 2 µm thick half is missing in the gap, not all of it.
    assert -0.01 * area <= missing <= 0.6 * 2.0 * np.radians(gap) * radius


def channel(between: float) -> Scene:
    """Two walls side by side that end at a wide cleft, and ``between`` of the section left between them."""
    scene = Scene(140, 120)
    scene.path([(20, 40), (80, 40)])
    scene.path([(20, 50), (80, 50)])
    for top, bottom, left, right, left_over in ((41.5, 48.5, 20, 82, between), (20, 100, 82, 110, 0.0)):
        place = tuple(slice(round(a / MPP), round(b / MPP)) for a, b in ((top, bottom), (left, right)))
        scene.haematoxylin[place] *= left_over
        scene.dab[place] *= left_over
    return scene


def test_a_lumen_narrower_than_the_gap_in_its_wall_is_found_where_it_is_empty() -> None:
    row = only(vessels_of(channel(between=0.0)))
    assert row["area_um2"] == pytest.approx(63 * 13, rel=0.08)
    assert row["lumen_area_um2"] == pytest.approx(60 * 7, rel=0.1)


def test_tissue_between_two_vessels_is_no_lumen() -> None:
    vessels = vessels_of(channel(between=1.0))
    assert vessels.table.num_rows == 2
    assert not any(vessels.table["lumen_area_um2"].to_pylist())


@pytest.mark.parametrize(("gap_um", "count"), [(2.5, 1), (14.0, 2)])
def test_fragments_are_one_vessel_when_their_gap_is_small(gap_um, count):
    scene = Scene(200, 60)
    scene.path([(20, 30), (80, 30)])
    scene.path([(83 + gap_um, 30), (150, 30)])
    vessels = vessels_of(scene)
    assert vessels.table.num_rows == count
    for wkb in vessels.table["geometry"].to_pylist():
        assert shapely.from_wkb(wkb).is_valid


def test_join_distance_comes_from_the_settings():
    scene = Scene(200, 60)
    scene.path([(20, 30), (80, 30)])
    scene.path([(90, 30), (150, 30)])
    assert vessels_of(scene, VesselSettings(join_um=3, line_um=0)).table.num_rows == 2
    assert vessels_of(scene, VesselSettings(join_um=12, line_um=0)).table.num_rows == 1
    assert vessels_of(scene, VesselSettings(join_um=3, line_um=14)).table.num_rows == 1


def test_two_vessels_beside_each_other_stay_two():
    scene = Scene(150, 100)
    scene.vessel(45, 50, 16, 16)
    scene.vessel(86, 50, 16, 16)
    assert vessels_of(scene).table.num_rows == 2


def test_specks_are_dropped():
    scene = Scene(150, 100)
    scene.disc(40, 40, 2.0)
    scene.disc(90, 60, 0.8)
    assert vessels_of(scene).table.num_rows == 0


def test_leucocytes_are_dropped_but_a_small_capillary_stays():
    scene = Scene(200, 100)
    scene.disc(40, 50, 4.5, dab=0.8, haematoxylin=0.6)
    scene.disc(80, 50, 5.0)
    scene.nucleus(80, 50, 3.2)
    scene.vessel(140, 50, 5.0, 5.0)
    row = only(vessels_of(scene))
    assert row["x_um"] == pytest.approx(140, abs=0.5)
    assert row["lumen_area_um2"] > 0


def test_leucocytes_stay_when_the_settings_say_so():
    scene = Scene(100, 100)
    scene.disc(40, 50, 4.5)
    assert vessels_of(scene, VesselSettings(max_leucocyte_um=0)).table.num_rows == 1


def test_tissue_that_vessels_surround_is_not_filled():
    scene = Scene(200, 200)
    scene.dab[:] = 0.04
    scene.vessel(100, 100, 50, 50, wall=3)
    inside = scene._ellipse(100, 100, 48, 48, 0.0, -1, 0.0)
    scene.haematoxylin[inside & (scene.dab < 0.5)] = 0.12
    for x in range(65, 140, 14):
        for y in range(65, 140, 14):
            if math.hypot(x - 100, y - 100) < 40:
                scene.nucleus(x, y, 4)
    row = only(vessels_of(scene))
    assert row["area_um2"] < 0.4 * math.pi * 50**2
    assert shapely.from_wkb(row["geometry"]).interiors


def test_what_floats_in_a_lumen_is_no_second_vessel():
    scene = Scene(200, 200)
    scene.vessel(100, 100, 40, 40, wall=3)
    scene.path([(92, 100), (108, 100)], wall=5)
    assert vessels_of(scene).table.num_rows == 1


@pytest.mark.parametrize("haze", [0.3, 0.45])
def test_background_staining_is_no_vessel(haze):
    scene = Scene(300, 300)
    scene.dab[:] = haze
    assert vessels_of(scene).table.num_rows == 0


def test_a_vessel_stands_out_of_background_staining():
    scene = Scene(300, 300)
    scene.dab[:] = 0.2
    scene.vessel(150, 150, 20, 20)
    row = only(vessels_of(scene))
    assert row["area_um2"] == pytest.approx(math.pi * 21**2, rel=0.08)


def test_without_a_threshold_there_is_nothing():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 20)
    slide = ArraySlide(scene.rgb(), MPP)
    vessels = find_vessels(slide, all_tissue(slide), profile(None), CD31, VesselSettings())
    assert vessels.table.num_rows == 0
    assert vessels.provenance["dab_threshold_od"] is None


def test_other_stains_have_no_vessels():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 20)
    slide = ArraySlide(scene.rgb(), MPP)
    assert find_vessels(slide, all_tissue(slide), profile(), CD8, VesselSettings()).table.num_rows == 0


def test_windows_without_tissue_are_not_looked_at():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 20)
    slide = ArraySlide(scene.rgb(), MPP)
    tissue = all_tissue(slide)
    tissue.tissue[:] = False
    assert find_vessels(slide, tissue, profile(), CD31, VesselSettings()).table.num_rows == 0


def test_rows_are_in_y_then_x_order():
    scene = Scene(200, 200)
    for x, y in [(150, 150), (50, 150), (150, 40), (50, 41)]:
        scene.vessel(x, y, 10, 10)
    table = vessels_of(scene).table
    places = list(zip(table["y_um"].to_pylist(), table["x_um"].to_pylist(), strict=True))
    assert places == sorted(places)
    assert table["vessel_id"].to_pylist() == [0, 1, 2, 3]


def test_outlines_are_in_level_0_pixels_when_the_work_is_done_at_another_resolution():
    scene = Scene(150, 150)
    scene.vessel(70, 60, 20, 20)
    fine = scene.rgb().repeat(2, axis=0).repeat(2, axis=1)
    slide = ArraySlide(fine, MPP / 2)
    row = only(find_vessels(slide, all_tissue(slide), profile(), CD31, VesselSettings()))
    centre = shapely.from_wkb(row["geometry"]).centroid
    assert centre.x == pytest.approx(70 / (MPP / 2), abs=2)
    assert row["x_um"] == pytest.approx(70, abs=0.5)


def test_the_score_rises_with_contrast():
    scores = []
    for dab in (0.45, 0.9):
        scene = Scene(120, 60)
        scene.path([(20, 30), (60, 30)], dab=dab)
        scores.append(only(vessels_of(scene))["object_prob"])
    assert scores[0] < scores[1]


def test_vessels_are_not_sought_on_coarse_slides():
    fine, coarse = (
        ArraySlide(np.zeros((4, 4, 3), np.uint8), 1.0),
        ArraySlide(np.zeros((4, 4, 3), np.uint8), 1.2),
    )
    assert vessels_possible(fine.info) == ""
    assert "1.2" in vessels_possible(coarse.info)


def test_the_mask_is_never_finer_than_the_slide():
    settings = VesselSettings(mpp=0.5)
    assert vessel_mpp(ArraySlide(np.zeros((4, 4, 3), np.uint8), 0.25).info, settings) == 0.5
    assert vessel_mpp(ArraySlide(np.zeros((4, 4, 3), np.uint8), 0.502).info, settings) == 0.502
    assert vessel_mpp(ArraySlide(np.zeros((4, 4, 3), np.uint8), 0.9).info, settings) == 0.9


def test_table_is_an_arrow_table_without_missing_measures():
    scene = Scene(120, 100)
    scene.vessel(50, 50, 12, 12)
    table = vessels_of(scene).table
    for name in VESSEL_SCHEMA.names:
        if name not in ("compartment", "in_hotspot"):
            assert table[name].null_count == 0
    assert pa.types.is_binary(table.schema.field("geometry").type)


def grains(scene: Scene, *places: tuple[float, float]) -> Scene:
    """Long grains, which by their shape could be capillaries."""
    for index, (x, y) in enumerate(places):
        scene.grain(x, y, 9, 2.5, 40 * index)
    return scene


def test_black_grains_are_no_vessels() -> None:
    places = [(60, 60), (140, 60), (60, 150), (140, 150)]
    assert vessels_of(grains(Scene(200, 200), *places)).table.num_rows == 0
    brown = Scene(200, 200)
    for x, y in places:
        brown.path([(x - 9, y), (x + 9, y)], wall=5)
    assert vessels_of(brown).table.num_rows == len(places)


def test_brown_grains_are_no_vessels_where_the_slide_tells_them() -> None:
    scene = Scene(200, 200)
    scene.path([(91, 60), (109, 60)], wall=5)
    pixels = scene.rgb()
    for y in (130, 160):
        light = np.array([255, 255, 255]) * 10 ** -np.array([0.42, 0.54, 0.73])
        cv2.ellipse(pixels, (round(100 / MPP), round(y / MPP)), (18, 5), 0, 0, 360, light.tolist(), -1)
    slide = ArraySlide(pixels, MPP)
    for least, count in ((None, 3), (1.08, 1)):
        told = replace(profile(), least_green=least)
        found = find_vessels(slide, all_tissue(slide), told, CD31, VesselSettings())
        assert found.table.num_rows == count


@pytest.mark.parametrize(("radius", "nucleus"), [(6, 3.5), (5, 0)])
def test_what_is_stained_is_known_where_single_cells_are_no_vessels(radius: float, nucleus: float) -> None:
    # Wider than a lumen may be: what lies between the cells is none.
    scene = Scene(600, 600, section_od=0.22)
    for y in range(30, 570, 26):
        for x in range(30, 570, 26):
            scene.disc(x, y, radius, dab=0.7)
            if nucleus:
                scene.disc(x, y, nucleus, dab=0.08, haematoxylin=0.7)
    vessels = vessels_of(scene)
    assert vessels.table.num_rows == 0
    drawn = 21 * 21 * math.pi * (radius**2 - nucleus**2)
    stained = stained_from_json(vessels.provenance["stained"])
    assert stained.total_um2 == pytest.approx(drawn, rel=0.2)
    tissue = all_tissue(ArraySlide(scene.rgb(), MPP))
    everywhere = np.ones(tissue.shape, bool)
    assert stained.within(everywhere, tissue) == pytest.approx(stained.total_um2, rel=0.01)
    everywhere[: len(everywhere) // 2] = False
    assert stained.within(everywhere, tissue) == pytest.approx(stained.total_um2 / 2, rel=0.1)


def test_a_vessel_with_a_grain_on_its_wall_stays() -> None:
    scene = Scene(200, 200)
    scene.vessel(100, 100, 25, 18, wall=3)
    alone = vessels_of(scene).table
    scene.grain(125, 100, 3, 2)
    beside = vessels_of(grains(scene, (40, 40), (160, 160))).table
    assert alone.num_rows == beside.num_rows == 1
    assert beside["area_um2"][0].as_py() == pytest.approx(alone["area_um2"][0].as_py(), rel=0.05)


def test_a_grain_that_is_darker_than_all_of_a_pale_vessel_does_not_take_it_along() -> None:
    scene = Scene(200, 200)
    scene.path([(85, 100), (115, 100)], wall=12, dab=0.45)
    alone = only(vessels_of(scene))["area_um2"]
    scene.grain(100, 100, 10, 3.5, od=3.0)
    assert only(vessels_of(scene))["area_um2"] > 0.95 * alone


def test_a_vessel_that_begins_in_one_window_with_a_grain_in_the_next_is_whole() -> None:
    """The part beyond the border is black alone: colour is asked of pieces joined across windows."""
    edge = CORE_PX * MPP
    areas = []
    for x in (edge, edge - 100):
        scene = Scene(1.2 * edge, 300)
        scene.path([(x - 40, 150), (x + 0.2, 150)], wall=6)
        scene.grain(x + 6, 150, 6, 3)
        areas.append(only(vessels_of(scene))["endothelium_area_um2"])
    assert areas[0] == areas[1]


def test_where_black_is_not_told_from_stain_nothing_is_left_out() -> None:
    # DAB over as much of so blue a counterstain is black.
    blue = replace(profile(), vectors=((0.81, 0.55, 0.2), profile().vectors[1], profile().vectors[2]))
    slide = ArraySlide(grains(Scene(200, 200), (60, 60), (140, 150)).rgb(), MPP)
    assert not black_is_told(CD31, blue)
    found = find_vessels(slide, all_tissue(slide), blue, CD31, VesselSettings())
    assert found.table.num_rows == 2
