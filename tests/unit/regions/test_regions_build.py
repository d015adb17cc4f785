"""Compartments on the tissue grid."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, shape

from tme.regions import Annotation, Regions, build_regions, read_annotations, tissue_geojson
from tme.regions.raster import rasterise
from tme.tissue.types import TissueMask

MPP = 0.5


def tissue_mask(artefact: bool = True) -> TissueMask:
    """A slide of 398 x 400 µm at 4 µm/px: tissue but for a rim of 5 px, pen in a corner of it."""
    tissue = np.zeros((100, 100), dtype=bool)
    tissue[5:95, 5:95] = True
    artefacts = np.zeros((100, 100), dtype=np.uint8)
    if artefact:
        artefacts[5:15, 5:15] = 1
    return TissueMask(4.0, 398.0, 400.0, tissue, artefacts, True, 1)


def drawn(class_name: str, *um: float) -> Annotation:
    """A rectangle x0, y0, x1, y1 given in µm, drawn in level-0 pixels."""
    return Annotation(class_name, class_name, box(*(value / MPP for value in um)))


def test_without_annotations_all_usable_tissue_is_evaluable() -> None:
    tissue = tissue_mask()
    regions = build_regions(tissue, (), MPP)
    assert list(regions.compartments) == ["evaluable"]
    assert np.array_equal(regions.evaluable, tissue.usable)
    assert not regions.excluded.any()
    assert regions.cautions == ()


def test_necrosis_and_exclude_subtract_from_everything() -> None:
    annotations = [
        drawn("Tumor", 100, 100, 300, 300),
        drawn("Necrosis", 100, 100, 200, 200),
        drawn("Exclude", 0, 0, 80, 80),
    ]
    tissue = tissue_mask()
    regions = build_regions(tissue, annotations, MPP)
    areas = regions.areas_mm2
    assert areas["tumour"] == pytest.approx((200 * 200 - 100 * 100) / 1e6)
    excluded = tissue.area_mm2(regions.excluded)
    assert excluded == pytest.approx((100 * 100 + 60 * 60 - 40 * 40) / 1e6)
    artefact = tissue.area_mm2(tissue.tissue & ~tissue.usable)
    assert areas["evaluable"] + excluded + artefact == pytest.approx(tissue.area_mm2(tissue.tissue))


def test_tumour_does_not_restrict_evaluable() -> None:
    tissue = tissue_mask()
    regions = build_regions(tissue, [drawn("Tumor", 100, 100, 200, 200)], MPP)
    assert np.array_equal(regions.evaluable, tissue.usable)
    assert list(regions.compartments) == ["evaluable", "tumour"]


def test_the_more_specific_compartment_has_the_pixel() -> None:
    annotations = [
        drawn("Stroma", 40, 40, 360, 360),
        drawn("Tumor", 100, 100, 200, 200),
        drawn("Peritumour", 80, 80, 220, 220),
    ]
    regions = build_regions(tissue_mask(False), annotations, MPP)
    assert list(regions.compartments) == ["evaluable", "tumour", "peritumour", "stroma"]
    stacked = np.stack([regions.compartments[name] for name in ("tumour", "peritumour", "stroma")])
    assert stacked.sum(axis=0).max() == 1
    assert regions.areas_mm2["peritumour"] == pytest.approx((140 * 140 - 100 * 100) / 1e6)
    points = np.array([150.0, 90.0, 50.0, 30.0, 10.0, 9999.0])
    assert regions.compartment_at(points, points).tolist() == [
        "tumour",
        "peritumour",
        "stroma",
        "evaluable",
        None,
        None,
    ]
    counted = regions.compartment_at(*(np.random.default_rng(0).uniform(0, 398, (2, 5000))))
    assert {name for name in counted if name} == set(regions.compartments)


def test_points_and_masks_agree() -> None:
    regions = build_regions(tissue_mask(), [drawn("Tumor", 33, 47, 171, 222)], MPP)
    rows, columns = np.mgrid[:100, :100]
    names = regions.compartment_at((columns.ravel() + 0.5) * 4.0, (rows.ravel() + 0.5) * 4.0)
    assert np.array_equal(names == "tumour", regions.compartments["tumour"].ravel())
    assert np.array_equal(names != None, regions.evaluable.ravel())  # noqa: E711 - compared element by element
    assert names.dtype == object


def test_no_points_give_no_names() -> None:
    none = np.empty(0)
    assert build_regions(tissue_mask(), (), MPP).compartment_at(none, none).shape == (0,)


def test_cautions() -> None:
    crossed = Annotation("Stroma", "Stroma", box(100, 100, 200, 200), "a.geojson: feature 1 was repaired")
    annotations = [
        crossed,
        drawn("Tumor", 5000, 5000, 5100, 5100),
        Annotation("", "Fat", box(0, 0, 1, 1)),
        Annotation("", "Fat", box(0, 0, 1, 1)),
        Annotation("", "", box(0, 0, 1, 1)),
        Annotation("", "<b>", Polygon()),
    ]
    regions = build_regions(tissue_mask(), annotations, MPP)
    assert regions.cautions == (
        "a.geojson: feature 1 was repaired",
        "annotations outside the slide: 1; are they of another one, or not in its pixels?",
        "annotations without a class are not used: 1; known are Tumor, Stroma, Peritumour, Necrosis, Exclude",
        "annotations of class '<b>' are not used: 1; known are Tumor, Stroma, Peritumour, Necrosis, Exclude",
        "annotations of class 'Fat' are not used: 2; known are Tumor, Stroma, Peritumour, Necrosis, Exclude",
        "the annotated tumour holds no evaluable tissue",
    )
    assert regions.areas_mm2["tumour"] == 0.0


def test_an_excluded_slide_is_empty_not_an_error() -> None:
    regions = build_regions(tissue_mask(), [drawn("Exclude", -10, -10, 500, 500)], MPP)
    assert not regions.evaluable.any()
    assert regions.areas_mm2 == {"evaluable": 0.0}


COORDINATE = st.floats(-20, 120, allow_nan=False).map(lambda value: round(value, 3))
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=12, unique=True)


@given(POINTS, st.sampled_from([(1.0, 1.0), (4.0, 0.25), (4.0, 0.5), (3.7, 0.4991), (2.0, 1.0)]))
def test_rasterising_follows_the_centres_of_pixels(
    points: list[tuple[float, float]], resolutions: tuple[float, float]
) -> None:
    mask_mpp, slide_mpp = resolutions
    scale = mask_mpp / slide_mpp
    polygon = shapely.make_valid(Polygon([(x * scale * 0.4, y * scale * 0.4) for x, y in points]))
    rows, columns = np.mgrid[:30, :40]
    x, y = (columns + 0.5) * scale, (rows + 0.5) * scale
    found = rasterise([polygon], (30, 40), mask_mpp, slide_mpp)
    # A centre on the outline itself may fall on either side.
    clear = shapely.distance(shapely.boundary(polygon), shapely.points(x, y)) > 1e-6
    assert np.array_equal(found[clear], shapely.contains_xy(polygon, x, y)[clear])


@given(st.integers(1, 38), st.integers(1, 28))
def test_neighbours_share_no_pixel_and_leave_none(column: int, row: int) -> None:
    half = 0.5
    tiles = [
        box(0, 0, column + half, row + half),
        box(column + half, 0, 40, row + half),
        box(0, row + half, 40, 30),
    ]
    masks = [rasterise([tile], (30, 40), 1.0, 1.0) for tile in tiles]
    assert np.array_equal(np.sum(masks, axis=0), np.ones((30, 40)))


def test_rasterising_nothing() -> None:
    assert not rasterise([], (5, 5), 4.0, 0.5).any()
    assert not rasterise([Polygon(), MultiPolygon()], (5, 5), 4.0, 0.5).any()
    assert not rasterise([box(1000, 1000, 1001, 1001), box(-9, -9, -1, -1)], (5, 5), 4.0, 0.5).any()


def outlines(regions: Regions) -> dict[str, shapely.Geometry]:
    made = tissue_geojson(regions.tissue, regions, MPP)
    return {one["properties"]["name"]: shape(one["geometry"]) for one in made["features"]}


def test_outlines_follow_the_masks() -> None:
    tissue = tissue_mask()
    regions = build_regions(tissue, [drawn("Necrosis", 200, 200, 240, 240)], MPP)
    found = outlines(regions)
    assert found["Tissue"].equals(box(40, 40, 760, 760))
    assert found["Artefact: pen"].equals(box(40, 40, 120, 120))
    assert found["Artefact: excluded"].equals(box(400, 400, 480, 480))


def test_outlines_are_clipped_to_the_slide() -> None:
    full = np.ones((100, 100), dtype=bool)
    tissue = TissueMask(4.0, 398.0, 400.0, full, np.zeros((100, 100), np.uint8), False, 1)
    assert outlines(build_regions(tissue, (), MPP))["Tissue"].equals(box(0, 0, 796, 800))


def test_outlines_of_ragged_tissue_are_valid_and_keep_the_area() -> None:
    noise = np.random.default_rng(1).normal(size=(200, 200)).cumsum(0).cumsum(1)
    mask = (np.sin(noise / 60) > 0) & (np.arange(200) % 97 > 3)
    tissue = TissueMask(4.0, 800.0, 800.0, mask, np.zeros((200, 200), np.uint8), True, 1)
    outline = outlines(build_regions(tissue, (), MPP))["Tissue"]
    assert outline.is_valid
    assert outline.area * MPP**2 / 1e6 == pytest.approx(tissue.area_mm2(mask), rel=0.02)


def test_geojson_is_qupaths_and_the_same_each_time(tmp_path: Path) -> None:
    tissue = tissue_mask()
    regions = build_regions(tissue, (), MPP)
    made = tissue_geojson(tissue, regions, MPP)
    text = json.dumps(made, allow_nan=False)
    assert text == json.dumps(tissue_geojson(tissue, regions, MPP))
    assert made["type"] == "FeatureCollection"
    for one in made["features"]:
        assert uuid.UUID(one["id"]).version == 5
        assert one["type"] == "Feature"
        assert one["properties"]["objectType"] == "annotation"
    path = tmp_path / "tissue.geojson"
    path.write_text(text)
    assert read_annotations(path, {}) == ()


def test_no_tissue_gives_an_empty_collection() -> None:
    empty = TissueMask(4.0, 40.0, 40.0, np.zeros((10, 10), bool), np.zeros((10, 10), np.uint8), True, 0)
    assert tissue_geojson(empty, build_regions(empty, (), MPP), MPP)["features"] == []
    assert len(tissue_geojson(tissue_mask(), None, MPP)["features"]) == 2
