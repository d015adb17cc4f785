"""A plain U-Net of a million parameters, taught from labels alone: how hard fields are for anybody.

Scores on fields of one's own say little beside scores on others: fields differ in how hard they are. The
same plain network on both tells the difference apart from that of two methods. `training.distil` teaches it
as ``--student plain`` without a teacher.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tme.learn.network import answering

WIDTHS = (24, 48, 96, 192)


def _two(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions, the first with a stride."""
    layers: list[nn.Module] = []
    for k in range(2):
        layers += [
            nn.Conv2d(inside if k == 0 else outside, outside, 3, 1 if k else stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class PlainUNet(nn.Module):
    """(N, 3, H, W) float32 RGB 0-255 -> (N, 5, H, W) float32, as `NucleusNet`; H, W multiples of 16.

    Ronneberger et al., U-Net (MICCAI 2015): levels at 2, 4, 8 and 16 px of `WIDTHS` channels, two
    convolutions each, skips stacked.
    """

    def __init__(self) -> None:
        super().__init__()
        sides = list(pairwise(WIDTHS))
        self.first = _two(3, WIDTHS[0], stride=2)
        self.down = nn.ModuleList(_two(inside, outside, stride=2) for inside, outside in sides)
        self.up = nn.ModuleList(_two(low + high, high) for high, low in reversed(sides))
        self.answer = answering(WIDTHS[0])

    def forward(self, rgb: Any) -> Any:
        """See the class."""
        levels = [self.first((rgb - 128.0) / 64.0)]
        for level in self.down:
            levels.append(level(levels[-1]))
        x = levels.pop()
        for level in self.up:
            grown = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = level(torch.cat([grown, levels.pop()], 1))
        return functional.pixel_shuffle(self.answer(x), 2)
