"""What holds for the indices of unevenness whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.made_measures import tissue_of
from tme.metrics.squares import make_squares
from tme.metrics.unevenness import getis_ord, gini, morisita_horn, queen_neighbours

counts = arrays.arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 50).map(float))
pairs = st.integers(1, 30).flatmap(
    lambda size: arrays.arrays(np.float64, (3, size), elements=st.integers(0, 50).map(float))
)
scales = st.floats(0.01, 100)


@st.composite
def grids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values on a ragged grid, with the rows and columns of its squares."""
    here = draw(arrays.arrays(np.bool_, (draw(st.integers(2, 7)), draw(st.integers(2, 7)))))
    here[0, 0] = True
    rows, columns = np.nonzero(here)
    values = draw(arrays.arrays(np.float64, len(rows), elements=st.integers(0, 30).map(float)))
    return values, rows, columns


@given(counts, scales)
def test_gini_is_bounded_and_knows_no_unit_and_no_order(values: np.ndarray, scale: float) -> None:
    found = gini(values)
    if not values.any():
        assert np.isnan(found)
        return
    assert -1e-12 <= found <= 1 - 1 / len(values) + 1e-12
    assert gini(scale * values) == pytest.approx(found, abs=1e-12)
    assert gini(values[::-1]) == pytest.approx(found, abs=1e-12)
    assert gini(np.tile(values, 3)) == pytest.approx(found, abs=1e-12)


@given(counts, st.floats(0.1, 100))
def test_the_same_added_everywhere_makes_it_more_even(values: np.ndarray, more: float) -> None:
    if values.any():
        # Differences stay and the mean grows.
        assert gini(values + more) == pytest.approx(gini(values) * values.mean() / (values.mean() + more))
    assert gini(np.full(len(values), more)) == pytest.approx(0, abs=1e-12)


@given(pairs)
def test_weights_are_repetitions(found: np.ndarray) -> None:
    one, other, often = found
    repeated = often.astype(int)
    for weighted, plain in (
        (gini(one, often), gini(np.repeat(one, repeated))),
        (
            morisita_horn(one, other, often),
            morisita_horn(np.repeat(one, repeated), np.repeat(other, repeated)),
        ),
    ):
        assert weighted == pytest.approx(plain, abs=1e-9, nan_ok=True)


@given(grids(), scales, st.floats(0, 100), st.integers(0, 5), st.integers(0, 5))
def test_getis_ord_knows_no_unit_no_level_and_no_place(
    grid: tuple[np.ndarray, np.ndarray, np.ndarray], scale: float, more: float, down: int, right: int
) -> None:
    values, rows, columns = grid
    found = getis_ord(values, queen_neighbours(rows, columns))
    moved = queen_neighbours(rows + down, columns + right)
    assert getis_ord(scale * values + more, moved) == pytest.approx(found, abs=1e-6)
    turned = getis_ord(values, queen_neighbours(columns, rows))
    assert turned == pytest.approx(found, abs=1e-9)
    assert np.isfinite(found).all()


@given(pairs, scales)
def test_overlap_is_bounded_and_the_same_both_ways(found: np.ndarray, scale: float) -> None:
    one, other, _ = found
    overlap = morisita_horn(one, other)
    if not (one.any() and other.any()):
        assert np.isnan(overlap)
        return
    assert 0 <= overlap <= 1 + 1e-12
    assert morisita_horn(other, one) == pytest.approx(overlap, abs=1e-12)
    # Twice the cells of one kind, in the same proportions, share the same ground.
    assert morisita_horn(scale * one, other) == pytest.approx(overlap, abs=1e-9)
    assert morisita_horn(one, scale * one) == pytest.approx(1.0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.floats(10, 700))
def test_squares_share_out_any_mask(seed: int, height: int, width: int, side_um: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    tissue = tissue_of(mask)
    squares = make_squares(mask, tissue, side_um)
    assert squares.areas_mm2.sum() == pytest.approx(tissue.area_mm2(mask))
    rows, columns = np.nonzero(mask)
    places = squares.at((columns + 0.5) * tissue.mpp, (rows + 0.5) * tissue.mpp, tissue)
    # A point in each pixel: as many to a square as its area says.
    assert squares.sums(places) * tissue.mpp**2 / 1e6 == pytest.approx(squares.areas_mm2)
