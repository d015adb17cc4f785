"""What blocks hold of a cluster, against the closed form for rectangles and against simulated clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme.metrics.blocks import make_blocks
from tme.metrics.intervals import own_overdispersion
from tme.metrics.spill import LARGEST_SPILL, WHOLE, Shares, cluster_shares, spill
from tme.testing.patterns import excision, thomas, tissue_of

SPREAD = 15.0


def held(length: float, spread: float) -> float:
    """How much of a cluster a stretch holds, in closed form: two cells differ by a normal of σ√2."""
    return math.erf(length / (2 * spread)) - 2 * spread / (length * math.sqrt(math.pi)) * (
        1 - math.exp(-((length / (2 * spread)) ** 2))
    )


def row_of_squares(count: int, side: int) -> np.ndarray:
    return np.repeat(np.arange(count, dtype=np.int32), side)[None].repeat(side, axis=0)


def test_shares_of_squares_in_closed_form() -> None:
    shares = cluster_shares(row_of_squares(6, 100), 6, SPREAD)
    assert shares.block == pytest.approx(held(100, SPREAD) ** 2, abs=0.005)
    assert shares.tissue == pytest.approx(held(100, SPREAD) * held(600, SPREAD), abs=0.005)
    # (6 block − tissue)/5 of the clustering is between blocks, all of the tissue share in the whole.
    between = (6 * shares.block - shares.tissue) / 5
    assert spill([shares], [6], [6.0]) == pytest.approx(shares.tissue / between)
    assert spill([shares], [6], [6.0]) == pytest.approx(1.2111, abs=1e-4)


def test_spill_undoes_what_blocks_understate() -> None:
    """The expectation over simulated clusters: φ of blocks falls short of the count's, and spill mends it."""
    mask = excision(3.0)
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    cells = thomas(mask, np.full(1500, 300.0), 9.0, 150.0, np.random.default_rng(1))
    places = cells.pattern * blocks.count + blocks.labels[cells.row, cells.column]
    counts = np.bincount(places, minlength=1500 * blocks.count).reshape(1500, -1).astype(float)
    true = counts.sum(axis=1).var() / counts.sum(axis=1).mean()
    plain, mended = (
        np.mean([own_overdispersion(one, blocks.areas_mm2, factor) for one in counts])
        for factor in (1.0, blocks.spill)
    )
    assert plain < 0.75 * true
    assert mended == pytest.approx(true, rel=0.15)


def test_separate_pieces_and_separate_slides_have_no_border_to_spill_over() -> None:
    shares = Shares(0.8, 0.8)
    assert spill([shares], [4], [4.0]) == pytest.approx(1.0)
    assert spill([WHOLE], [1], [2.0]) == 1.0
    assert spill([shares] * 3, [1, 1, 1], [1.0, 1.0, 1.0]) == pytest.approx(0.8 * 2 / (3 * 0.8 - 0.8))


def test_blocks_much_smaller_than_clusters_are_capped() -> None:
    assert spill([Shares(0.01, 0.9)], [50], [2.0]) == LARGEST_SPILL


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(1, 100), st.floats(0.1, 500))
def test_spill_only_ever_widens_within_its_cap(block: float, more: float, count: int, area: float) -> None:
    shares = Shares(block, min(1.0, block + more))
    assert 1.0 <= spill([shares], [count], [area]) <= LARGEST_SPILL


@given(st.floats(2, 60), st.floats(2, 60))
def test_wider_clusters_spill_more(one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    labels = row_of_squares(4, 60)
    factors = [spill([cluster_shares(labels, 4, spread)], [4], [4.0]) for spread in (narrow, wide)]
    assert factors[0] <= factors[1] + 0.02
