"""Hills of a response: what touches is parted, what is one stays one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cell_scenes import MPP, ellipse_mask
from tme.cells.basins import MergeRule, ellipse_fill, fills, hills, label_moments
from tme.cells.engines._parting import cleaned, parted
from tme.cells.engines._tuning import BROWN, TUNING, Parting
from tme.cells.nuclei import renumbered, right_size
from tme.config import CellSettings

SHAPE = (60, 80)
PARTINGS = [TUNING["he"][1], TUNING["dab"][1], BROWN]
NEVER = MergeRule(always=0.0, elliptic=0.0, fill=1.0, largest_px=0.0)
KINDS = ["he", "dab", "brown"]


def split(mask: NDArray[np.bool_], signal: NDArray[np.float32], parting: Parting) -> NDArray[np.int32]:
    return parted(cleaned(mask.astype(np.uint8), parting, MPP), signal, parting, MPP)


def cone(x: float, y: float, top: float = 10) -> NDArray[np.float32]:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (top - np.hypot(columns + 0.5 - x, rows + 0.5 - y)).astype(np.float32)


@pytest.mark.parametrize("parting", PARTINGS, ids=KINDS)
def test_two_touching_discs_are_two(parting: Parting) -> None:
    left, right = ellipse_mask(SHAPE, 28.3, 30.1, 8), ellipse_mask(SHAPE, 43.2, 30.4, 8)
    mask = left | right
    labels = split(mask, mask.astype(np.float32), parting)
    assert labels.max() == 2
    for disc in (left & ~right, right & ~left):
        inside = labels[disc]
        assert (inside == np.bincount(inside).argmax()).mean() > 0.95


@pytest.mark.parametrize("parting", PARTINGS, ids=KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_one_textured_disc_is_one(parting: Parting, seed: int) -> None:
    mask = ellipse_mask(SHAPE, 40.2, 30.3, 10, 8, 20)
    grain = np.random.default_rng(seed).normal(1, 0.2, SHAPE).astype(np.float32)
    labels = split(mask, np.where(mask, grain, 0).astype(np.float32), parting)
    assert labels.max() == 1
    assert (labels > 0).sum() == pytest.approx(mask.sum(), rel=0.1)


def test_hills_fill_the_mask_and_nothing_else() -> None:
    mask = ellipse_mask(SHAPE, 40, 30, 20, 12)
    response = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    labels = hills(response, mask.astype(np.uint8), NEVER)
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert labels.max() > 20


def test_an_empty_mask_has_no_hills() -> None:
    assert not hills(cone(40, 30), np.zeros(SHAPE, np.uint8), NEVER).any()


def test_a_saddle_deeper_than_the_rule_parts() -> None:
    # Two pixels of height 4 make the pass, 5 below the lesser summit.
    response = np.maximum(cone(30.5, 30.5), cone(42.5, 30.5, 9))
    mask = (response > 0).astype(np.uint8)
    apart = hills(response, mask, MergeRule(4.9, 4.9, 0.0, 1e9))
    assert apart.max() == 2
    assert hills(response, mask, MergeRule(5.1, 5.1, 0.0, 1e9)).max() == 1
    assert apart[30, 30] != apart[30, 42]


def test_the_elliptic_rule_looks_at_shape_and_size() -> None:
    response = np.maximum(cone(30, 30), cone(42, 30))
    mask = (response > 0).astype(np.uint8)
    joined = label_moments(mask.astype(np.int32))[1].tolist()
    fill = ellipse_fill(joined)
    assert hills(response, mask, MergeRule(0.0, 9.0, fill - 0.01, mask.sum())).max() == 1
    assert hills(response, mask, MergeRule(0.0, 9.0, fill + 0.01, mask.sum())).max() == 2
    assert hills(response, mask, MergeRule(0.0, 9.0, fill - 0.01, mask.sum() - 1)).max() == 2


def test_a_flat_top_is_one_hill() -> None:
    mask = ellipse_mask(SHAPE, 40, 30, 15, 9, 30)
    rule = MergeRule(0.01, 0.01, 1.0, 0.0)
    assert hills(np.ones(SHAPE, np.float32), mask.astype(np.uint8), rule).max() == 1


def test_moments_and_fill_of_known_shapes() -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[5:15, 5:25] = 1
    labels[ellipse_mask(SHAPE, 55, 35, 16, 10, 40)] = 3
    moments = label_moments(labels)
    assert moments.shape == (4, 6)
    assert not moments[[0, 2]].any()
    assert moments[1, 0] == 200
    # Of a rectangle a x b the ellipse of equal moments has the area 4π·sqrt(a²b²/144) = ab·π/3.
    assert ellipse_fill(moments[1].tolist()) == pytest.approx(3 / np.pi)
    assert ellipse_fill(moments[3].tolist()) == pytest.approx(1, abs=0.01)
    fill, squared = fills(moments)
    assert fill[[1, 3]] == pytest.approx([3 / np.pi, 1], abs=0.01)
    assert squared[[1, 3]] == pytest.approx([0.75, 1 - (10 / 16) ** 2], abs=0.01)
    assert np.isfinite(fill).all()


def test_cleaning_fills_small_holes_and_drops_threads() -> None:
    parting = TUNING["he"][1]
    mask = ellipse_mask(SHAPE, 40, 30, 15)
    spoiled = mask.copy()
    spoiled[28:32, 38:42] = False
    spoiled[30, :20] = True
    found = cleaned(spoiled.astype(np.uint8), parting, MPP)
    assert found[28:32, 38:42].all()
    assert not found[30, :20].any()
    ring = ellipse_mask(SHAPE, 40, 30, 25) & ~ellipse_mask(SHAPE, 40, 30, 15)
    assert not cleaned(ring.astype(np.uint8), parting, MPP)[25:35, 35:45].any()


def test_sizes_and_renumbering() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[0, :3], labels[5:12, 5:12], labels[15:25, 10:30] = 1, 2, 3
    area = np.bincount(labels.ravel()).astype(float)
    keep = right_size(area, CellSettings(min_area_um2=10.0, max_area_um2=40.0), MPP)
    assert keep.tolist() == [False, False, True, False]
    assert right_size(np.array([9.0, 40.0, 160.0]), CellSettings(max_area_um2=40.0), MPP).tolist() == [
        False,
        True,
        True,
    ]
    assert np.array_equal(renumbered(labels, keep), (labels == 2).astype(np.int32))
    assert renumbered(labels, np.array([False, True, False, True])).max() == 2
