"""Answers of the network -> instances: what goes in comes out, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.cell_scenes import ellipse_mask
from tme.cells.instances import OFFSET_PX, Decoding, Instances, decode, log_size, peaks
from tme.cells.nuclei import TYPICAL_UM2

SIDE = 96
SURE = 8.0


def ideal(labels: NDArray[np.int32], lymphocyte: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """(5, H, W): what a perfect network says of a label map."""
    count = int(labels.max())
    answer = np.full((5, *labels.shape), -SURE, np.float32)
    answer[2:4] = 0
    answer[0][labels > 0] = SURE
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    for k in range(1, count + 1):
        y, x = (axis[labels == k].mean() for axis in (rows, columns))
        distance = (rows - y) ** 2 + (columns - x) ** 2
        answer[1] = np.maximum(answer[1], SURE - distance)
        answer[2][labels == k] = (x - columns[labels == k]) / OFFSET_PX
        answer[3][labels == k] = (y - rows[labels == k]) / OFFSET_PX
        answer[4][labels == k] = 0 if lymphocyte is None else lymphocyte[k - 1]
    return answer


def nuclei(seed: int, count: int) -> NDArray[np.int32]:
    """Ellipses on a grid of 24 px, none touching the border."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.int32)
    cells = rng.permutation(16)[:count]
    for number, cell in enumerate(sorted(cells), 1):
        y, x = 24 * (cell // 4) + 12 + rng.uniform(-2, 2), 24 * (cell % 4) + 12 + rng.uniform(-2, 2)
        shape = ellipse_mask((SIDE, SIDE), x, y, rng.uniform(5, 9), rng.uniform(4, 7), rng.uniform(0, 180))
        labels[shape] = number
    return labels


@given(st.integers(0, 2**32 - 1), st.integers(1, 16))
@settings(max_examples=40, deadline=None)
def test_a_perfect_answer_gives_the_labels_back(seed: int, count: int) -> None:
    true = nuclei(seed, count)
    found = decode(ideal(true), Decoding())
    assert found.labels.max() == len(found.peak) == count
    for k in range(1, count + 1):
        best = np.bincount(found.labels[true == k]).argmax()
        both = ((true == k) & (found.labels == best)).sum()
        assert both / ((true == k) | (found.labels == best)).sum() > 0.85


def test_two_touching_nuclei_are_parted_where_they_meet() -> None:
    true = np.zeros((SIDE, SIDE), np.int32)
    true[ellipse_mask((SIDE, SIDE), 40, 48, 9)] = 1
    true[ellipse_mask((SIDE, SIDE), 54, 48, 9) & (true == 0)] = 2
    found = decode(ideal(true), Decoding())
    assert len(found.peak) == 2
    wrong = (found.labels > 0) & (true > 0) & (found.labels != true)
    assert wrong.sum() < 0.03 * (true > 0).sum()


def test_what_is_said_of_pixels_is_averaged_over_their_nucleus() -> None:
    true = nuclei(3, 6)
    said = np.linspace(-3, 3, 6).astype(np.float32)
    found = decode(ideal(true, said), Decoding())
    order = [found.labels[true == k].max() - 1 for k in range(1, 7)]
    assert found.lymphocyte[order] == pytest.approx(said, abs=0.35)


def test_a_plateau_is_one_centre() -> None:
    logit = np.full((32, 32), -8.0, np.float32)
    logit[10:13, 10:14] = 2.0
    rows, columns, _ = peaks(logit, Decoding(smooth_px=0.0))
    assert len(rows) == 1
    assert 10 <= rows[0] < 13
    assert 10 <= columns[0] < 14


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_centres_are_where_nothing_higher_stands_within_the_disc(seed: int, apart: int) -> None:
    # Few values, so that equal ones meet; each plateau is one centre, its first pixel.
    logit = np.random.default_rng(seed).integers(-4, 4, (30, 26)).astype(np.float32)
    rule = Decoding(centre=0.5, smooth_px=0.0, apart_px=apart)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * apart + 1, 2 * apart + 1))
    top = (logit >= cv2.dilate(logit, disc)) & (logit > 0)
    number = cv2.connectedComponents(top.astype(np.uint8), connectivity=8)[1]
    expected = [np.argwhere(number == k)[0].tolist() for k in range(1, number.max() + 1)]
    rows, columns, probability = peaks(logit, rule)
    assert np.column_stack([rows, columns]).tolist() == sorted(expected)
    assert probability == pytest.approx(1 / (1 + np.exp(-logit[rows, columns])), rel=1e-6)


def test_pixels_whose_arrows_lead_nowhere_are_background() -> None:
    answer = ideal(nuclei(1, 1))
    answer[2:4] = 60 / OFFSET_PX
    found = decode(answer, Decoding())
    assert not found.labels.any()


@pytest.mark.parametrize("plane", [0, 1])
def test_without_nuclei_or_centres_there_is_nothing(plane: int) -> None:
    answer = ideal(nuclei(2, 5))
    answer[plane] = -SURE
    found = decode(answer, Decoding())
    assert not found.labels.any()
    assert len(found.peak) == len(found.lymphocyte) == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
@settings(max_examples=40, deadline=None)
def test_the_level_is_0_where_a_pixel_is_as_likely_as_the_least(seed: int, least: float) -> None:
    answer = np.random.default_rng(seed).normal(0, 2, (5, 40, 48)).astype(np.float32)
    found = decode(answer, Decoding(nucleus=least))
    probability = 1 / (1 + np.exp(-answer[0].astype(np.float64)))
    clear = np.abs(probability - least) > 1e-6
    assert ((found.level > 0) == (probability > least))[clear].all()
    assert (found.level[found.labels > 0] > 0).all()
    assert found.labels.max() == len(found.peak) == len(found.lymphocyte)


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_same_size_counts_the_same_at_any_resolution(mpp: float) -> None:
    labels = np.zeros((60, 60), np.int32)
    side = round(TYPICAL_UM2**0.5 / mpp)
    labels[5 : 5 + side, 5 : 5 + side] = 1
    labels[40:50, 40:41] = 2
    nothing = np.zeros(2, np.float32)
    level = np.where(labels > 0, 1, -1).astype(np.float32)
    found = log_size(Instances(labels, level, nothing, nothing), mpp)
    assert found == pytest.approx([2 * np.log(side * mpp / TYPICAL_UM2**0.5), np.log(10 * mpp**2 / 30)])
    assert abs(found[0]) < 0.1
    empty = Instances(np.zeros((4, 4), np.int32), np.zeros((4, 4), np.float32), *[nothing[:0]] * 2)
    assert log_size(empty, mpp).shape == (0,)
