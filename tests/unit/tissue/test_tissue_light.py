"""The light of a slide: tinted and dim glass, a slow fall, plain margins; and what must stay tissue."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.tissue_scenes import develop, disk, find, glass_density, paint_tissue, rectangle, section
from tme.slide.types import RGB
from tme.testing.memory import ArraySlide
from tme.tissue import quality
from tme.tissue.glass import estimate_glass
from tme.tissue.light import Window, find_blocks, find_fall

SHAPE = (900, 1200)


def _area(pixels: RGB) -> float:
    found = find(pixels)
    assert found.has_glass
    return found.area_mm2(found.tissue)


def _lit(pixels: RGB, light: NDArray) -> RGB:
    return np.clip(pixels * np.broadcast_to(light, pixels.shape) + 0.5, 0, 255).astype(np.uint8)


def _across(fall: float) -> NDArray[np.float64]:
    return 1.0 - fall * np.linspace(0.0, 1.0, 1000)[None, :, None]


@pytest.mark.parametrize(
    "glass",
    [
        pytest.param((243.0, 208.0, 207.0), id="pink"),
        pytest.param((248.0, 224.0, 220.0), id="faint pink"),
        pytest.param((206.0, 244.0, 210.0), id="green"),
        pytest.param((205.0, 208.0, 246.0), id="blue"),
        pytest.param((244.0, 240.0, 206.0), id="yellow"),
        pytest.param((172.0, 172.0, 170.0), id="dim"),
        pytest.param((158.0, 159.0, 157.0), id="dimmer"),
        pytest.param((190.0, 165.0, 162.0), id="dim and tinted"),
    ],
)
def test_tinted_and_dim_glass_is_not_tissue(glass: tuple[float, float, float]) -> None:
    density, mask = section()
    assert _area(develop(density, glass=glass)) == pytest.approx(mask.sum() * 1e-6, rel=0.02)


@pytest.mark.parametrize("share", [0.90, 0.91, 0.92, 0.93, 0.94])
def test_the_area_does_not_jump_with_the_tint(share: float) -> None:
    density, _ = section()
    pixels = develop(density)
    assert _area(_lit(pixels, np.array([1.0, share, share]))) == pytest.approx(_area(pixels), rel=0.005)


def test_pale_tissue_on_tinted_glass_is_found() -> None:
    density, mask = section()
    found = _area(develop(density * np.float32(0.15), glass=(243.0, 208.0, 207.0)))
    assert found == pytest.approx(mask.sum() * 1e-6, rel=0.05)


@pytest.mark.parametrize("fall", [0.05, 0.10, 0.15, 0.20])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_slow_fall_of_light_is_not_tissue(fall: float, turns: int) -> None:
    density, _ = section()
    pixels = np.ascontiguousarray(np.rot90(develop(density), turns))
    light = 1.0 - fall * np.linspace(0.0, 1.0, pixels.shape[1])[None, :, None]
    assert _area(_lit(pixels, light)) == pytest.approx(_area(pixels), rel=0.01)


def test_dark_corners_are_not_tissue() -> None:
    density, _ = section()
    pixels = develop(density)
    rows, columns = np.ogrid[-1:1:800j, -1:1:1000j]
    light = 1.0 - 0.25 * (rows**2 + columns**2)[..., None] / 2
    assert _area(_lit(pixels, light)) == pytest.approx(_area(pixels), rel=0.01)


def test_a_large_fall_is_said_and_a_small_one_is_not() -> None:
    density, _ = section()
    pixels = develop(density)
    assert find(_lit(pixels, _across(0.06))).cautions == ()
    (said,) = quality(find(_lit(pixels, _across(0.15))), None)["cautions"]
    assert said.startswith("the light falls by 15 % over the slide")


def test_even_light_and_glass_in_two_tones_are_no_fall() -> None:
    density, _ = section()
    for pixels in (
        develop(density),
        np.pad(develop(density), ((0, 0), (0, 300), (0, 0)), constant_values=215),
    ):
        window = Window(0, 0, pixels)
        blocks = find_blocks([window], *pixels.shape[:2])
        glass = estimate_glass([window], blocks)
        assert glass.found
        assert find_fall(blocks, glass.rgb, *pixels.shape[:2]) is None


@pytest.mark.parametrize(
    ("colour", "noise"),
    [
        pytest.param((208, 207, 209), 0.0, id="grey"),
        pytest.param((208, 207, 209), 1.5, id="grey and noisy"),
        pytest.param((185, 184, 186), 1.5, id="darker and noisy"),
        pytest.param((200, 185, 190), 0.0, id="tinted fill"),
        pytest.param((120, 120, 120), 0.0, id="dark fill"),
    ],
)
def test_a_plain_margin_is_not_tissue(colour: tuple[int, int, int], noise: float) -> None:
    density, _ = section()
    pixels = develop(density)
    margin = np.float32(colour) + np.random.default_rng(2).normal(0.0, noise, (800, 300, 1))
    wide = np.concatenate([pixels, np.clip(margin + 0.5, 0, 255).astype(np.uint8)], axis=1)
    found = find(wide)
    assert found.area_mm2(found.tissue) == pytest.approx(_area(pixels), rel=0.01)
    (said,) = found.cautions
    assert "of the picture is a plain area that is not glass" in said


def test_a_margin_beside_tissue_takes_none_of_it() -> None:
    density = glass_density(*SHAPE)
    tissue = rectangle(SHAPE, 200, 300, 700, 1200)
    paint_tissue(density, tissue)
    pixels = np.pad(develop(density), ((0, 0), (0, 400), (0, 0)), constant_values=180)
    found = find(pixels)
    assert found.area_mm2(found.tissue) == pytest.approx(tissue.sum() * 1e-6, rel=0.03)


def test_a_margin_is_not_the_glass_of_a_field_without_any() -> None:
    density = glass_density(*SHAPE)
    paint_tissue(density, np.ones(SHAPE, np.bool_))
    found = find(np.pad(develop(density), ((0, 0), (0, 400), (0, 0)), constant_values=150))
    assert not found.has_glass
    assert found.area_mm2(found.tissue) == pytest.approx(SHAPE[0] * SHAPE[1] * 1e-6, rel=0.03)


def _smooth_field() -> RGB:
    """Tissue all over with a pale smooth lake: mucin or necrosis, tinted, and with a slow structure."""
    density = glass_density(*SHAPE)
    paint_tissue(density, np.ones(SHAPE, np.bool_))
    rng = np.random.default_rng(5)
    slow = cv2.GaussianBlur(rng.standard_normal(SHAPE).astype(np.float32), (0, 0), 12.0)
    lake = disk(SHAPE, 450, 600, 260)
    density[lake] = (np.float32((0.05, 0.10, 0.04)) * (1.0 + 6.0 * slow)[..., None])[lake]
    return develop(density)


def test_smooth_pale_tissue_stays_tissue() -> None:
    found = find(_smooth_field())
    assert not found.has_glass
    assert found.tissue.all()


def test_a_field_out_of_focus_without_glass_stays_tissue() -> None:
    density = glass_density(*SHAPE)
    paint_tissue(density, np.ones(SHAPE, np.bool_))
    found = find(cv2.GaussianBlur(develop(density), (0, 0), 5.0))
    assert not found.has_glass
    assert found.tissue.all()


def test_smooth_places_without_glass_are_said() -> None:
    density = glass_density(*SHAPE)
    paint_tissue(density, rectangle(SHAPE, 0, 0, 900, 900))
    found = find(develop(density, glass=(130.0, 70.0, 60.0)))
    assert not found.has_glass
    assert len(found.cautions) == 1
    assert found.cautions[0].startswith("no glass was found though 2")


def test_blocks_lie_where_their_windows_do() -> None:
    pixels = np.full((40, 60, 3), (240, 230, 220), np.uint8)
    pixels[:8, 8:16] = (100, 90, 80)
    blocks = find_blocks([Window(100, 200, pixels)], 400, 800)
    assert len(blocks.rough) == 5 * 7
    assert blocks.y[0] == pytest.approx(104 / 400)
    assert blocks.x[1] == pytest.approx(212 / 800)
    np.testing.assert_array_equal(blocks.colour[1], (100, 90, 80))
    assert len(find_blocks([], 400, 800).rough) == 0
    assert len(find_blocks([Window(0, 0, pixels[:5])], 400, 800).rough) == 0


@pytest.mark.shared
def test_real_tissue_in_tinted_glass(shared_data: Path) -> None:
    pixels = np.array(Image.open(shared_data / "ihc" / "unlabelled" / "ROI_127.png").convert("RGB"))
    tinted = (pixels * np.array([1.0, 0.9, 0.88]) + 0.5).astype(np.uint8)
    wide = np.pad(tinted, ((400, 400), (400, 400), (0, 0)))
    glass = np.float32((248, 224, 220)) + np.random.default_rng(1).normal(0, 1, wide.shape)
    wide[wide.sum(axis=2) == 0] = np.clip(glass, 0, 255).astype(np.uint8)[wide.sum(axis=2) == 0]
    found = find(wide, mpp=0.5)
    size = ArraySlide(pixels, 0.5).info
    assert found.has_glass
    assert found.area_mm2(found.tissue) == pytest.approx(size.width * size.height * 0.25e-6, rel=0.01)
