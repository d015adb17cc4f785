"""Black pigment told from DAB by the colour of what is dark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cell_scenes import profile_of
from tme.stains import STAINS
from tme.stains.black import FEWEST_POINTS, black_is_told, black_section, is_black
from tme.stains.deconvolve import stain_vectors

CARBON = np.array([1.0, 1.0, 1.0])
HAEMATOXYLIN, DAB = np.array(STAINS.get("CD8").vectors)


@given(
    dab=st.floats(0.3, 2.5),
    share=st.floats(0, 1),
    carbon=st.floats(0.5, 2),
    stroma=st.floats(0, 0.15),
)
def test_dab_over_a_nucleus_is_never_black_and_carbon_over_stroma_always_is(
    dab: float, share: float, carbon: float, stroma: float
) -> None:
    brown = dab * DAB + share * dab * HAEMATOXYLIN
    black = carbon * CARBON + stroma * HAEMATOXYLIN
    assert is_black(np.array([brown, black])).tolist() == [False, True]


def test_what_is_pale_has_no_colour_to_go_by() -> None:
    assert is_black(np.array([0.3 * CARBON, 0.4 * CARBON])).tolist() == [False, True]
    assert is_black(np.zeros((0, 3))).tolist() == []


def test_black_is_not_told_where_stain_itself_is_black() -> None:
    assert black_is_told(STAINS.get("CD8"), profile_of("CD8"))
    assert black_is_told(STAINS.get("CD31"), profile_of("CD31"))
    assert not black_is_told(STAINS.get("KI67"), profile_of("KI67"))
    assert not black_is_told(STAINS.get("HE"), profile_of("HE"))
    blue = replace(profile_of("CD8"), vectors=stain_vectors((0.89, 0.43, 0.17), (0.27, 0.57, 0.78)))
    assert not black_is_told(STAINS.get("CD8"), blue)


@pytest.mark.parametrize(
    ("black", "brown", "told"),
    [(20, 20, True), (19, 21, False), (FEWEST_POINTS, 0, True), (FEWEST_POINTS - 1, 0, False), (0, 0, False)],
)
def test_a_section_is_black_where_half_of_enough_points_are(black: int, brown: int, told: bool) -> None:
    points = np.concatenate([np.tile(CARBON, (black, 1)), np.tile(DAB, (brown, 1))]).astype(np.float32)
    found = black_section(STAINS.get("CD8"), profile_of("CD8"), points)
    assert ("not DAB" in found) == told
    assert black_section(STAINS.get("KI67"), profile_of("KI67"), points) == ""
