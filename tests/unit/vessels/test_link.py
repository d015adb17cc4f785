"""Stretches of one vessel that lie end to end are one; vessels that do not, are not."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.vessel_scenes import Scene, vessels_of
from tme.vessels.windows import CORE_PX


def found(*paths, wall=4.0, side=120.0):
    """Number of vessels found where these lines are stained."""
    scene = Scene(side, side)
    for path in paths:
        scene.path(path, wall=wall)
    return vessels_of(scene).table.num_rows


def stretches(gap, turn=0.0, aside=0.0, length=25.0, middle=(60.0, 60.0), angle=0.0):
    """Two stretches with a gap between their ends, the second turned about its end and moved aside."""
    first = np.array([[-gap / 2 - length, 0.0], [-gap / 2, 0.0]])
    way = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    start = np.array([gap / 2, aside])
    second = np.stack([start, start + length * way])
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = np.array([[cosine, -sine], [sine, cosine]])
    return [path @ turned.T + middle for path in (first, second)]


@pytest.mark.parametrize("angle", [0, 30, 45, 110])
@pytest.mark.parametrize("gap", [8.0, 12.0])
def test_two_stretches_in_line_are_one_vessel(gap, angle):
    assert found(*stretches(gap, angle=angle)) == 1


def test_its_area_is_that_of_both_and_little_more():
    scene = Scene(120, 120)
    for path in stretches(12.0):
        scene.path(path, wall=4.0)
    (row,) = vessels_of(scene).table.to_pylist()
    assert row["area_um2"] == pytest.approx(row["endothelium_area_um2"], rel=0.06)
    assert row["max_feret_um"] == pytest.approx(62 + 4, abs=4)
    assert shapely.from_wkb(row["geometry"]).geom_type == "Polygon"


def test_a_row_of_stretches_is_one_vessel():
    paths = [[(x, 60.0), (x + 20.0, 60.0)] for x in (10.0, 43.0, 76.0)]
    assert found(*paths) == 1


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(stretches(25.0), id="too far"),
        pytest.param(stretches(12.0, turn=60.0), id="turned away"),
        pytest.param(stretches(-25.0, aside=12.0), id="side by side"),
        pytest.param([stretches(12.0)[0], [(74.0, 45.0), (74.0, 75.0)]], id="end to side"),
    ],
)
def test_others_stay_apart(paths):
    assert found(*paths) == 2


def test_a_thick_vessel_does_not_go_on_as_a_thin_one():
    scene = Scene(120, 120)
    thin, thick = stretches(12.0, length=40.0)
    scene.path(thin, wall=3.0)
    scene.path(thick + np.array([4.0, 0.0]), wall=12.0)
    assert vessels_of(scene).table.num_rows == 2


def test_two_rings_stay_two():
    scene = Scene(120, 120)
    scene.vessel(45, 60, 10, 10)
    scene.vessel(77, 60, 10, 10)
    assert vessels_of(scene).table.num_rows == 2


@given(st.floats(-8, 8), st.floats(0, 180))
def test_the_edge_of_a_window_makes_no_difference(aside, angle):
    """A gap on the corner of four windows is joined as any other."""
    corner = CORE_PX / 2
    paths = stretches(10.0, middle=(corner + aside, corner - aside), angle=angle)
    assert found(*paths, side=corner + 60) == 1
