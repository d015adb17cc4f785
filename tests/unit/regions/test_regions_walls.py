"""Where vessels lie, and the pixels they cover."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from tests.made_measures import table_of, tissue_of
from tme.regions import Annotation, build_regions
from tme.regions.raster import pixels_within, rasterise
from tme.regions.walls import STEP_UM, Walls, make_walls, wall_points
from tme.tissue.types import TissueMask
from tme.vessels.types import VESSEL_SCHEMA

MPP, LEVEL0 = 4.0, 0.5
WIDE_UM = 80.0


def vessels_of(*outlines_um: BaseGeometry) -> pa.Table:
    """A row for each outline, given in µm."""
    geometry = [shapely.to_wkb(shapely.transform(one, lambda xy: xy / LEVEL0)) for one in outlines_um]
    x, y = ([getattr(one.centroid, axis) for one in outlines_um] for axis in "xy")
    return table_of(VESSEL_SCHEMA, len(geometry), x_um=x, y_um=y, geometry=geometry)


def round_vessel(x: float, y: float, radius: float) -> BaseGeometry:
    return shapely.Point(x, y).buffer(radius, quad_segs=32)


def tissue_with_a_hole(x: float = 400.0, y: float = 400.0, radius: float = WIDE_UM - 8) -> TissueMask:
    """800 x 800 µm of tissue but for a wide lumen."""
    rows, columns = (np.mgrid[:200, :200] + 0.5) * MPP
    return tissue_of(np.hypot(columns - x, rows - y) > radius, MPP)


def walls_of(tissue: TissueMask, *outlines_um: BaseGeometry) -> Walls:
    return make_walls(vessels_of(*outlines_um), LEVEL0, tissue)


def test_points_lie_evenly_along_the_outline_and_its_unfilled_holes() -> None:
    ring = round_vessel(50, 60, 40).difference(round_vessel(50, 60, 30))
    points, owner = wall_points(vessels_of(shapely.box(0, 0, 10, 5), ring)["geometry"], LEVEL0)
    assert owner.tolist() == [0] * 15 + [1] * (len(owner) - 15)
    # 30 µm in 15 steps, the first half a step from the corner.
    corners = shapely.get_coordinates(shapely.box(0, 0, 10, 5).exterior)
    along = shapely.line_interpolate_point(shapely.LineString(corners), np.arange(15) * 2.0 + 1.0)
    assert points[:15] == pytest.approx(shapely.get_coordinates(along))
    radii = np.hypot(*(points[15:] - (50, 60)).T)
    outer = radii > 35
    assert radii[outer] == pytest.approx(40, abs=0.02)
    assert radii[~outer] == pytest.approx(30, abs=0.02)
    assert outer.sum() == pytest.approx(2 * math.pi * 40 / STEP_UM, abs=1)
    assert (~outer).sum() == pytest.approx(2 * math.pi * 30 / STEP_UM, abs=1)


def test_no_vessels_have_no_walls() -> None:
    walls = walls_of(tissue_with_a_hole())
    assert walls.inside(walls.tissue.tissue).tolist() == []
    assert walls.labels_of(np.zeros(walls.tissue.shape, np.int32)).tolist() == []


def test_a_wide_lumen_is_no_tissue_and_its_vessel_lies_in_the_tissue_around_it() -> None:
    tissue = tissue_with_a_hole()
    walls = walls_of(tissue, round_vessel(400, 400, WIDE_UM), round_vessel(100, 100, 5))
    assert not tissue.values_at(walls.x_um, walls.y_um, tissue.tissue)[0]
    assert walls.inside(tissue.tissue).tolist() == [True, True]
    left = np.full(tissue.shape, 1, np.int32)
    left[:, :110] = 0
    left[~tissue.tissue] = -1
    # Of the wide one more lies left of 440 µm.
    assert walls.labels_of(left).tolist() == [0, 0]
    left[:, :90] = 1
    assert walls.labels_of(left).tolist() == [1, 1]


@pytest.mark.parametrize(("edge_um", "kept"), [(350.0, True), (450.0, False)])
def test_a_vessel_most_of_whose_wall_is_excluded_stays_out(edge_um: float, kept: bool) -> None:
    walls = walls_of(tissue_with_a_hole(), round_vessel(400, 400, WIDE_UM))
    exclude = Annotation("Exclude", "Exclude", shapely.box(0, 0, edge_um / LEVEL0, 800 / LEVEL0))
    regions = build_regions(walls.tissue, [exclude], LEVEL0)
    assert regions.compartment_of(walls).tolist() == ["evaluable" if kept else None]


def test_a_vessel_in_an_artefact_stays_out() -> None:
    pen = np.zeros((200, 200), bool)
    pen[:, 60:] = True
    tissue = tissue_of(tissue_with_a_hole().tissue, MPP, pen)
    walls = walls_of(tissue, round_vessel(400, 400, WIDE_UM), round_vessel(100, 400, 6))
    assert build_regions(tissue, (), LEVEL0).compartment_of(walls).tolist() == [None, "evaluable"]


def test_an_artefact_in_the_middle_takes_no_vessel_away() -> None:
    pen = np.zeros((200, 200), bool)
    pen[45:55, 45:55] = True
    tissue = tissue_of(np.ones((200, 200), bool), MPP, pen)
    walls = walls_of(tissue, round_vessel(200, 200, 40))
    assert walls.inside(tissue.usable).tolist() == [True]


def test_the_most_specific_compartment_of_the_wall_has_the_vessel() -> None:
    tumour = Annotation("Tumor", "Tumor", shapely.box(0, 0, 420 / LEVEL0, 800 / LEVEL0))
    stroma = Annotation("Stroma", "Stroma", shapely.box(0, 0, 800 / LEVEL0, 800 / LEVEL0))
    walls = walls_of(tissue_with_a_hole(), round_vessel(400, 400, WIDE_UM), round_vessel(700, 100, 6))
    regions = build_regions(walls.tissue, [tumour, stroma], LEVEL0)
    assert regions.compartment_of(walls).tolist() == ["tumour", "stroma"]


def test_what_lies_on_the_glass_and_touches_tissue_is_no_vessel_of_it() -> None:
    tissue = tissue_of(np.pad(np.ones((200, 100), bool), ((0, 0), (0, 100))), MPP)
    beside, across = round_vessel(430, 200, 40), round_vessel(390, 200, 40)
    walls = walls_of(tissue, beside, across)
    assert walls.inside(tissue.tissue).tolist() == [False, True]


def test_a_speck_in_a_hole_of_the_mask_has_no_compartment() -> None:
    walls = walls_of(tissue_with_a_hole(), round_vessel(400, 400, 5))
    assert walls.inside(walls.tissue.tissue).tolist() == [False]
    assert walls.labels_of(np.where(walls.tissue.tissue, 0, -1).astype(np.int32)).tolist() == [-1]


@given(st.integers(0, 2**32 - 1))
def test_a_vessel_lies_in_one_of_parts_without_a_common_pixel_at_most(seed: int) -> None:
    generator = np.random.default_rng(seed)
    tissue = tissue_of(generator.random((40, 40)) < 0.8, MPP)
    parts = np.where(tissue.tissue, generator.integers(0, 3, (40, 40)), -1)
    outlines = [round_vessel(*generator.uniform(10, 150, 2), generator.uniform(1, 30)) for _ in range(10)]
    walls = walls_of(tissue, *outlines)
    inside = np.stack([walls.inside(parts == part) for part in range(3)])
    assert inside.sum(axis=0).max() <= 1
    assert not (inside & ~walls.inside(tissue.tissue)).any()
    # In the whole tissue what has its centroid there, and never what has neither that nor a wall.
    assert np.array_equal(walls.inside(tissue.tissue), walls.on_tissue)


@given(st.integers(0, 2**32 - 1))
def test_pixels_within_are_those_of_each_polygon_alone(seed: int) -> None:
    generator = np.random.default_rng(seed)
    polygons = []
    for _ in range(generator.integers(0, 6)):
        around = round_vessel(*generator.uniform(-20, 220, 2), generator.uniform(0.5, 60))
        hole = round_vessel(around.centroid.x, around.centroid.y, generator.uniform(0.1, 20))
        polygons.append(shapely.transform(around.difference(hole), lambda xy: xy / LEVEL0))
    owner, pixel = pixels_within(polygons, (50, 40), MPP, LEVEL0)
    assert np.array_equal(owner, np.sort(owner))
    for number, polygon in enumerate(polygons):
        mask = np.zeros((50, 40), bool)
        mask.ravel()[pixel[owner == number]] = True
        assert np.array_equal(mask, rasterise([polygon], (50, 40), MPP, LEVEL0))
        assert mask.sum() == (owner == number).sum()
