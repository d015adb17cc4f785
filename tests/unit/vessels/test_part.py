"""Vessels that touch are parted; one vessel that looks like several is not."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from tests.vessel_scenes import CD31, MPP, Scene, all_tissue, profile, vessels_of
from tme.config import VesselSettings
from tme.testing.memory import ArraySlide
from tme.vessels import find_vessels
from tme.vessels.fill import Filled
from tme.vessels.part import parted
from tme.vessels.windows import CORE_PX


def rings(*centres, radius=10.0, side=120, wall=2.0):
    """Rings of one size."""
    scene = Scene(side, side)
    for x, y in centres:
        scene.vessel(x, y, radius, radius, wall=wall)
    return scene


def count(scene):
    """Number of vessels found."""
    return vessels_of(scene).table.num_rows


def stained_um2(table):
    """Endothelium of a whole table."""
    return sum(table["endothelium_area_um2"].to_pylist())


@pytest.mark.parametrize("apart", [21.0, 21.5, 22.0, 23.0])
@pytest.mark.parametrize("angle", [0, 30, 45, 90])
def test_two_rings_wall_to_wall_are_two_vessels(apart, angle):
    dx, dy = (apart / 2 * part(np.radians(angle)) for part in (np.cos, np.sin))
    table = vessels_of(rings((60 - dx, 60 - dy), (60 + dx, 60 + dy))).table
    assert table.num_rows == 2
    centres = [[row["x_um"], row["y_um"]] for row in table.to_pylist()]
    assert np.linalg.norm(np.subtract(*centres)) == pytest.approx(apart, abs=1.5)
    for row in table.to_pylist():
        assert row["area_um2"] == pytest.approx(np.pi * 11**2, rel=0.12)
        assert row["lumen_area_um2"] > 0.8 * np.pi * 9**2
        assert shapely.from_wkb(row["geometry"]).is_valid


def test_a_capillary_on_the_wall_of_a_large_vessel_is_its_own():
    scene = Scene(150, 120)
    scene.vessel(60, 60, 25, 25)
    scene.vessel(60 + 25 + 8.5, 60, 8, 8)
    assert count(scene) == 2


def test_three_rings_in_a_row_are_three_vessels():
    assert count(rings((30, 60), (51.5, 60), (73, 60))) == 3


def test_rings_that_touch_share_no_area():
    table = vessels_of(rings((50, 60), (71.5, 60))).table
    one, other = (shapely.from_wkb(wkb) for wkb in table["geometry"].to_pylist())
    assert one.intersection(other).area * MPP**2 < 0.01 * one.area * MPP**2


@pytest.mark.parametrize("thick", [1.0, 2.0, 4.0])
def test_a_lumen_crossed_by_a_septum_is_one_vessel(thick):
    scene = Scene(120, 120)
    scene.vessel(60, 60, 20, 16)
    scene.path([(60, 44), (60, 76)], wall=thick)
    assert count(scene) == 1


def test_a_pillar_thinner_than_the_wall_does_not_part_a_notched_vessel():
    scene = rings((50, 60), (69, 60), wall=4.0)
    scene.disc(59.5, 60, 5.5, dab=0.0)
    scene.path([(59.5, 50), (59.5, 70)], wall=1.5)
    assert count(scene) == 1


def test_a_tube_pinched_across_its_axis_is_one_vessel():
    scene = Scene(200, 100)
    scene.vessel(60, 50, 30, 6)
    scene.vessel(120, 50, 30, 6)
    assert count(scene) == 1


def test_a_winding_vessel_cut_twice_is_one():
    scene = Scene(160, 120)
    scene.vessel(40, 60, 12, 12)
    scene.vessel(110, 60, 12, 12)
    # The bend between its two open cuts is grazed: stained and broad.
    scene.path([(52, 60), (75, 60), (98, 60)], wall=12)
    assert count(scene) == 1


@pytest.mark.parametrize("waist", [2.0, 6.0])
def test_a_solid_dumb_bell_is_one_vessel(waist):
    scene = Scene(120, 100)
    scene.disc(40, 50, 10)
    scene.disc(70, 50, 10)
    scene.path([(40, 50), (70, 50)], wall=waist)
    assert count(scene) == 1


def test_gaps_in_a_solid_wall_are_no_vessels():
    scene = Scene(120, 100)
    for x in (45, 68):
        scene.disc(x, 50, 12)
        scene.disc(x, 50, 2.4, dab=0.0)
    assert count(scene) == 1


def test_a_net_is_one_object():
    centres = [(30 + 21.5 * column, 30 + 21.5 * row) for row in range(5) for column in range(5)]
    assert count(rings(*centres, side=160)) == 1


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (5, 3), (12, 0)])
def test_rings_that_touch_on_the_border_of_windows_are_parted_alike(corner):
    edge = CORE_PX * MPP
    scene = Scene(edge + 100, edge + 100)
    x, y = edge + corner[0], edge + corner[1]
    scene.vessel(x - 10.75, y, 10, 10)
    scene.vessel(x + 10.75, y, 10, 10)
    slide = ArraySlide(scene.rgb(), MPP)
    settings = VesselSettings()
    found = [
        find_vessels(slide, all_tissue(slide), profile(), CD31, settings, task_px=task_px).table
        for task_px in (1024, 4096)
    ]
    assert found[0].equals(found[1])
    inner = vessels_of(rings((49.25, 60), (70.75, 60))).table
    assert found[0]["area_um2"].to_pylist() == inner["area_um2"].to_pylist()


@pytest.mark.parametrize("lumens", [0, 1])
def test_without_two_lumens_the_outline_is_given_back(lumens):
    outline = np.zeros((40, 40), bool)
    outline[5:35, 5:35] = True
    lumen = np.zeros_like(outline)
    lumen[10 : 10 + 12 * lumens, 10:22] = True
    (only,) = parted(outline & ~lumen, Filled(outline, lumen), VesselSettings(), MPP)
    assert only is outline


def test_an_empty_object_is_given_back():
    empty = np.zeros((9, 9), bool)
    assert len(parted(empty, Filled(empty, empty.copy()), VesselSettings(), MPP)) == 1


def test_parts_that_are_no_vessels_by_themselves_stay_together():
    scene = rings((50, 60), (61.5, 60), radius=5.0)
    assert vessels_of(scene, VesselSettings(min_area_um2=30)).table.num_rows == 2
    whole = vessels_of(scene, VesselSettings(min_area_um2=150)).table
    assert whole.num_rows == 1
    assert stained_um2(whole) == pytest.approx(stained_um2(vessels_of(scene).table), rel=1e-6)
