"""The slide's own haematoxylin, and hues that contradict the name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tme.stains import STAINS
from tme.stains.deconvolve import unit
from tme.stains.direction import (
    FAR_GREEN_DAB,
    FAR_GREEN_HE,
    FEWEST_BLUE,
    FEWEST_STAINED,
    green_share,
    haematoxylin_direction,
    hue_caution,
    stained,
    wrong_stain,
)

REFERENCE, DAB = (np.array(unit(vector)) for vector in STAINS.get("KI67").vectors)


def rotated(degrees: float) -> NDArray[np.float64]:
    """The reference haematoxylin turned towards red."""
    across = np.array([1.0, 0.0, 0.0]) - REFERENCE[0] * REFERENCE
    across /= np.linalg.norm(across)
    turn = np.deg2rad(degrees)
    return np.cos(turn) * REFERENCE + np.sin(turn) * across


def cloud(direction: NDArray[np.float64], count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.02, (count, 3))
    return (rng.uniform(0.3, 0.9, (count, 1)) * direction + noise).astype(np.float32)


def angle(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    return float(np.rad2deg(np.arccos(np.clip(one @ two, -1, 1))))


@pytest.mark.parametrize("degrees", [0.0, 8.0, 20.0])
def test_a_rotated_haematoxylin_is_read_among_brown_points(degrees: float) -> None:
    points = np.concatenate([cloud(rotated(degrees), 600), cloud(DAB, 300, 1)])
    found, is_own = haematoxylin_direction(points, tuple(REFERENCE))
    assert is_own
    assert angle(np.array(found), rotated(degrees)) < 1.0
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-9)


def test_too_few_blue_points_give_the_reference() -> None:
    blue = cloud(rotated(15), FEWEST_BLUE)
    assert (blue[:, 0] > blue[:, 2]).all()
    reference = tuple(REFERENCE)
    assert haematoxylin_direction(blue, reference)[1]
    for points in (blue[:-1], np.concatenate([blue[:-1], cloud(DAB, 500)]), blue[:0]):
        found, is_own = haematoxylin_direction(points, reference)
        assert not is_own
        assert found == pytest.approx(reference)


def test_what_is_far_from_blue_gives_the_reference() -> None:
    found, is_own = haematoxylin_direction(cloud(np.array([1.0, 0.0, 0.0]), 500), tuple(REFERENCE))
    assert not is_own
    assert found == pytest.approx(tuple(REFERENCE))


def test_stained_pixels_are_neither_pale_nor_saturated() -> None:
    densities = np.array([[0.0, 0.0, 0.0], [0.1, 0.1, 0.0], [0.3, 0.3, 0.1], [0.2, 1.4, 0.2]], np.float32)
    assert stained(densities).tolist() == densities[2:3].tolist()


def test_too_few_stained_pixels_have_no_hue() -> None:
    few = np.tile(DAB, (FEWEST_STAINED - 1, 1)).astype(np.float32)
    assert green_share(few) is None
    assert hue_caution(STAINS.get("HE"), few) == ""
    assert "does not look like HE" in hue_caution(STAINS.get("HE"), np.vstack([few, few]))


def test_a_hue_is_held_against_the_name() -> None:
    eosin = np.array(unit(STAINS.get("HE").vectors[1]))
    pink = np.concatenate([cloud(eosin, 8000), cloud(np.array(unit(STAINS.get("HE").vectors[0])), 3000)])
    brown = np.concatenate([cloud(DAB, 8000), cloud(REFERENCE, 3000)])
    for stain in ("CD8", "CD31", "KI67"):
        assert hue_caution(STAINS.get(stain), brown) == ""
        assert hue_caution(STAINS.get(stain), pink).startswith(f"does not look like {stain}")
    assert hue_caution(STAINS.get("HE"), pink) == ""
    assert hue_caution(STAINS.get("HE"), brown).startswith("does not look like HE")


@given(green=st.floats(0.3, 0.95))
def test_a_hue_far_off_is_another_stain_and_one_near_it_a_caution(green: float) -> None:
    other = np.sqrt((1 - green**2) / 2)
    points = np.tile(np.array([other, green, other], np.float32), (FEWEST_STAINED, 1))
    for name, far in (("HE", green < FAR_GREEN_HE), ("CD8", green > FAR_GREEN_DAB)):
        said = wrong_stain(STAINS.get(name), points)
        assert bool(said) is far
        assert said in ("", hue_caution(STAINS.get(name), points))
        assert wrong_stain(STAINS.get(name), points[1:]) == ""


def test_a_red_chromogen_is_not_taken_for_eosin() -> None:
    pink = np.tile(np.array([0.2, 0.8, 0.4], np.float32), (FEWEST_STAINED, 1))
    cd8 = STAINS.get("CD8")
    red = replace(cd8, vectors=(cd8.vectors[0], (0.21, 0.85, 0.48)))
    for asked in (hue_caution, wrong_stain):
        assert asked(cd8, pink)
        assert not asked(red, pink)
