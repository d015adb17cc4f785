"""Averaging: right, and blind to the box it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tme.slide import resample as room
from tme.slide.resample import resample, source_range

SOURCE = np.random.default_rng(3).integers(0, 256, (160, 190, 3), np.uint8)


def whole(scale: float) -> NDArray[np.uint8]:
    height, width = (int(side / scale) - 2 for side in SOURCE.shape[:2])
    return box(1, 1, width - 1, height - 1, scale)


def box(x: int, y: int, width: int, height: int, scale: float) -> NDArray[np.uint8]:
    x0, x1 = source_range(x, width, scale)
    y0, y1 = source_range(y, height, scale)
    assert min(x0, y0) >= 0
    padded = np.pad(SOURCE, ((0, 400), (0, 400), (0, 0)))
    return resample(padded[y0:y1, x0:x1], x, y, width, height, scale)


def exact_average(scale: float, x: int, y: int) -> NDArray[np.float64]:
    """One output pixel by the definition, in double precision."""

    def weights(index: int, length: int) -> NDArray[np.float64]:
        edges = np.clip(np.arange(length + 1), index * scale, (index + 1) * scale)
        return np.diff(edges) / scale

    rows, columns = weights(y, SOURCE.shape[0]), weights(x, SOURCE.shape[1])
    return np.einsum("y,x,yxc->c", rows, columns, SOURCE.astype(float))


@pytest.mark.parametrize("scale", [1.002, 1.5, 1.98, 2.0, 3.0, 4.0, 7.3, 11.9])
def test_area_average_is_within_rounding_of_the_definition(scale: float) -> None:
    result = whole(scale)
    for y in range(0, result.shape[0], 3):
        for x in range(0, result.shape[1], 5):
            assert np.abs(result[y, x] - exact_average(scale, x + 1, y + 1)).max() < 0.65


@given(
    scale=st.one_of(st.floats(0.35, 9.0), st.sampled_from([1.0, 2.0, 3.0, 4.0, 8.0])),
    x=st.integers(1, 30),
    y=st.integers(1, 30),
    width=st.integers(1, 25),
    height=st.integers(1, 25),
)
def test_a_pixel_does_not_depend_on_the_box(scale: float, x: int, y: int, width: int, height: int) -> None:
    around = box(1, 1, 60, 60, scale)
    part = box(x, y, width, height, scale)
    assert (part == around[y - 1 : y - 1 + height, x - 1 : x - 1 + width]).all()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_block_size_changes_no_bit(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    before = whole(1.73)
    monkeypatch.setattr(room, "BLOCK", block)
    monkeypatch.setattr(room, "BAND", 2 * block + 1)
    assert (whole(1.73) == before).all()


def test_the_path_for_ratio_two_equals_the_general_one() -> None:
    fast = whole(2.0)
    quarters = SOURCE.astype(np.uint16)
    sums = quarters[::2, ::2] + quarters[1::2, ::2] + quarters[::2, 1::2] + quarters[1::2, 1::2]
    assert (fast == ((sums + 2) >> 2)[1 : 1 + fast.shape[0], 1 : 1 + fast.shape[1]]).all()
    # A scale one part in 10^12 away takes the general path and has the same weights.
    assert (whole(2.0 * (1 - 1e-12))[: fast.shape[0], : fast.shape[1]] == fast).all()


@given(st.integers(0, 255), st.floats(0.3, 20.0))
def test_a_flat_picture_stays_flat(value: int, scale: float) -> None:
    x0, x1 = source_range(3, 9, scale)
    flat = np.full((x1 - x0, x1 - x0, 3), value, np.uint8)
    assert (resample(flat, 3, 3, 9, 9, scale) == value).all()


@given(st.floats(0.3, 500.0), st.integers(0, 10**6))
def test_weights_add_up_to_one(scale: float, start: int) -> None:
    _, weights = room._taps(np.arange(start, start + 5), scale)
    assert (weights.sum(axis=1) == room.WEIGHT_ONE).all()
    assert (weights >= 0).all()
