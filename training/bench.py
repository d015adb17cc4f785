"""What the network costs beside a StarDist-shaped one, in one run, and what is done with its answers.

    python -m training.bench IMAGE [--rounds N] [--views N]

Both in the runtime tme uses, one thread, fp32, round robin on the same window; then tme's own at int8, the
decoding, outlines and measures. IMAGE is an RGB TIFF of at least 2048 x 2048 px at about 0.5 µm/px.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from torch import nn

from tme.cells.engines import load_engine
from tme.cells.engines._runtime import open_network
from tme.cells.engines.tmenet import NucleusSegmenter, answer
from tme.cells.instances import decode
from tme.cells.measure import measure
from tme.cells.outline import trace
from tme.config import CellSettings
from tme.stains import STAINS
from tme.stains.deconvolve import stain_od, stain_vectors
from tme.stains.types import StainProfile

SIDE = NucleusSegmenter.core_px + 2 * NucleusSegmenter.halo_px
"""A window as a run reads it."""
MPP = 0.5


def _two(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(2):
        layers += [nn.Conv2d(inside if k == 0 else outside, outside, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


class StarDistShape(nn.Module):
    """The layers of StarDist's 2D_versatile_he (grid 2, depth 3, 32 filters, 32 rays), random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _two(3, 32)
        self.down = nn.ModuleList([_two(32, 32), _two(32, 64), _two(64, 128)])
        self.middle = nn.Sequential(_two(128, 256), nn.Conv2d(256, 128, 3, padding=1), nn.ReLU())
        self.up = nn.ModuleList([_two(256, 64), _two(128, 32), _two(64, 32)])
        self.features = nn.Sequential(nn.Conv2d(32, 128, 3, padding=1), nn.ReLU())
        self.heads = nn.Conv2d(128, 33, 1)

    def forward(self, window: Any) -> Any:
        x = nn.functional.max_pool2d(self.first(window.permute(0, 3, 1, 2).float() / 255), 2)
        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.middle(x)
        for level, skip in zip(self.up, reversed(skips), strict=True):
            x = level(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skip], 1))
        return self.heads(self.features(x))


def export(network: nn.Module, path: Path) -> None:
    """As `tme.learn.export.export_fp32`, for a network of another shape."""
    example = (torch.zeros((1, SIDE, SIDE, 3), dtype=torch.uint8),)
    torch.onnx.export(network.eval(), example, str(path), input_names=["window"], dynamo=False)


def seconds(function: Callable[[], Any]) -> float:
    """Processor time of one call: other work on the machine counts less than by the clock."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    """Parse, measure in turns, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--views", type=int, default=1, choices=[1, 2, 4, 8])
    chosen = parser.parse_args()
    rgb = np.ascontiguousarray(tifffile.imread(chosen.image)[:SIDE, :SIDE, :3])
    folder = Path(tempfile.mkdtemp())
    export(StarDistShape(), folder / "stardist.onnx")
    other = open_network(folder / "stardist.onnx", "cpu")[0]
    fp32, int8 = (
        load_engine(CellSettings(engine="tmenet", precision=name, views=chosen.views))
        for name in ("fp32", "int8")
    )
    planes = answer(int8.network, rgb)
    found = decode(planes, int8.rule)
    outlines = trace(found.labels, found.level)
    profile = StainProfile("HE", (245.0, 245.0, 245.0), stain_vectors(*STAINS.get("HE").vectors))
    parts: dict[str, Callable[[], Any]] = {
        "StarDist-shaped, fp32": lambda: other(rgb),
        "tmenet, fp32": lambda: answer(fp32.network, rgb),
        "tmenet, int8": lambda: answer(int8.network, rgb),
        "decoding": lambda: decode(planes, int8.rule),
        "outlines": lambda: trace(found.labels, found.level),
        "densities and measures": lambda: measure(found.labels, stain_od(rgb, profile), outlines, MPP),
    }
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(chosen.rounds):
        for name, part in parts.items():
            taken[name].append(seconds(part))
    megapixels = rgb.shape[0] * rgb.shape[1] / 1e6
    for name, values in taken.items():
        each = float(np.median(values)) / megapixels
        print(f"{name:24s} {each:.4f} s/Mpx  {1 / each:6.1f} Mpx/s")
    ratio = np.median(taken["StarDist-shaped, fp32"]) / np.median(taken["tmenet, fp32"])
    own = ("tmenet, int8", "decoding", "outlines", "densities and measures")
    whole = sum(float(np.median(taken[name])) for name in own)
    print(f"StarDist-shaped / tmenet, fp32: {ratio:.2f}")
    print(f"all of tmenet at int8: {megapixels / whole:.1f} Mpx/s a core")


if __name__ == "__main__":
    main()
