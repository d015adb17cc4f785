"""InstanSeg networks made by a test: the package's own classes, loss and export to TorchScript."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two coordinates, two widths and a seed map: what the published network for nuclei gives.
OUTPUT = [[2, 2, 1]]
PUBLISHED_LAYERS = (256, 128, 64, 32)


def network(layers: tuple[int, ...]) -> tuple[Any, Any]:
    """An ``InstanSeg_UNet`` for RGB images and its loss; seeded."""
    torch = import_module("torch")
    losses = import_module("instanseg.utils.loss.instanseg_loss")
    torch.manual_seed(0)
    build = import_module("instanseg.utils.models.InstanSeg_UNet").InstanSeg_UNet
    net = build(3, out_channels=OUTPUT, layers=list(layers), norm="BATCH", act="relu")
    loss = losses.InstanSeg(n_sigma=2, device="cpu", seed_loss_fn="l1_distance", window_size=48)
    loss.num_instance_cap = 12  # of an image: enough to learn from, and four times as fast
    return loss.initialize_pixel_classifier(net, MLP_width=10), loss


def train(net: Any, loss: Any, image: NDArray[np.float32], truth: NDArray[np.int32], steps: int) -> None:
    """Train on crops of one image by InstanSeg's own loss; seeded.

    Parameters
    ----------
    net, loss : torch.nn.Module
    image : (3, H, W) float32
    truth : (H, W) int32
    steps : int
    """
    torch = import_module("torch")
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, steps)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 0.3  # few steps: the running means must keep up
    crop = 128
    for _ in range(steps):
        y, x = rng.integers(0, image.shape[1] - crop, 2)
        inputs = torch.from_numpy(image[None, :, y : y + crop, x : x + crop].copy())
        goal = torch.from_numpy(truth[None, None, y : y + crop, x : x + crop].astype(np.float32))
        error = loss(net(inputs), goal).mean()
        optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def exported(net: Any, path: Path, um_per_px: float = 0.5) -> Path:
    """The network and InstanSeg's post-processing as TorchScript, as published."""
    torch = import_module("torch")
    wrap = import_module("instanseg.utils.loss.instanseg_loss").InstanSeg_Torchscript
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(wrap(net.eval(), pixel_size=um_per_px, n_sigma=2))
        script.save(str(path))
    return path
