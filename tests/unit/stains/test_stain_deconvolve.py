"""Densities are Beer-Lambert and a matrix inverse, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cell_scenes import painted
from tme.stains import STAINS, stain_names
from tme.stains.deconvolve import (
    channel_od,
    od_table,
    reference_profile,
    stain_od,
    stain_vectors,
    unit,
    unmixing,
)
from tme.stains.types import StainProfile, normalised_name

BACKGROUND = (243.0, 240.0, 236.0)


def profile() -> StainProfile:
    return reference_profile(STAINS.get("CD8"), BACKGROUND)


def test_density_of_every_grey_level_is_exact() -> None:
    levels = np.arange(256, dtype=np.uint8)
    pixels = np.repeat(levels[None, :, None], 3, axis=2)
    found = channel_od(pixels, BACKGROUND)[0]
    for channel, white in enumerate(BACKGROUND):
        expected = np.maximum(-np.log10(np.maximum(levels.astype(float), 1) / white), 0)
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-6, atol=1e-7)
    assert found.dtype == np.float32


def test_background_and_brighter_have_no_density_and_black_counts_as_one() -> None:
    table = od_table(BACKGROUND)[0]
    assert table[243, 0] == table[255, 0] == 0
    assert table[242, 0] > 0
    assert (table[0] == table[1]).all()
    assert np.isfinite(table).all()


@pytest.mark.parametrize("stain", STAINS.names())
def test_vectors_have_length_one_and_the_residual_is_orthogonal(stain: str) -> None:
    vectors = np.array(stain_vectors(*STAINS.get(stain).vectors))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(vectors[:2] @ vectors[2], 0, atol=1e-12)


def test_unit_keeps_the_direction() -> None:
    assert unit((3.0, 0.0, 4.0)) == pytest.approx((0.6, 0.0, 0.8))


def test_unmixing_recovers_mixed_amounts_whatever_the_residual() -> None:
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0, 1.5, (500, 2))
    vectors = np.array(profile().vectors)
    density = amounts @ vectors[:2] + rng.normal(0, 0.1, (500, 1)) * vectors[2]
    np.testing.assert_allclose(density @ unmixing(profile()).T.astype(float), amounts, atol=2e-6)


def test_amounts_survive_eight_bits() -> None:
    rng = np.random.default_rng(1)
    amounts = rng.uniform(0, 0.6, (40, 50, 2)).astype(np.float32)
    found = stain_od(painted(amounts, profile()), profile())
    assert found.shape == amounts.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, amounts, atol=0.03)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), amounts.mean(axis=(0, 1)), atol=0.001)


def test_negative_densities_are_kept() -> None:
    vectors = np.array(profile().vectors)
    amounts = np.array([[[0.8, -0.15]]])
    light = np.round(np.array(BACKGROUND) * 10.0 ** -(amounts @ vectors[:2])).astype(np.uint8)
    found = stain_od(light, profile())[0, 0]
    assert found[1] == pytest.approx(-0.15, abs=0.02)
    grainy = np.random.default_rng(2).normal(236, 3, (64, 64, 3)).clip(0, 240).astype(np.uint8)
    assert stain_od(grainy, profile())[..., 1].min() < -0.005


def test_a_pixel_does_not_depend_on_its_window() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    part = np.ascontiguousarray(rgb[5:50, 9:40])
    assert np.array_equal(stain_od(part, profile()), stain_od(rgb, profile())[5:50, 9:40])


@pytest.mark.parametrize(
    ("spelling", "stain"),
    [
        ("H&E", "HE"),
        ("h & e", "HE"),
        ("HES", "HE"),
        ("Haematoxylin-Eosin", "HE"),
        ("hematoxylin eosin", "HE"),
        ("Ki-67", "KI67"),
        ("ki67", "KI67"),
        ("MIB-1", "KI67"),
        ("cd 8", "CD8"),
        ("ＣＤ８", "CD8"),
        ("CD8a", "CD8"),
        ("cd3 Epsilon", "CD3"),
        ("PECAM-1", "CD31"),
        ("QBEnd/10", "CD34"),
    ],
)
def test_spellings_of_a_stain(spelling: str, stain: str) -> None:
    assert stain_names()[normalised_name(spelling)] == stain


@pytest.mark.parametrize("spelling", ["", "CD", "CD88", "HER2", "eosin", "CD8 CD3"])
def test_what_is_no_stain_has_no_name(spelling: str) -> None:
    assert normalised_name(spelling) not in stain_names()


def test_the_list_of_spellings_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        stain_names()["cd8"] = "CD3"  # type: ignore[index]
