"""One dark point per nucleus."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cell_scenes import ellipse_mask
from tme.stains.points import dark_points

BLUE, PALE = np.array([0.5, 0.45, 0.3], np.float32), np.array([0.03, 0.03, 0.03], np.float32)


def drawn(side_um: int, centres: list[tuple[float, float]], radius_um: float, mpp: float) -> np.ndarray:
    """Blobs a fifth darker in the middle than at their border, on pale ground."""
    side = round(side_um / mpp)
    density = np.tile(PALE, (side, side, 1))
    rows, columns = np.mgrid[:side, :side]
    for x, y in centres:
        away = np.hypot((columns + 0.5) * mpp - x, (rows + 0.5) * mpp - y) / radius_um
        inside = ellipse_mask((side, side), x / mpp, y / mpp, radius_um / mpp)
        density[inside] = BLUE * (1.2 - 0.2 * away[inside, None] ** 2).astype(np.float32)
    return density


def lattice(seed: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return [
        (x + rng.uniform(-2, 2), y + rng.uniform(-2, 2))
        for x in range(10, 110, 16)
        for y in range(10, 110, 16)
    ]


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.6])
@pytest.mark.parametrize("radius_um", [2.5, 3.5])
def test_one_point_per_blob_with_its_colour(mpp: float, radius_um: float) -> None:
    centres = lattice(0)
    points = dark_points(drawn(116, centres, radius_um, mpp), mpp)
    assert points.shape == (len(centres), 3)
    assert points.dtype == np.float32
    np.testing.assert_allclose(
        points / points.sum(1, keepdims=True), np.tile(BLUE / BLUE.sum(), (len(points), 1)), atol=0.01
    )
    assert points[:, 0].min() > 0.4


def test_two_darknesses_within_one_nucleus_are_one_point() -> None:
    density = drawn(40, [(18.5, 20.1), (21.4, 20.3)], 1.5, 0.5)
    assert len(dark_points(density, 0.5)) == 1
    assert len(dark_points(drawn(40, [(13.1, 20.1), (27.2, 20.3)], 1.5, 0.5), 0.5)) == 2


@pytest.mark.parametrize("level", [0.0, 0.04, 0.8])
def test_even_ground_has_no_points(level: float) -> None:
    assert len(dark_points(np.full((80, 80, 3), level, np.float32), 0.5)) == 0


def test_pale_blobs_are_no_points() -> None:
    density = drawn(116, lattice(0), 3.0, 0.5)
    assert len(dark_points(density * 0.1, 0.5)) == 0
