"""Squares over the slide and the indices over them, against numbers by hand and naive computations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.made_measures import tissue_of
from tests.naive_unevenness import naive_getis_ord, naive_gini
from tme.metrics.squares import make_squares
from tme.metrics.unevenness import getis_ord, gini, morisita_horn, queen_neighbours
from tme.tissue.types import TissueMask


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 3], 0.25), ([1, 2, 3, 4], 0.25), ([0, 0, 0, 4], 0.75), ([5, 5, 5], 0.0), ([7], 0.0)],
)
def test_gini_by_hand(values: list[float], expected: float) -> None:
    assert gini(np.array(values, float)) == pytest.approx(expected)


def test_gini_is_the_mean_difference_between_pairs() -> None:
    patterns = np.random.default_rng(1).poisson(3, (5, 40)).astype(float)
    assert gini(patterns) == pytest.approx([naive_gini(row) for row in patterns])


def test_gini_of_nothing_does_not_exist() -> None:
    assert np.isnan(gini(np.zeros(4)))
    assert np.isnan(gini(np.array([1.0, 2.0]), np.zeros(2)))


def test_getis_ord_of_a_row_of_five_by_hand() -> None:
    places = np.zeros(5, np.int64), np.arange(5)
    neighbours = queen_neighbours(*places)
    assert [sorted(set(row) - {5}) for row in neighbours.tolist()][:2] == [[0, 1], [0, 1, 2]]
    # Mean 0.2, S 0.4; two neighbours at the ends, three between: both roots are √1.5.
    below = 0.4 * math.sqrt(1.5)
    expected = np.array([0.6, 0.4, -0.6, -0.6, -0.4]) / below
    assert getis_ord(np.array([1.0, 0, 0, 0, 0]), neighbours) == pytest.approx(expected)


def test_getis_ord_is_the_double_loop_on_a_ragged_grid() -> None:
    generator = np.random.default_rng(3)
    rows, columns = np.nonzero(generator.random((9, 7)) < 0.7)
    patterns = generator.gamma(0.5, 10, (3, len(rows)))
    found = getis_ord(patterns, queen_neighbours(rows, columns))
    for row, values in zip(found, patterns, strict=True):
        assert row == pytest.approx(naive_getis_ord(values, rows, columns))


def test_getis_ord_finds_nothing_where_nothing_differs() -> None:
    rows, columns = (axis.ravel() for axis in np.mgrid[0:6, 0:6])
    for value in (0.0, 0.1, 1 / 3):
        assert not getis_ord(np.full(36, value), queen_neighbours(rows, columns)).any()
    # Three by three squares are all neighbours of the middle one, and one has no others.
    rows, columns = (axis.ravel() for axis in np.mgrid[0:3, 0:3])
    assert getis_ord(np.arange(9.0), queen_neighbours(rows, columns))[4] == 0
    assert getis_ord(np.ones(1), queen_neighbours(rows[:1], columns[:1])) == [0.0]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 0], [0, 1], 0.0), ([2, 4], [1, 2], 1.0), ([1, 1], [1, 0], 2 / 3), ([3], [5], 1.0)],
)
def test_morisita_horn_by_hand(one: list[float], other: list[float], expected: float) -> None:
    assert morisita_horn(np.array(one, float), np.array(other, float)) == pytest.approx(expected)


def test_morisita_horn_of_one_kind_alone_does_not_exist() -> None:
    some, none = np.array([1.0, 2.0]), np.zeros(2)
    assert np.isnan([morisita_horn(some, none), morisita_horn(none, some), morisita_horn(none, none)]).all()


@pytest.mark.parametrize("mpp", [4.0, 8.0, 7.3])
def test_squares_share_out_the_whole_area(mpp: float) -> None:
    mask = np.random.default_rng(2).random((310, 205)) < 0.6
    # The slide ends within the last row and column of pixels.
    tissue = TissueMask(mpp, 204.4 * mpp, 309.7 * mpp, mask, np.zeros(mask.shape, np.uint8), True, 1)
    squares = make_squares(mask, tissue, 500.0)
    assert squares.areas_mm2.sum() == pytest.approx(tissue.area_mm2(mask))
    for row, column in ((0, 0), (1, 0), (len(squares.areas_mm2) - 1, squares.areas_mm2.shape[1] - 1)):
        inside = mask & (squares.row_of == row)[:, None] & (squares.column_of == column)
        assert squares.areas_mm2[row, column] == pytest.approx(tissue.area_mm2(inside))


def test_squares_are_anchored_on_the_slide_and_count_what_lies_in_them() -> None:
    mask = np.zeros((100, 150), bool)
    mask[:50, 25:] = True
    squares = make_squares(mask, tissue_of(mask), 500.0)
    assert squares.areas_mm2 == pytest.approx(np.array([[0.125, 0.25, 0.25], [0, 0, 0]]))
    x, y = np.array([499.9, 500.0, 1400.0, 1400.0]), np.array([0.0, 499.9, 500.0, 100.0])
    places = squares.at(x, y, tissue_of(mask))
    assert places.tolist() == [0, 1, 5, 2]
    assert squares.sums(places, np.array([1.0, 2, 3, 4])).tolist() == [[1, 2, 4], [0, 0, 3]]
    assert squares.sums(places[:0]).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_squares_smaller_than_a_pixel_are_refused() -> None:
    mask = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="smaller than pixels"):
        make_squares(mask, tissue_of(mask), 9.0)
