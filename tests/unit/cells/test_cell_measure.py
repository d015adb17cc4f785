"""Measures of drawn shapes against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from tests.cell_scenes import MPP, ellipse_mask
from tme.cells.measure import RING_UM, Measures, eccentricity, measure, ring
from tme.cells.outline import trace
from tme.units import um_to_px

RING_PX = um_to_px(RING_UM, MPP)


def measured(
    labels: NDArray[np.int32], density: NDArray[np.float32] | None = None, mpp: float = MPP
) -> Measures:
    if density is None:
        density = np.zeros((*labels.shape, 2), np.float32)
    return measure(labels, density, trace(labels), mpp)


def drawn(x: float, y: float, a: float, b: float = 0, angle: float = 0, side: int = 90) -> NDArray[np.int32]:
    return ellipse_mask((side, side), x, y, a, b, angle).astype(np.int32)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.65])
@pytest.mark.parametrize("radius", [7.3, 12.0, 20.5])
def test_a_disc(radius: float, mpp: float) -> None:
    found = measured(drawn(40.2, 44.7, radius), mpp=mpp)
    assert found.area_um2[0] == pytest.approx(np.pi * (radius * mpp) ** 2, rel=0.03)
    # An outline halfway between pixels cuts half a pixel off.
    assert found.area_um2[0] == pytest.approx((drawn(40.2, 44.7, radius).sum() - 0.5) * mpp**2, rel=1e-12)
    assert (found.x[0], found.y[0]) == pytest.approx((40.2, 44.7), abs=0.1)
    assert found.eccentricity[0] < 0.25
    assert 0.9 < found.solidity[0] <= 1


@pytest.mark.parametrize("angle", [0, 30, 90, 137])
@pytest.mark.parametrize(("a", "b"), [(20, 10), (24, 8), (15, 13)])
def test_an_ellipse(a: float, b: float, angle: float) -> None:
    found = measured(drawn(45, 45, a, b, angle))
    assert found.area_um2[0] == pytest.approx(np.pi * a * b * MPP**2, rel=0.02)
    assert found.eccentricity[0] == pytest.approx(np.sqrt(1 - (b / a) ** 2), abs=0.015)
    assert found.solidity[0] > 0.92


def test_a_rectangle_and_an_l_lack_their_corners_alone() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[3:13, 5:25] = 1
    labels[30:50, 30:40] = 2
    labels[40:50, 40:50] = 2
    found = measured(labels)
    assert found.area_um2.tolist() == [199.5 * MPP**2, 299.5 * MPP**2]
    assert (found.x[0], found.y[0]) == (15, 8)
    assert found.eccentricity[0] == pytest.approx(np.sqrt(0.75), abs=0.002)
    assert found.solidity.tolist() == pytest.approx([1, 6 / 7], abs=0.015)


def test_one_pixel_and_a_line() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2, 2] = 1
    labels[5, 1:8] = 2
    found = measured(labels)
    assert found.eccentricity.tolist() == pytest.approx([0, np.sqrt(1 - 1 / 49)], abs=0.002)
    assert found.solidity.tolist() == [1, 1]
    assert (found.x[0], found.y[0]) == (2.5, 2.5)


def test_a_notch_open_by_a_corner_alone_counts_as_outside() -> None:
    labels = np.zeros((14, 20), np.int32)
    labels[2:8, 3:15] = 1
    labels[5, 13] = labels[6, 14] = 0
    (polygon,) = trace(labels).polygons
    assert not polygon.interiors
    turned = np.array([shapely.Polygon(polygon.exterior.coords[::-1])])
    assert eccentricity(turned) == pytest.approx(eccentricity(np.array([polygon])), abs=1e-12)
    found = measured(labels)
    assert found.eccentricity[0] == pytest.approx(np.sqrt(1 - (6 / 12) ** 2), abs=0.02)
    assert found.area_um2[0] == 69.5 * MPP**2


def test_shape_is_the_same_far_from_the_corner() -> None:
    small = drawn(20.3, 20.6, 11, 6, 20, side=40)
    labels = np.zeros((2040, 2040), np.int32)
    labels[2000:, 2000:] = small
    near, far = measured(small), measured(labels)
    assert far.eccentricity == pytest.approx(near.eccentricity, abs=1e-9)
    assert (far.x[0], far.y[0]) == pytest.approx((near.x[0] + 2000, near.y[0] + 2000))


def test_densities_are_means_over_the_nucleus() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[5:15, 5:15], labels[5:15, 25:35] = 4, 2
    density = np.zeros((30, 40, 2), np.float32)
    density[5:15, 5:10, 0], density[5:15, 10:15, 0] = 0.2, 0.8
    density[5:15, 5:15, 1] = -0.04
    density[5:15, 25:35] = (0.6, 0.3)
    found = measured(labels, density)
    assert found.hematoxylin_od.tolist() == pytest.approx([0.6, 0.5])
    assert found.hematoxylin_sd.tolist() == pytest.approx([0, 0.3], abs=1e-3)
    assert found.second_od.tolist() == pytest.approx([0.3, -0.04])
    assert found.ring_od.tolist() == pytest.approx([0, 0], abs=1e-9)


def test_the_ring_leaves_out_other_nuclei() -> None:
    labels = drawn(30, 30, 8)
    other = ellipse_mask(labels.shape, 41, 30, 7) & (labels == 0)
    labels[other] = 2
    density = np.full((*labels.shape, 2), 0.1, np.float32)
    density[labels == 1] = (0.5, 0.2)
    density[other] = 5.0
    found = measured(labels, density)
    assert found.ring_od.tolist() == pytest.approx([0.1, 0.1])
    assert found.ring_hematoxylin_od.tolist() == pytest.approx([0.1, 0.1])
    assert found.second_od.tolist() == pytest.approx([0.2, 5.0])


def test_a_nucleus_without_free_ring_gives_its_own_mean() -> None:
    labels = np.full((40, 40), 2, np.int32)
    labels[15:25, 15:25] = 1
    density = np.zeros((40, 40, 2), np.float32)
    density[labels == 1] = (0.7, 0.4)
    found = measured(labels, density)
    assert found.ring_od[0] == pytest.approx(0.4)
    assert found.ring_hematoxylin_od[0] == pytest.approx(0.7)


def test_ring_pixels_are_near_and_belong_to_the_nearest() -> None:
    labels = drawn(30, 30, 9) + 2 * drawn(55, 33, 6)
    pixel, owner = ring(labels, RING_PX)
    distance = {number: ndimage.distance_transform_edt(labels != number).ravel() for number in (1, 2)}
    nearest = np.minimum(distance[1], distance[2])
    assert (labels.ravel()[pixel] == 0).all()
    chosen = np.zeros(labels.size, bool)
    chosen[pixel] = True
    assert chosen[(nearest > 0) & (nearest < RING_PX - 0.2)].all()
    assert not chosen[nearest > RING_PX + 0.2].any()
    own = np.where(owner == 1, distance[1][pixel], distance[2][pixel])
    assert (own - nearest[pixel] < 0.2).all()


def test_an_empty_window_has_no_ring_and_no_measures() -> None:
    labels = np.zeros((20, 20), np.int32)
    assert [len(part) for part in ring(labels, RING_PX)] == [0, 0]
    found = measured(labels)
    assert all(len(getattr(found, name)) == 0 for name in Measures.__dataclass_fields__)
