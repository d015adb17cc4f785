"""The nucleus network: RGB at 0.5 µm/px -> nucleus, centre, way to the centre, lymphocyte, in one pass.

A residual U-Net that spends its arithmetic where nuclei are a few pixels wide: two by two pixels are
folded into channels before the first convolution, skips are added and not stacked, and all answers come
from one 1x1 convolution that is unfolded again. Every pixel answers five questions (`CHANNELS`); an
instance is the set of nucleus pixels whose arrows end at the same centre, after Panoptic-DeepLab
(Cheng et al., CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tme.cells.engines._description import TRAINED_MPP

WORK_MPP = TRAINED_MPP
STRIDE = 16
CHANNELS = ("nucleus", "centre", "to_centre_x", "to_centre_y", "lymphocyte")
WIDTHS = (32, 40, 80, 128)
BLOCKS = (1, 1, 1)


def _conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outside)
    )


class Block(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> the same shape."""
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class Down(nn.Module):
    """Half the resolution, then blocks."""

    def __init__(self, inside: int, outside: int, blocks: int) -> None:
        super().__init__()
        self.shrink = _conv(inside, outside, stride=2)
        self.blocks = nn.Sequential(*(Block(outside) for _ in range(blocks)))

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C', H/2, W/2)."""
        return self.blocks(functional.relu(self.shrink(x)))


class Up(nn.Module):
    """Twice the resolution, the skip added, then what mixes them."""

    def __init__(self, inside: int, outside: int, mix: nn.Module) -> None:
        super().__init__()
        self.project = _conv(inside, outside, kernel=1)
        self.mix = mix

    def forward(self, x: Any, skip: Any) -> Any:
        """(N, C, H, W) and (N, C', 2H, 2W) -> (N, C', 2H, 2W)."""
        grown = functional.interpolate(self.project(x), scale_factor=2.0, mode="nearest")
        return self.mix(functional.relu(grown + skip))


def answering(inside: int) -> nn.Conv2d:
    """The layer of all answers, at 2 px: four pixels of each of `CHANNELS`, to be unfolded."""
    layer = nn.Conv2d(inside, 4 * len(CHANNELS), 1)
    # Nuclei and centres are rare: start from their share, not from one half (Lin et al., 2017).
    with torch.no_grad():
        layer.bias.zero_()
        layer.bias[0:4] = -1.5
        layer.bias[4:8] = -4.0
    return layer


class NucleusNet(nn.Module):
    """(N, 3, H, W) float32 RGB 0-255 -> (N, 5, H, W) float32 logits and arrows; H, W multiples of 16.

    Parameters
    ----------
    widths : four int
        Channels at 2, 4, 8 and 16 px.
    blocks : three int
        Residual blocks on the way down at 4, 8 and 16 px.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()
        fine, middle, coarse, deep = widths
        self.stem = _conv(12, fine)
        self.down4 = Down(fine, middle, blocks[0])
        self.down8 = Down(middle, coarse, blocks[1])
        self.down16 = Down(coarse, deep, blocks[2])
        self.up8 = Up(deep, coarse, Block(coarse))
        self.up4 = Up(coarse, middle, Block(middle))
        self.up2 = Up(middle, fine, nn.Sequential(_conv(fine, fine), nn.ReLU()))
        self.answer = answering(fine)

    def forward(self, rgb: Any) -> Any:
        """See the class."""
        folded = functional.pixel_unshuffle((rgb - 128.0) / 64.0, 2)
        at2 = functional.relu(self.stem(folded))
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        up = self.up8(self.down16(at8), at8)
        up = self.up2(self.up4(up, at4), at2)
        return functional.pixel_shuffle(self.answer(up), 2)
