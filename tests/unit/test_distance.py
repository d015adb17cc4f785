"""Distance maps: exact, and the same wherever in memory a mask lies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from tme.distance import distance_px, rough_distance_px

Distance = Callable[[NDArray[np.bool_]], NDArray[np.float32]]
BOTH = pytest.mark.parametrize("distance", [distance_px, rough_distance_px])


def dots(shape: tuple[int, int], count: int, seed: int) -> NDArray[np.bool_]:
    generator = np.random.default_rng(seed)
    mask = np.ones(shape, bool)
    mask[tuple(generator.integers(0, side, count) for side in shape)] = False
    return mask


def elsewhere(mask: NDArray[np.bool_], offset: int) -> NDArray[np.bool_]:
    """The same mask, at another place in memory."""
    room = np.empty(mask.size + offset, bool)
    copy = room[offset:].reshape(mask.shape)
    copy[:] = mask
    return copy


@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_it_is_the_euclidean_distance(mask: NDArray[np.bool_]) -> None:
    if not mask.all():
        assert np.array_equal(distance_px(mask), distance_transform_edt(mask).astype(np.float32))


def test_it_is_exact_over_a_whole_section() -> None:
    mask = dots((700, 900), 5, 0)
    assert np.array_equal(distance_px(mask), distance_transform_edt(mask).astype(np.float32))


def test_the_rough_one_is_within_two_percent() -> None:
    mask = dots((700, 900), 5, 1)
    assert np.abs(rough_distance_px(mask) - distance_px(mask)).max() <= 0.025 * distance_px(mask).max()


@BOTH
def test_the_same_mask_gives_the_same_bytes(distance: Distance) -> None:
    for seed in range(40):
        mask = dots((120, 120), 12, seed)
        maps = [distance(elsewhere(mask, offset)) for offset in range(16)]
        assert all(np.array_equal(found, maps[0]) for found in maps)


@BOTH
def test_opencv_is_left_as_it_was(distance: Distance) -> None:
    used = cv2.ipp.useIPP()
    distance(dots((20, 20), 3, 0))
    assert cv2.ipp.useIPP() == used
