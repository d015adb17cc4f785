"""What must hold of any slide: turning, mirroring and a wider margin change no tissue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tissue_scenes import develop, disk, find, glass_density, paint_tissue


def _slide(seed: int, pieces: int) -> np.ndarray:
    """A few round pieces on glass, 480 x 640 µm at 1 µm/px."""
    rng = np.random.default_rng(seed)
    shape = (480, 640)
    mask = np.zeros(shape, np.bool_)
    for _ in range(pieces):
        mask |= disk(shape, rng.uniform(0, 480), rng.uniform(0, 640), rng.uniform(40, 150))
    density = glass_density(*shape)
    paint_tissue(density, mask, seed)
    return develop(density, seed)


SLIDES = st.builds(_slide, st.integers(0, 10_000), st.integers(1, 4))


@settings(max_examples=12)
@given(SLIDES, st.integers(0, 3), st.booleans())
def test_turning_and_mirroring_keep_the_area(pixels: np.ndarray, turns: int, mirror: bool) -> None:
    changed = np.rot90(pixels[:, ::-1] if mirror else pixels, turns)
    before, after = find(pixels), find(np.ascontiguousarray(changed))
    assert after.area_mm2(after.tissue) == pytest.approx(before.area_mm2(before.tissue), rel=0.002)
    assert after.n_pieces == before.n_pieces
    assert after.has_glass == before.has_glass


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30))
def test_a_margin_of_glass_keeps_the_tissue(seed: int, top: int, left: int) -> None:
    shape = (480, 640)
    density = glass_density(*shape)
    paint_tissue(density, disk(shape, 240, 320, 150), seed)
    wide = np.pad(density, ((8 * top, 40), (8 * left, 40), (0, 0)))
    before, after = find(develop(density, noise=0.0)), find(develop(wide, noise=0.0))
    inside = after.tissue[2 * top : 2 * top + 120, 2 * left : 2 * left + 160]
    np.testing.assert_array_equal(inside, before.tissue)
    assert after.tissue.sum() == before.tissue.sum()


@settings(max_examples=12)
@given(SLIDES)
def test_the_mask_is_whole_and_repeats(pixels: np.ndarray) -> None:
    found, again = find(pixels), find(pixels)
    np.testing.assert_array_equal(found.tissue, again.tissue)
    assert 0 <= found.area_mm2(found.tissue) <= 480 * 640 * 1e-6 + 1e-12
    assert not found.artefacts[~found.tissue].any()
    assert (found.n_pieces == 0) == (not found.tissue.any())


@settings(max_examples=8)
@given(SLIDES, st.floats(0.8, 1.0))
def test_a_dimmer_lamp_keeps_the_tissue(pixels: np.ndarray, lamp: float) -> None:
    dim = (pixels * lamp + 0.5).astype(np.uint8)
    before, after = find(pixels), find(dim)
    assert after.area_mm2(after.tissue) == pytest.approx(before.area_mm2(before.tissue), rel=0.02)


LIGHT = st.tuples(*[st.floats(0.85, 1.0)] * 3)


def _seen(
    pixels: np.ndarray, colour: tuple[float, ...], dim: float, across: float, down: float
) -> np.ndarray:
    """A slide as a tinted, dim lamp shows it whose light falls over the width and the height."""
    rows, columns = np.ogrid[0:1:480j, 0:1:640j]
    light = dim * (1.0 - across * columns) * (1.0 - down * rows)
    return np.clip(pixels * light[..., None] * np.array(colour) + 0.5, 0, 255).astype(np.uint8)


@settings(max_examples=20)
@given(st.integers(0, 10_000), LIGHT, st.floats(0.8, 1.0), st.floats(0.0, 0.12), st.floats(0.0, 0.12))
def test_tint_dimming_and_a_fall_of_light_keep_the_tissue(
    seed: int, colour: tuple[float, ...], dim: float, across: float, down: float
) -> None:
    density = glass_density(480, 640)
    paint_tissue(density, disk((480, 640), 240, 320, 150), seed)
    pixels = develop(density, seed)
    before, after = find(pixels), find(_seen(pixels, colour, dim, across, down))
    assert after.has_glass
    assert after.area_mm2(after.tissue) == pytest.approx(before.area_mm2(before.tissue), rel=0.02)
