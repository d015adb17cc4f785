"""Outlines hold the centres of their label's pixels and no others, and lie where the level says."""

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
from tme.cells.outline import THIN_PX, large_enough, trace

EIGHT = np.ones((3, 3), bool)
CUT = 0.5
"""An outline halfway between pixels cuts an eighth off each corner and fills as much in where one points
inwards; of the first there are four more, whatever the part's shape."""


def back(polygon: shapely.Geometry, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies in the polygon."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(shapely.contains_xy(polygon, columns + 0.5, rows + 0.5))


def parts_filled(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """4-connected parts of a mask with what they enclose (background connects through corners)."""
    numbered, count = ndimage.label(mask)
    return [ndimage.binary_fill_holes(numbered == part, EIGHT) for part in range(1, count + 1)]


def test_one_pixel_is_a_diamond_around_its_centre() -> None:
    labels = np.zeros((4, 5), np.int32)
    labels[2, 3] = 7
    outlines = trace(labels)
    assert outlines.labels.tolist() == [7]
    assert outlines.polygons[0].equals(shapely.Polygon([(3.5, 2), (4, 2.5), (3.5, 3), (3, 2.5)]))


def test_no_labels_no_outlines() -> None:
    outlines = trace(np.zeros((6, 6), np.int32))
    assert len(outlines.labels) == len(outlines.polygons) == 0


def test_a_field_that_is_one_label_is_the_field() -> None:
    (polygon,) = trace(np.ones((5, 9), np.int32), np.ones((5, 9), np.float32)).polygons
    assert polygon.bounds == (0, 0, 9, 5)
    assert polygon.area == 45 - CUT


def test_straight_edges_have_no_needless_vertices() -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[5:20, 4:25] = 1
    assert len(trace(labels).polygons[0].exterior.coords) == 9


def test_discs_and_ellipses_come_back_from_their_outlines() -> None:
    labels = np.zeros((80, 120), np.int32)
    for number, (x, y, a, b, angle) in enumerate(
        [(20, 20, 9, 9, 0), (60.3, 25.7, 18, 7, 30), (100, 50.5, 6, 21, 75), (25, 60, 14, 5, 140)], start=1
    ):
        labels[ellipse_mask(labels.shape, x, y, a, b, angle)] = number
    outlines = trace(labels)
    assert outlines.labels.tolist() == [1, 2, 3, 4]
    for number, polygon in zip(outlines.labels, outlines.polygons, strict=True):
        assert polygon.area == (labels == number).sum() - CUT
        assert np.array_equal(back(polygon, labels.shape), labels == number)


def test_touching_labels_share_an_edge_and_no_area() -> None:
    labels = np.zeros((6, 8), np.int32)
    labels[1:5, 1:4], labels[1:5, 4:7] = 3, 9
    one, two = trace(labels).polygons
    assert shapely.intersection(one, two).area == 0
    assert shapely.intersection(one, two).length == 3
    assert shapely.union(one, two).area == one.area + two.area == 24 - 2 * CUT


def test_holes_are_filled_and_crumbs_left_out() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:9, 2:9] = 1
    labels[4:6, 4:6] = 0
    labels[15, 15] = 1
    (polygon,) = trace(labels).polygons
    assert polygon.bounds == (2, 2, 9, 9)
    assert polygon.area == 49 - CUT


def test_parts_that_meet_in_a_corner_only_are_two() -> None:
    labels = np.zeros((8, 8), np.int32)
    labels[1:4, 1:4], labels[4:6, 4:6] = 1, 1
    (polygon,) = trace(labels).polygons
    assert polygon.bounds == (1, 1, 4, 4)
    assert polygon.area == 9 - CUT


def test_what_is_open_by_a_corner_alone_is_no_hole() -> None:
    labels = np.zeros((7, 7), np.int32)
    labels[1:5, 1:5] = 1
    labels[3, 3] = labels[4, 4] = 0
    (polygon,) = trace(labels).polygons
    assert polygon.is_valid
    assert polygon.area == 14 - CUT
    assert np.array_equal(back(polygon, labels.shape), labels == 1)


@pytest.mark.parametrize("number", [1, 2**31 - 1])
def test_labels_may_be_any_number(number: int) -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1:3, 1:3] = number
    assert trace(labels).labels.tolist() == [number]


