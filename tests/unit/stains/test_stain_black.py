"""Black pigment told from DAB by the colour of what is dark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.cell_scenes import profile_of
from tme.stains import STAINS
from tme.stains.black import (
    FEWEST_POSITIVE,
    MOST_HAEMATOXYLIN,
    black_caution,
    black_is_told,
    black_section,
    is_black,
)
from tme.stains.deconvolve import stain_vectors

CARBON = np.array([1.0, 1.0, 1.0])
HAEMATOXYLIN, DAB = np.array(STAINS.get("CD8").vectors)


@given(
    dab=st.floats(0.2, 2.5),
    share=st.floats(0, MOST_HAEMATOXYLIN),
    red=st.floats(0.5, 0.9),
    green=st.floats(0.4, 0.75),
    blue=st.floats(0.15, 0.55),
)
def test_where_black_is_told_dab_over_a_nucleus_is_never_black(
    dab: float, share: float, red: float, green: float, blue: float
) -> None:
    slide = replace(profile_of("CD8"), vectors=stain_vectors((red, green, blue), tuple(DAB)))
    assume(black_is_told(STAINS.get("CD8"), slide))
    haematoxylin, brown = np.array(slide.vectors[:2])
    assert not is_black(dab * (brown + share * haematoxylin)[None]).any()


@given(carbon=st.floats(0.5, 2), stroma=st.floats(0, 0.15))
def test_carbon_over_stroma_is_black(carbon: float, stroma: float) -> None:
    assert is_black((carbon * CARBON + stroma * HAEMATOXYLIN)[None]).all()


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
    [
        (20, 20, True),
        (19, 21, False),
        (FEWEST_POSITIVE, 0, True),
        (FEWEST_POSITIVE - 1, 0, False),
        (0, 0, False),
    ],
)
def test_a_section_is_black_where_half_of_enough_points_are(black: int, brown: int, told: bool) -> None:
    points = np.concatenate([np.tile(CARBON, (black, 1)), np.tile(DAB, (brown, 1))]).astype(np.float32)
    found = black_section(STAINS.get("CD8"), profile_of("CD8"), points)
    assert ("not DAB" in found) == told
    assert black_section(STAINS.get("KI67"), profile_of("KI67"), points) == ""
    assert black_caution(STAINS.get("CD8"), profile_of("CD8"), points) == ""


def test_where_the_counterstain_hides_black_a_section_full_of_it_is_cautioned_of() -> None:
    blue = replace(profile_of("CD8"), vectors=stain_vectors((0.89, 0.43, 0.17), (0.27, 0.57, 0.78)))
    points = np.tile(CARBON, (FEWEST_POSITIVE, 1)).astype(np.float32)
    assert black_section(STAINS.get("CD8"), blue, points) == ""
    assert "not told from DAB" in black_caution(STAINS.get("CD8"), blue, points)
    assert black_caution(STAINS.get("CD8"), blue, points[1:]) == ""
    brown = np.tile(DAB, (FEWEST_POSITIVE, 1)).astype(np.float32)
    assert black_caution(STAINS.get("CD8"), blue, brown) == ""
    assert black_caution(STAINS.get("KI67"), blue, points) == ""
