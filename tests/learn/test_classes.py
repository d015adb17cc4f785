"""Classes taught again by earlier weights: they follow, and what else the network says stays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

import torch

from tests.learn.scenes import draw_scene
from tme.learn.fit import Recipe, Sampler
from tme.learn.losses import nucleus_loss
from tme.learn.network import NucleusNet
from training import classes

torch.set_num_threads(1)
RECIPE = Recipe(steps=40, batch=2, side=64, rate=3e-3, average=0.8)


@pytest.mark.parametrize("says", [-3.0, 3.0])
def test_classes_follow_and_all_else_stays(says: float) -> None:
    torch.manual_seed(0)
    start = NucleusNet((8, 8, 16, 16), (1, 1, 1)).eval()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    unclassed = [draw_scene(seed).field(f"{seed}", classes=False) for seed in (50, 51)]
    sampler = Sampler(unclassed, RECIPE)
    after = classes.taught(start, lambda rgb: np.full(rgb.shape[:2], says, np.float32), sampler, RECIPE)
    rgb = torch.from_numpy(sampler.batch(10**6)[0]).float()
    with torch.no_grad():
        was, now = start(rgb), after(rgb)
    moved = (now - was).mean(dim=(0, 2, 3)) * np.sign(says)
    assert moved[4] > 0.3
    assert moved[:4].abs().max() < 0.4 * moved[4]
    for name, value in start.state_dict().items():
        torch.testing.assert_close(value, before[name])
    for name, value in after.state_dict().items():
        if name.startswith(("stem.", "down4.")) or "running" in name:
            torch.testing.assert_close(value, before[name])


def test_labels_of_mended_sets_teach_outlines() -> None:
    torch.manual_seed(0)
    start = NucleusNet((8, 8, 16, 16), (1, 1, 1)).eval()
    others = Sampler([draw_scene(50).field("other", classes=False)], RECIPE)
    mended = Sampler([draw_scene(51).field("mended", classes=False)], RECIPE)

    def unlike(network: NucleusNet) -> float:
        images, targets = mended.batch(10**6)
        with torch.no_grad():
            answer = network(torch.from_numpy(images).float())
        return float(nucleus_loss(answer[:, 0], *torch.from_numpy(targets)[:, (0, 5)].unbind(1)))

    def says(rgb: np.ndarray) -> np.ndarray:
        return np.zeros(rgb.shape[:2], np.float32)

    without = classes.taught(start, says, others, RECIPE)
    with_them = classes.taught(start, says, others, RECIPE, mended)
    assert unlike(with_them) < unlike(without) - 0.1


def test_weights_between_two_networks() -> None:
    torch.manual_seed(0)
    start, end = (NucleusNet((8, 8, 16, 16), (1, 1, 1)).eval() for _ in range(2))
    half = classes.between(start, end, 0.5)
    for a, b, c in zip(start.parameters(), end.parameters(), half.parameters(), strict=True):
        torch.testing.assert_close(c, (a + b) / 2)
    for a, b in zip(start.parameters(), classes.between(start, end, 0.0).parameters(), strict=True):
        torch.testing.assert_close(a, b)
