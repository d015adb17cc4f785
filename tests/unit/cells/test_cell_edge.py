"""Positive cells along the border of the tissue are said where they crowd there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme.cells.edge import (
    BETWEEN,
    DEEP,
    EDGE,
    FEWEST_AT_EDGE,
    MOST_TIMES,
    UNUSABLE,
    edge_caution,
    edge_zones,
)
from tme.tissue.types import TissueMask

MPP = 4.0


def mask_of(tissue: np.ndarray, artefacts: np.ndarray | None = None) -> TissueMask:
    height, width = tissue.shape
    none = np.zeros(tissue.shape, np.uint8)
    return TissueMask(
        MPP, width * MPP, height * MPP, tissue, none if artefacts is None else artefacts, True, 1
    )


def test_border_and_inside_are_told_by_their_distance_to_glass() -> None:
    tissue, artefacts = np.zeros((100, 120), bool), np.zeros((100, 120), np.uint8)
    tissue[:, 20:] = True  # glass on the left; the picture ends in tissue on the other sides
    artefacts[40:50, 20:60] = 1
    zones = edge_zones(mask_of(tissue, artefacts))
    row = zones.mask[10]
    assert (row[:20] == UNUSABLE).all()
    assert (row[20:27] == EDGE).all()
    assert (row[27:34] == BETWEEN).all()
    assert (row[35:] == DEEP).all()
    assert (zones.mask[40:50, 20:60] == UNUSABLE).all()
    assert zones.edge_mm2 == pytest.approx((zones.mask == EDGE).sum() * MPP**2 / 1e6)
    assert zones.deep_mm2 == pytest.approx((zones.mask == DEEP).sum() * MPP**2 / 1e6)


def test_a_field_without_glass_has_no_border() -> None:
    zones = edge_zones(mask_of(np.ones((30, 30), bool)))
    assert (zones.mask == DEEP).all()
    assert zones.edge_mm2 == 0
    assert not edge_zones(mask_of(np.zeros((30, 30), bool))).mask.any()


HALF = np.zeros((100, 120), bool)
HALF[:, 20:] = True


@given(deep=st.integers(0, 5000), at_edge=st.integers(0, 500))
def test_it_is_said_of_many_that_are_several_times_as_dense(at_edge: int, deep: int) -> None:
    zones = edge_zones(mask_of(HALF))
    said = edge_caution(at_edge, deep, mask_of(HALF))
    dense = at_edge / zones.edge_mm2 >= MOST_TIMES * deep / zones.deep_mm2
    assert bool(said) is (at_edge >= FEWEST_AT_EDGE and dense)
    assert not said or said.startswith(f"{at_edge} positive cells lie within 30 µm of the tissue's border")


@pytest.mark.parametrize(
    ("at_edge", "deep", "said"), [(19, 0, False), (20, 0, True), (70, 200, True), (70, 300, False)]
)
def test_how_many_times_as_dense(at_edge: int, deep: int, said: bool) -> None:
    # 7 of the hundred columns of tissue are border, 85 deep.
    assert bool(edge_caution(at_edge, deep, mask_of(HALF))) is said


def test_what_is_too_thin_has_no_inside_to_compare_with() -> None:
    thin = np.zeros((100, 120), bool)
    thin[:, 20:36] = True
    assert edge_zones(mask_of(thin)).deep_mm2 < edge_zones(mask_of(thin)).edge_mm2 / 4
    assert not edge_caution(500, 0, mask_of(thin))
