"""Brown pigment told from DAB by how much green it absorbs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cell_scenes import profile_of
from tme.cells.stage import find_cells
from tme.config import CellSettings, StainSettings, TissueSettings
from tme.stains import STAINS
from tme.stains.black import FEWEST_POSITIVE
from tme.stains.brown import (
    LEAST_COLOUR_OD,
    MOST_GREEN_PIGMENT,
    MOST_GREEN_SECTION,
    MOST_RANGE_OF_PIGMENT,
    SPREADS_BELOW,
    TOLD_FROM,
    brown_section,
    green_over_mean,
    is_brown_pigment,
    least_green,
)
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue

CD8 = STAINS.get("CD8")
WAVELENGTHS = np.array([610.0, 540.0, 465.0])


def colour(green: float, blue: float = 1.4, total: float = 1.5) -> np.ndarray:
    """Channel densities with ``green`` times the geometric mean of red and blue, ``blue`` times red."""
    density = np.array([1.0, green * np.sqrt(blue), blue])
    return density * total / density.sum()


def cloud(*greens: float) -> np.ndarray:
    """Points of these shares of green."""
    return np.array([colour(green) for green in greens], np.float32)


def stained(count: int = 100, low: float = 1.15, high: float = 1.25) -> np.ndarray:
    return cloud(*np.linspace(low, high, count))


@given(red=st.floats(0.01, 2), green=st.floats(0, 2), blue=st.floats(0.01, 2), contrast=st.floats(0.2, 3))
def test_the_share_of_green_does_not_depend_on_darkness_or_gamma(
    red: float, green: float, blue: float, contrast: float
) -> None:
    density = np.array([[red, green, blue]])
    assert green_over_mean(contrast * density) == pytest.approx(green_over_mean(density))
    assert green_over_mean(density) == pytest.approx(green / np.sqrt(red * blue))


def test_a_colour_without_red_or_blue_has_no_share() -> None:
    found = green_over_mean(np.array([[0.0, 1.0, 1.0], [1.0, 1.0, -0.1], [0.5, 0.5, 0.5]]))
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(1)
    assert not is_brown_pigment(
        np.array([[0.0, 1.0, 1.0]]), replace(profile_of("CD8"), least_green=1.08)
    ).any()


@given(falls=st.floats(0.5, 4), total=st.floats(LEAST_COLOUR_OD + 0.01, 4))
def test_what_absorbs_ever_less_towards_red_is_pigment(falls: float, total: float) -> None:
    melanin = (WAVELENGTHS / 540) ** -falls
    slide = replace(profile_of("CD8"), least_green=least_green(CD8, stained()))
    assert is_brown_pigment(melanin[None] * total / melanin.sum(), slide).all()


@given(share=st.floats(0, 3), total=st.floats(0.1, 4))
def test_dab_and_haematoxylin_in_any_mixture_are_not(share: float, total: float) -> None:
    vectors = np.array(profile_of("CD8").vectors[:2])
    mixed = np.array([share, 1.0]) @ vectors
    slide = replace(profile_of("CD8"), least_green=least_green(CD8, stained()))
    assert slide.least_green is not None
    assert not is_brown_pigment(mixed[None] * total / mixed.sum(), slide).any()


def test_pale_colours_are_not_judged() -> None:
    slide = replace(profile_of("CD8"), least_green=1.08)
    pale, dark = (colour(0.95, total=LEAST_COLOUR_OD + by) for by in (-0.01, 0.01))
    assert is_brown_pigment(np.stack([pale, dark]), slide).tolist() == [False, True]
    assert not is_brown_pigment(np.stack([pale, dark]), profile_of("CD8")).any()


@given(grains=st.integers(1, 45), green=st.floats(0.9, 1.05))
def test_grains_among_stain_do_not_hide_themselves(grains: int, green: float) -> None:
    found = least_green(CD8, np.concatenate([stained(100 - grains), cloud(*[green] * grains)]))
    assert found is not None
    assert green < found <= MOST_GREEN_PIGMENT


def test_nothing_is_told_where_points_are_few_or_stain_has_the_colours_of_pigment() -> None:
    assert least_green(CD8, stained(FEWEST_POSITIVE - 1)) is None
    assert least_green(CD8, stained(FEWEST_POSITIVE)) == MOST_GREEN_PIGMENT
    assert least_green(CD8, stained(100, 0.7, 1.3)) is None
    # The quartile stands 0.1 over what is told, the 95th percentile 0.02 above it.
    limit = least_green(CD8, stained(100, TOLD_FROM + 0.025, TOLD_FROM + 0.125))
    assert limit == pytest.approx(TOLD_FROM + 0.1 - SPREADS_BELOW * 0.02, abs=0.002)
    for name in ("KI67", "HE"):
        assert least_green(STAINS.get(name), stained()) is None
    for name in ("CD3", "CD31", "CD34"):
        assert least_green(STAINS.get(name), stained()) == MOST_GREEN_PIGMENT


@pytest.mark.parametrize(
    ("low", "high", "refused"),
    [
        (0.95, 1.05, True),
        (MOST_GREEN_SECTION - 0.05, MOST_GREEN_SECTION + 0.04, True),
        (MOST_GREEN_SECTION - 0.04, MOST_GREEN_SECTION + 0.05, False),
        # One hue no more: half of the range lies between the quartiles.
        (1.0 - 1.05 * MOST_RANGE_OF_PIGMENT, 1.0 + 1.05 * MOST_RANGE_OF_PIGMENT, False),
    ],
)
def test_a_section_brown_in_one_hue_of_pigment_is_refused(low: float, high: float, refused: bool) -> None:
    points = stained(100, low, high)
    assert bool(brown_section(CD8, points)) is refused
    assert not brown_section(CD8, points[: FEWEST_POSITIVE - 1])
    assert not brown_section(STAINS.get("KI67"), points)
    if refused:
        assert "pigment such as melanin" in brown_section(CD8, points)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("field", "stain", "mpp", "told"),
    [
        ("ihc/unlabelled/ROI_127.png", "CD8", 0.25, True),
        ("ihc/unlabelled/ROI_1.png", "CD8", 0.25, True),
        ("vessel/kather_cd31_hires.webp", "CD31", 0.5, True),
        # Its DAB has the colours of melanin.
        ("vessel/lintian_cd31.webp", "CD31", 0.5, False),
    ],
)
def test_real_stain_is_not_taken_for_pigment(
    shared_data: Path, field: str, stain: str, mpp: float, told: bool
) -> None:
    pixels = np.ascontiguousarray(cv2.imread(str(shared_data / field))[..., ::-1])
    slide = ArraySlide(pixels, mpp)
    profile = estimate_profile(
        slide, find_tissue(slide, TissueSettings()), STAINS.get(stain), StainSettings()
    )
    assert profile.no_count == ""
    assert (profile.least_green is not None) is told
    if stain == "CD8":
        tissue = find_tissue(slide, TissueSettings())
        both = profile, replace(profile, least_green=None)
        tables = [find_cells(slide, tissue, one, CD8, CellSettings()).table for one in both]
        positive, without = (sum(table["positive"].to_pylist()) for table in tables)
        assert positive == without > 150
