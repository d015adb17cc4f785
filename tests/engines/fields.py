"""A synthetic field with known nuclei, and networks small enough to be made by a test.

The networks are cellpose's own classes with fewer channels, trained for seconds on such fields: what
they find shows that image, scale, orientation and labels go through the engine as they should.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.stains.types import StainProfile

MPP = 0.5
PROFILE = StainProfile(
    "HE",
    (245.0, 245.0, 245.0),
    ((0.651, 0.701, 0.290), (0.216, 0.801, 0.558), (0.1, -0.5, 0.8)),
    levels={"nuclear": 0.3, "background": 0.1, "nucleus": 0.6},
)


def field(side: int, seed: int, pitch: int = 28) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """(side, side, 3) uint8 RGB of blue nuclei of 6 to 10 µm on pink, and their labels.

    Nuclei sit on a jittered grid of ``pitch`` px, so that they never overlap.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    for y in range(pitch // 2, side, pitch):
        for x in range(pitch // 2, side, pitch):
            centre = (x + int(rng.integers(-3, 4)), y + int(rng.integers(-3, 4)))
            axes = (int(rng.integers(6, 11)), int(rng.integers(6, 10)))
            if rng.random() < 0.8:
                number = int(labels.max()) + 1
                cv2.ellipse(labels, centre, axes, float(rng.uniform(0, 180)), 0, 360, number, -1)
    density = np.zeros((side, side, 2), np.float32)
    density[..., 0] = np.where(labels > 0, 0.6, 0.05)
    density[..., 1] = np.where(labels > 0, 0.1, 0.25)
    density += rng.normal(0, 0.03, density.shape).astype(np.float32)
    vectors = np.asarray(PROFILE.vectors[:2], np.float32)
    rgb = np.asarray(PROFILE.background, np.float32) * 10.0 ** -(np.maximum(density, 0) @ vectors)
    return np.asarray(np.clip(rgb, 0, 255), np.uint8), labels


def found(labels: NDArray[np.int32], truth: NDArray[np.int32]) -> tuple[float, float]:
    """Shares of the true nuclei found, and of the labels that are true, at half overlap (IoU 0.5)."""
    pairs = np.zeros((int(truth.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(pairs, (truth.ravel(), labels.ravel()), 1)
    union = pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs
    hits = int((pairs[1:, 1:] / np.maximum(union[1:, 1:], 1) > 0.5).sum())
    return hits / max(len(pairs) - 1, 1), hits / max(pairs.shape[1] - 1, 1)


def stacked(*channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, H, W) float32 of images of one size."""
    return np.ascontiguousarray(np.stack(channels), np.float32)


def train(net: Any, image: NDArray[np.float32], truth: NDArray[np.int32], crop: int, steps: int) -> None:
    """Train a cellpose network on crops of one image by cellpose's own loss; seeded.

    Parameters
    ----------
    net : torch.nn.Module
        Takes (n, C, crop, crop), gives flows in y and x and the logit of being a cell.
    image : (C, H, W) float32
    truth : (H, W) int32
    crop, steps : int
    """
    import torch
    from cellpose import dynamics

    target = np.asarray(dynamics.labels_to_flows([truth], device=torch.device("cpu"))[0], np.float32)[1:]
    target[0] = truth > 0
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW([part for part in net.parameters() if part.requires_grad], 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    net.train()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 0.3  # few steps: the running means must keep up
    for _ in range(steps):
        corners = rng.integers(0, image.shape[1] - crop, (2, 2))
        cut = [(slice(None), slice(y, y + crop), slice(x, x + crop)) for y, x in corners]
        inputs = torch.from_numpy(np.stack([image[place] for place in cut]))
        goal = torch.from_numpy(np.stack([target[place] for place in cut]))
        guess = net(inputs)[0]
        loss = torch.nn.functional.mse_loss(guess[:, :2], 5 * goal[:, 1:]) / 2
        loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(guess[:, 2], goal[:, 0])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    net.eval()
