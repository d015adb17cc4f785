"""Outlines are the pixels' own edges: their area is the mask's, and the mask comes back from them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from tests.cell_scenes import ellipse_mask
from tme.cells.outline import trace

EIGHT = np.ones((3, 3), bool)


def back(polygon: shapely.Geometry, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies in the polygon."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(shapely.contains_xy(polygon, columns + 0.5, rows + 0.5))


def parts_filled(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """4-connected parts of a mask with what they enclose (background connects through corners)."""
    numbered, count = ndimage.label(mask)
    return [ndimage.binary_fill_holes(numbered == part, EIGHT) for part in range(1, count + 1)]


def test_one_pixel_is_a_unit_square() -> None:
    labels = np.zeros((4, 5), np.int32)
    labels[2, 3] = 7
    outlines = trace(labels)
    assert outlines.labels.tolist() == [7]
    assert outlines.polygons[0].equals(shapely.box(3, 2, 4, 3))
    assert outlines.polygons[0].area == 1


def test_no_labels_no_outlines() -> None:
    outlines = trace(np.zeros((6, 6), np.int32))
    assert len(outlines.labels) == len(outlines.polygons) == 0


def test_a_field_that_is_one_label_is_the_field() -> None:
    assert trace(np.ones((5, 9), np.int32)).polygons[0].equals(shapely.box(0, 0, 9, 5))


def test_straight_edges_have_no_needless_vertices() -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[5:20, 4:25] = 1
    assert len(trace(labels).polygons[0].exterior.coords) == 5


def test_discs_and_ellipses_come_back_from_their_outlines() -> None:
    labels = np.zeros((80, 120), np.int32)
    for number, (x, y, a, b, angle) in enumerate(
        [(20, 20, 9, 9, 0), (60.3, 25.7, 18, 7, 30), (100, 50.5, 6, 21, 75), (25, 60, 14, 5, 140)], start=1
    ):
        labels[ellipse_mask(labels.shape, x, y, a, b, angle)] = number
    outlines = trace(labels)
    assert outlines.labels.tolist() == [1, 2, 3, 4]
    for number, polygon in zip(outlines.labels, outlines.polygons, strict=True):
        assert polygon.area == (labels == number).sum()
        assert np.array_equal(back(polygon, labels.shape), labels == number)


def test_touching_labels_share_an_edge_and_no_area() -> None:
    labels = np.zeros((6, 8), np.int32)
    labels[1:5, 1:4], labels[1:5, 4:7] = 3, 9
    one, two = trace(labels).polygons
    assert shapely.intersection(one, two).area == 0
    assert shapely.intersection(one, two).length == 4
    assert shapely.union(one, two).area == one.area + two.area == 24


def test_holes_are_filled_and_crumbs_left_out() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:9, 2:9] = 1
    labels[4:6, 4:6] = 0
    labels[15, 15] = 1
    (polygon,) = trace(labels).polygons
    assert polygon.equals(shapely.box(2, 2, 9, 9))


def test_parts_that_meet_in_a_corner_only_are_two() -> None:
    labels = np.zeros((8, 8), np.int32)
    labels[1:4, 1:4], labels[4:6, 4:6] = 1, 1
    (polygon,) = trace(labels).polygons
    assert polygon.equals(shapely.box(1, 1, 4, 4))


def test_a_ring_that_touches_itself_in_a_corner_is_valid() -> None:
    labels = np.zeros((7, 7), np.int32)
    labels[1:5, 1:5] = 1
    labels[3, 3] = labels[4, 4] = 0
    (polygon,) = trace(labels).polygons
    assert polygon.is_valid
    assert polygon.area == 14
    assert np.array_equal(back(polygon, labels.shape), labels == 1)


@pytest.mark.parametrize("number", [1, 2**31 - 1])
def test_labels_may_be_any_number(number: int) -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1:3, 1:3] = number
    assert trace(labels).labels.tolist() == [number]


@settings(max_examples=60)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_any_map_gives_the_largest_part_of_each_label(labels: NDArray[np.int32]) -> None:
    outlines = trace(labels)
    assert outlines.labels.tolist() == sorted(set(labels[labels > 0].tolist()))
    for number, polygon in zip(outlines.labels, outlines.polygons, strict=True):
        parts = parts_filled(labels == number)
        assert polygon.geom_type == "Polygon"
        assert polygon.is_valid
        assert polygon.area == max(part.sum() for part in parts)
        assert any(np.array_equal(back(polygon, labels.shape), part) for part in parts)
