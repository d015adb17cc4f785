"""Pieces from runs agree with a label image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from tme.tissue.morphology import close, grown, opened
from tme.tissue.runs import find_pieces

MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda shape: arrays(np.bool_, shape))


@given(MASKS, st.booleans())
def test_pieces_agree_with_scipy(mask: np.ndarray, diagonal: bool) -> None:
    structure = np.ones((3, 3)) if diagonal else None
    labels, count = ndimage.label(mask, structure)
    pieces = find_pieces(mask, diagonal)
    assert pieces.count == count
    areas = pieces.areas(np.ones(mask.shape[0]), np.ones(mask.shape[1]))
    assert sorted(areas) == sorted(np.bincount(labels.ravel())[1:])
    for label in range(count):
        painted = np.zeros(mask.shape, np.int64)
        chosen = np.arange(count) == label
        pieces.paint(painted, chosen, 1)
        assert len(np.unique(labels[painted == 1])) == 1
        assert painted.sum() == areas[label]


@given(MASKS)
def test_sums_and_edges(mask: np.ndarray) -> None:
    values = np.arange(mask.size, dtype=np.float64).reshape(mask.shape)
    pieces = find_pieces(mask, diagonal=False)
    assert pieces.sums(values).sum() == pytest.approx(values[mask].sum())
    at_edge = mask.copy()
    at_edge[1:-1, 1:-1] = False
    painted = np.zeros(mask.shape, np.bool_)
    pieces.paint(painted, pieces.touches_edge(), True)
    assert (painted & at_edge).sum() == at_edge.sum()


def test_partial_rows_and_columns_weigh_less() -> None:
    pieces = find_pieces(np.ones((3, 4), np.bool_), diagonal=False)
    area = pieces.areas(np.array([1, 1, 0.5]), np.array([1, 1, 1, 0.25]))
    assert area.tolist() == [2.5 * 3.25]


def test_growth_in_bands_is_growth_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).random((90, 70)) < 0.03
    whole = grown(mask, 6), grown(~mask, -4), close(mask, 5), opened(~mask, 3)
    monkeypatch.setattr("tme.tissue.morphology.BAND_ROWS", 16)
    bands = grown(mask, 6), grown(~mask, -4), close(mask, 5), opened(~mask, 3)
    for one, other in zip(whole, bands, strict=True):
        np.testing.assert_array_equal(one, other)