LABELS = arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2))


@settings(max_examples=60)
@given(LABELS)
def test_any_map_gives_the_largest_part_of_each_label(labels: NDArray[np.int32]) -> None:
    outlines = trace(labels)
    assert outlines.labels.tolist() == sorted(set(labels[labels > 0].tolist()))
    for number, polygon in zip(outlines.labels, outlines.polygons, strict=True):
        parts = parts_filled(labels == number)
        assert polygon.geom_type == "Polygon"
        assert polygon.is_valid
        assert polygon.area == max(part.sum() for part in parts) - CUT
        assert any(np.array_equal(back(polygon, labels.shape), part) for part in parts)


@settings(max_examples=100)
@given(LABELS, st.integers(0, 2**32 - 1))
def test_whatever_the_level_an_outline_is_valid_and_holds_one_part(
    labels: NDArray[np.int32], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], labels.shape) if seed % 2 else np.where(labels > 0, 1, -1)
    level = (signs * rng.exponential(1, labels.shape) ** 4).astype(np.float32)
    polygons = trace(labels, level).polygons
    for number, polygon in zip(np.unique(labels[labels > 0]), polygons, strict=True):
        assert polygon.is_valid
        held = back(polygon, labels.shape)
        assert any(np.array_equal(held, part) for part in parts_filled(labels == number))
    if len(polygons) == 2 and not any(
        np.any(part & (labels != number)) for number in (1, 2) for part in parts_filled(labels == number)
    ):
        # Neither encloses anything of the other; a border they share is thinned once for each.
        assert shapely.intersection(*polygons).area < THIN_PX * polygons[0].length


@settings(max_examples=40)
@given(st.floats(3, 14), st.floats(0, 1), st.floats(0, 1))
def test_a_disc_between_the_pixels_is_found_to_a_seventh_of_one(radius: float, dx: float, dy: float) -> None:
    rows, columns = np.mgrid[:40, :40] + 0.5
    level = (radius - np.hypot(columns - 20 - dx, rows - 20 - dy)).astype(np.float32)
    (polygon,) = trace((level > 0).astype(np.int32), level).polygons
    distance = np.hypot(*(shapely.get_coordinates(polygon) - [20 + dx, 20 + dy]).T)
    # A place where the border lies on a centre, which belongs to one side; else half of one.
    assert np.abs(distance - radius).max() < 0.14
    # Along pixel edges it would lie a fifth of a pixel off on the whole.
    disc = shapely.Point(20 + dx, 20 + dy).buffer(radius, 64)
    assert polygon.symmetric_difference(disc).area < 0.11 * disc.length
    assert polygon.area == pytest.approx(disc.area, rel=0.06)


def test_between_two_labels_the_level_says_nothing() -> None:
    labels = np.zeros((6, 8), np.int32)
    labels[1:5, 1:4], labels[1:5, 4:7] = 1, 2
    level = np.where(labels == 1, 9, np.where(labels == 2, 1, -1)).astype(np.float32)
    one, two = trace(labels, level).polygons
    assert (one.bounds[2], two.bounds[0]) == (4, 4)
    # .9 of the way from the centre at 1.5 to that at .5, in eighths; halfway at the other side.
    assert one.bounds[0] == 0.625
    assert two.bounds[2] == 7


def test_a_level_that_contradicts_the_labels_is_not_followed() -> None:
    labels = np.zeros((5, 5), np.int32)
    labels[1:4, 1:4] = 1
    inverted = np.where(labels > 0, -1.0, 1.0)
    for level in (np.full((5, 5), -1.0), np.full((5, 5), 1.0), inverted, np.full((5, 5), np.nan)):
        (polygon,) = trace(labels, level.astype(np.float32)).polygons
        assert polygon.bounds == (1, 1, 4, 4)


def test_what_is_large_enough_only_with_its_crumbs_is_not() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[2:7, 2:7] = 3  # 25 pixels
    labels[2:6, 12:17], labels[10:15, 12] = 5, 5  # 20, and a crumb of 5
    kept = large_enough(trace(labels), 25)
    assert kept.labels.tolist() == [3]
    assert len(kept.polygons) == 1
    assert large_enough(trace(labels), 20).labels.tolist() == [3, 5]
    assert len(large_enough(trace(np.zeros_like(labels)), 25).labels) == 0
