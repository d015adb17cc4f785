"""Losses: least where the answer is right, blind where nobody knows."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

import torch

from tests.learn.scenes import draw_scene
from tme.learn.augment import plain_crop
from tme.learn.losses import SMOOTHED, losses
from tme.learn.targets import make_targets

# Cross-entropy of a smoothed label with itself: what no answer can fall below.
FLOOR = -(SMOOTHED * math.log(SMOOTHED) + (1 - SMOOTHED) * math.log(1 - SMOOTHED))


def target() -> torch.Tensor:
    return torch.from_numpy(make_targets(plain_crop(draw_scene(1).field())).stacked())[None]


def right(stacked: torch.Tensor) -> torch.Tensor:
    """The answer of a network that is as sure as it may be."""
    peak = stacked[:, 1] >= 0.999
    lymphocyte = (stacked[:, 4] * 2 - 1) * math.log((1 - SMOOTHED) / SMOOTHED)
    planes = [stacked[:, 0] * 60 - 30, torch.where(peak, 30.0, -30.0), *stacked[0, 2:4][None].unbind(1)]
    return torch.stack([*planes, lymphocyte], dim=1)


def test_right_answers_cost_nothing() -> None:
    parts = losses(right(target()), target())
    assert float(parts["nucleus"]) == pytest.approx(0, abs=1e-3)
    assert float(parts["centre"]) == pytest.approx(0, abs=1e-3)
    assert float(parts["offset"]) == 0
    assert float(parts["lymphocyte"]) == pytest.approx(FLOOR, abs=1e-3)


@pytest.mark.parametrize("plane", range(5))
def test_every_wrong_answer_costs(plane: int) -> None:
    wrong = right(target())
    wrong[:, plane] = wrong[:, plane] * -1 + 0.5
    name = ("nucleus", "centre", "offset", "offset", "lymphocyte")[plane]
    assert float(losses(wrong, target())[name]) > float(losses(right(target()), target())[name]) + 0.01


def test_unknown_pixels_neither_cost_nor_teach() -> None:
    stacked = target()
    stacked[:, 5:, :, 100:] = 0
    answer = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 5, 192, 192)).astype(np.float32))
    answer.requires_grad_(True)
    parts = losses(answer, stacked)
    sum(parts.values()).backward()
    assert not answer.grad[..., 100:].any()
    assert all(answer.grad[:, plane, :, :100].any() for plane in range(5))
    other = answer.detach().clone()
    other[..., 100:] = 7
    for name, value in losses(other, stacked).items():
        assert float(value) == pytest.approx(float(parts[name].detach()), rel=1e-5)


def test_nothing_known_at_all_is_no_number_trouble() -> None:
    parts = losses(torch.zeros(1, 5, 32, 32), torch.zeros(1, 9, 32, 32))
    assert all(math.isfinite(float(value)) for value in parts.values())
    assert sum(map(float, parts.values())) == pytest.approx(0, abs=1e-6)
