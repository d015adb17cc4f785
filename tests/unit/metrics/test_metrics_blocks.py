"""Blocks: every evaluable pixel once, near-equal, contiguous, pieces apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tests.made_measures import tissue_of
from tme.metrics.blocks import make_blocks
from tme.metrics.partition import cut
from tme.tissue.types import TissueMask

EIGHT = np.ones((3, 3), bool)


def _contiguous(labels: np.ndarray) -> bool:
    return all(ndimage.label(labels == block, EIGHT)[1] == 1 for block in range(labels.max() + 1))


def test_a_large_area_is_cut_into_blocks_of_the_wanted_size() -> None:
    mask = np.ones((400, 300), bool)
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    assert blocks.count == 12
    assert (blocks.labels >= 0).all()
    np.testing.assert_allclose(blocks.areas_mm2, 1.0, rtol=0.05)
    assert _contiguous(blocks.labels)


def test_a_small_area_is_cut_into_six_compact_blocks() -> None:
    mask = np.zeros((120, 320), bool)
    mask[10:110, 10:310] = True
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    assert blocks.count == 6
    for block in range(6):
        rows, columns = np.nonzero(blocks.labels == block)
        assert max(np.ptp(rows), np.ptp(columns)) < 105
    np.testing.assert_allclose(blocks.areas_mm2, 0.5, rtol=0.05)


def test_blocks_are_not_cut_smaller_than_a_quarter() -> None:
    mask = np.ones((100, 100), bool)
    assert make_blocks(mask, tissue_of(mask), 1.0, 150.0).count == 4
    assert make_blocks(mask[:, :20], tissue_of(mask[:, :20]), 1.0, 150.0).count == 1


def test_separate_pieces_are_not_joined_and_crumbs_go_to_the_nearest_block() -> None:
    mask = np.zeros((100, 400), bool)
    mask[:, :120] = True
    mask[:, 200:320] = True
    mask[40:44, 322:326] = True
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    assert ((blocks.labels >= 0) == mask).all()
    left, right = set(np.unique(blocks.labels[:, :120])), set(np.unique(blocks.labels[:, 200:320]))
    assert not left & right
    assert set(np.unique(blocks.labels[40:44, 322:326])) <= right
    assert blocks.areas_mm2.sum() == pytest.approx(tissue_of(mask).area_mm2(mask))


def test_a_bent_core_keeps_contiguous_blocks() -> None:
    rows, columns = np.mgrid[:500, :500]
    radius = np.hypot(rows - 250, columns - 250)
    mask = (radius > 180) & (radius < 240) & ((rows < 250) | (columns < 230))
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    assert ((blocks.labels >= 0) == mask).all()
    assert blocks.count >= 4
    assert blocks.areas_mm2.max() / blocks.areas_mm2.min() < 4
    assert _contiguous(blocks.labels)


def test_many_small_pieces_are_blocks_of_their_own() -> None:
    mask = np.zeros((300, 300), bool)
    for row in range(0, 300, 60):
        for column in range(0, 300, 60):
            mask[row : row + 20, column : column + 20] = True
    assert make_blocks(mask, tissue_of(mask), 1.0, 150.0).count == 25


def test_nothing_evaluable_has_no_blocks() -> None:
    mask = np.zeros((50, 50), bool)
    blocks = make_blocks(mask, tissue_of(np.ones((50, 50), bool)), 1.0, 150.0)
    assert blocks.count == 0
    assert (blocks.labels == -1).all()


def test_pixels_over_the_edge_count_in_part() -> None:
    mask = np.ones((101, 201), bool)
    tissue = TissueMask(10.0, 2004.0, 1007.0, mask, np.zeros(mask.shape, np.uint8), False, 1)
    blocks = make_blocks(mask, tissue, 1.0, 150.0)
    assert blocks.areas_mm2.sum() == pytest.approx(2.004 * 1.007)


def test_cutting_a_piece_gives_parts_without_gaps() -> None:
    piece = np.ones((30, 90), bool)
    parts = cut(piece, 7, 2)
    assert set(np.unique(parts)) == set(range(7))


def test_blocks_do_not_depend_on_the_run() -> None:
    generator = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(generator.normal(size=(300, 300)), 20) > 0
    first, second = (make_blocks(mask, tissue_of(mask), 0.5, 150.0) for _ in range(2))
    assert first.labels.tobytes() == second.labels.tobytes()
