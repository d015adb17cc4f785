"""Golden pigment told from DAB by what lies under it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cell_scenes import profile_of
from tme.stains import STAINS
from tme.stains.black import FEWEST_POSITIVE
from tme.stains.golden import (
    LEAST_DOUBTED,
    LEAST_UNDER_CELL,
    LEAST_UNDER_SECTION,
    TOLD_FROM,
    golden_caution,
    golden_section,
    haematoxylin_under,
    is_golden,
)

CD8 = STAINS.get("CD8")


def points(haematoxylin: float, dab: float, count: int = FEWEST_POSITIVE) -> np.ndarray:
    """Channel densities of so much of either stain, on a CD8 slide."""
    vectors = np.array(profile_of("CD8").vectors[:2])
    return np.tile(np.array([haematoxylin, dab]) @ vectors, (count, 1)).astype(np.float32)


@given(dab=st.floats(0.1, 2), share=st.floats(0, 3))
def test_what_lies_under_dab_is_found_again(dab: float, share: float) -> None:
    found = haematoxylin_under(CD8, profile_of("CD8"), points(share * dab, dab))
    assert found == pytest.approx(share, abs=0.01)


def test_points_without_dab_are_left_aside() -> None:
    both = np.concatenate([points(0.5, 0.5), points(0.5, -0.01)])
    assert haematoxylin_under(CD8, profile_of("CD8"), both) == pytest.approx(1, abs=0.01)


def test_few_points_and_markers_elsewhere_say_nothing() -> None:
    assert haematoxylin_under(CD8, profile_of("CD8"), points(1, 1, FEWEST_POSITIVE - 1)) is None
    assert haematoxylin_under(CD8, profile_of("CD8"), np.zeros((0, 3), np.float32)) is None
    assert haematoxylin_under(CD8, profile_of("CD8"), points(1, -0.1)) is None
    for name in ("KI67", "CD31", "CD34"):
        # Their brown lies over the nucleus, or where there is none.
        assert haematoxylin_under(STAINS.get(name), profile_of(name), points(0, 1)) is None


@given(under=st.floats(-1, 3))
def test_a_section_is_believed_doubted_or_neither(under: float) -> None:
    assert bool(golden_section(under)) is (under < LEAST_UNDER_SECTION)
    assert bool(golden_caution(under)) is (LEAST_UNDER_SECTION <= under < LEAST_DOUBTED)
    assert not golden_section(None)
    assert not golden_caution(None)


@pytest.mark.parametrize(("under", "told"), [(None, False), (TOLD_FROM - 0.01, False), (TOLD_FROM, True)])
def test_cells_are_judged_where_the_slide_shows_what_is_usual(under: float | None, told: bool) -> None:
    slide = replace(profile_of("CD8"), haematoxylin_under_dab=under)
    dab = np.array([0.5, 0.5, 0.0, -0.1])
    haematoxylin = np.array([LEAST_UNDER_CELL / 2 - 0.01, LEAST_UNDER_CELL / 2 + 0.01, 0.0, -0.2])
    assert is_golden(haematoxylin, dab, slide).tolist() == [told, False, False, False]
