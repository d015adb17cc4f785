"""Tissue against glass: areas, pieces, holes, fields, and slides without any tissue."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.tissue_scenes import (
    develop,
    disk,
    find,
    glass_density,
    on_mask_grid,
    paint_ink,
    paint_tissue,
    rectangle,
    section,
)
from tme.config import TissueSettings
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue


def test_area_of_a_section_is_right_within_two_percent() -> None:
    density, mask = section()
    found = find(develop(density))
    assert found.has_glass
    assert found.n_pieces == 1
    assert found.area_mm2(found.tissue) == pytest.approx(mask.sum() * 1e-6, rel=0.02)


@pytest.mark.parametrize("strength", [0.12, 0.3])
def test_pale_tissue_is_found(strength: float) -> None:
    density, mask = section()
    found = find(develop(density * np.float32(strength)))
    truth = on_mask_grid(mask, found)
    assert (found.tissue & truth).sum() > 0.95 * truth.sum()
    assert (found.tissue & ~truth).sum() < 0.05 * truth.sum()


def test_off_white_uneven_noisy_glass_is_not_tissue() -> None:
    density, mask = section()
    lamp = np.linspace(0.0, 0.03, density.shape[1], dtype=np.float32)
    found = find(develop(density + lamp[:, None], noise=3.0, glass=(222.0, 218.0, 210.0)))
    assert found.area_mm2(found.tissue) == pytest.approx(mask.sum() * 1e-6, rel=0.03)


def test_compressed_glass_is_not_tissue() -> None:
    density, mask = section()
    _, data = cv2.imencode(".jpg", develop(density)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])
    found = find(np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]))
    assert found.area_mm2(found.tissue) == pytest.approx(mask.sum() * 1e-6, rel=0.03)


def test_small_pieces_are_dropped_unless_at_the_edge() -> None:
    shape = (900, 1200)
    density = glass_density(*shape)
    large = rectangle(shape, 300, 300, 600, 700)
    small = rectangle(shape, 100, 900, 220, 1040)
    at_edge = rectangle(shape, 780, 0, 900, 120)
    paint_tissue(density, large | small | at_edge)
    found = find(develop(density))
    assert found.n_pieces == 2
    assert not found.tissue[30:50, 230:255].any()
    assert found.tissue[200:220, 5:25].all()
    kept = find(develop(density), min_piece_mm2=0.01)
    assert kept.n_pieces == 3


def test_small_holes_count_as_tissue_and_large_ones_do_not() -> None:
    shape = (900, 1200)
    density = glass_density(*shape)
    mask = rectangle(shape, 100, 100, 800, 1100)
    small, large = disk(shape, 300, 400, 45), disk(shape, 500, 800, 90)
    paint_tissue(density, mask & ~small & ~large)
    found = find(develop(density))
    assert found.tissue[300 // 4, 400 // 4]
    assert not found.tissue[500 // 4, 800 // 4]
    hole_mm2 = found.area_mm2(on_mask_grid(mask, found) & ~found.tissue)
    assert hole_mm2 == pytest.approx(large.sum() * 1e-6, rel=0.12)


def test_fat_with_broken_membranes_counts_as_tissue() -> None:
    shape = (900, 1200)
    density = glass_density(*shape)
    solid = rectangle(shape, 100, 100, 800, 500)
    paint_tissue(density, solid)
    walls = np.zeros(shape, np.uint8)
    for y in range(100, 741, 80):
        cv2.line(walls, (500, y), (1000, y), 1, 1)
    for x in range(500, 1001, 80):
        cv2.line(walls, (x, 100), (x, 740), 1, 1)
    walls[125:150] = 0
    density += cv2.GaussianBlur(walls.astype(np.float32), (0, 0), 0.7)[..., None] * np.float32(
        (0.1, 0.3, 0.2)
    )
    found = find(develop(density))
    fat = on_mask_grid(rectangle(shape, 190, 500, 735, 975), found)
    assert (found.tissue & fat).sum() > 0.97 * fat.sum()
    assert not found.tissue[:, 1060 // 4 :].any()


def test_a_bay_between_thick_tissue_stays_open() -> None:
    shape = (900, 1200)
    density = glass_density(*shape)
    mask = rectangle(shape, 100, 100, 800, 1100)
    mask[:500, 560:640] = False
    paint_tissue(density, mask)
    found = find(develop(density))
    assert not found.tissue[200 // 4 : 460 // 4, 572 // 4 : 628 // 4].any()


def test_field_without_glass_is_all_tissue() -> None:
    shape = (300, 400)
    density = glass_density(*shape)
    lumen = disk(shape, 100, 200, 40) | disk(shape, 0, 0, 60)
    paint_tissue(density, ~lumen)
    found = find(develop(density))
    assert not found.has_glass
    assert found.tissue.all()
    assert found.n_pieces == 1


def test_tiny_field_is_all_tissue() -> None:
    density = glass_density(60, 80)
    paint_tissue(density, np.ones((60, 80), np.bool_))
    found = find(develop(density), mpp=0.25)
    assert found.shape == (4, 5)
    assert found.tissue.all()
    assert found.area_mm2(found.tissue) == pytest.approx(60 * 80 * 0.0625e-6)


def test_partial_pixels_at_the_edge_count_in_part() -> None:
    density = glass_density(301, 402)
    paint_tissue(density, np.ones((301, 402), np.bool_))
    found = find(develop(density))
    assert found.shape == (76, 101)
    assert found.area_mm2(found.tissue) == pytest.approx(301 * 402 * 1e-6)


def _blank(level: int) -> np.ndarray:
    return np.full((800, 1000, 3), level, np.uint8)


def _pen_only() -> np.ndarray:
    density = glass_density(800, 1000)
    stroke = np.zeros((800, 1000), np.uint8)
    cv2.polylines(stroke, [np.array([[150, 200], [500, 500], [850, 250]])], False, 1, 130)
    paint_ink(density, stroke > 0, "green")
    return develop(density)


def _dust() -> np.ndarray:
    density = glass_density(800, 1000)
    for y, x in ((200, 300), (400, 700), (600, 500)):
        density[disk((800, 1000), y, x, 12)] = 0.5
    return develop(density)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(_blank(255), id="white"),
        pytest.param(_blank(240), id="glass"),
        pytest.param(_blank(0), id="black"),
        pytest.param(_blank(128), id="grey"),
        pytest.param(develop(glass_density(800, 1000)), id="noisy glass"),
        pytest.param(np.full((1, 1, 3), 255, np.uint8), id="one pixel"),
        pytest.param(_pen_only(), id="pen only"),
        pytest.param(_dust(), id="dust"),
    ],
)
def test_no_tissue_gives_an_empty_mask(pixels: np.ndarray) -> None:
    found = find(pixels)
    assert not found.tissue.any()
    assert found.n_pieces == 0
    assert not found.artefacts.any()
    assert found.has_glass


def test_black_border_and_missing_white_tiles_are_not_tissue() -> None:
    density, mask = section(900, 1200)
    pixels = develop(density)
    pixels[:60] = 0
    pixels[:, :40] = 0
    pixels[600:, 900:] = 255
    found = find(pixels)
    assert found.area_mm2(found.tissue) == pytest.approx(
        (mask & (pixels.min(2) < 250)).sum() * 1e-6, rel=0.03
    )
    assert not found.tissue[:12].any()
    assert not found.tissue[:, :8].any()


def test_grid_is_anchored_at_the_corner() -> None:
    density, _ = section()
    found = find(develop(density))
    assert found.mpp == 4.0
    assert (found.width_um, found.height_um) == (1000.0, 800.0)


def test_other_mask_resolution_finds_the_same_area() -> None:
    density, mask = section()
    found = find_tissue(ArraySlide(develop(density), 1.0), TissueSettings(mpp=8.0))
    assert found.shape == (100, 125)
    assert found.area_mm2(found.tissue) == pytest.approx(mask.sum() * 1e-6, rel=0.03)
