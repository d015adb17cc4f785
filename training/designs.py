"""Several designs of the network, each trained briefly on the same crops: what size and shape buy.

    python -m training.designs DATA WORK DOCS [--steps N]

Writes DOCS/designs.csv, a row as each design is done. `training.card` prints it.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import nn

from tme.learn.field import Field
from tme.learn.fit import Recipe, fit, start
from tme.learn.network import NucleusNet
from training import sets, synthetic
from training.make import SHARES, watch

LOOKS = (40, 6, 4)
WINDOW_PX = 512
SEVERAL = 10
# Lymphocytes are learned last: after so few steps none is called.
SHOWN = (
    "monuseg.f1",
    "monuseg.pq",
    "crchistophenotypes.f1",
    "monusac.r",
    "tcga_lgg.pq",
)


@dataclass(frozen=True)
class Design:
    """A size of the network; see `NucleusNet`."""

    name: str
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int]


FIRST = (16, 40, 80, 128)
DESIGNS = (
    Design("first", FIRST, (1, 1, 2)),
    Design("narrow", (12, 32, 64, 96), (1, 1, 2)),
    Design("shallow", FIRST, (1, 1, 1)),
    Design("fine twice as wide", (32, 40, 80, 128), (1, 1, 2)),
    Design("deep", FIRST, (1, 2, 4)),
    Design("wide", (24, 56, 112, 160), (1, 1, 2)),
)


def gflop_per_mpx(network: nn.Module) -> float:
    """Multiplications and additions of the convolutions, 10^9 for a million pixels."""
    counted: list[int] = []

    def count(layer: nn.Conv2d, _: Any, out: Any) -> None:
        counted.append(2 * layer.weight.numel() * out.shape[-1] * out.shape[-2])

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, 3, WINDOW_PX, WINDOW_PX))
    for hook in hooks:
        hook.remove()
    return sum(counted) / WINDOW_PX**2 * 1e6 / 1e9


def mpx_per_s(network: nn.Module) -> float:
    """Of a thread's processor time, in torch at fp32: to compare designs by, not what tme runs."""
    window = torch.zeros(1, 3, WINDOW_PX, WINDOW_PX).to(memory_format=torch.channels_last)
    with torch.no_grad():
        network(window)
        began = process_time()
        for _ in range(SEVERAL):
            network(window)
    return SEVERAL * WINDOW_PX**2 / 1e6 / (process_time() - began)


def row_of(
    design: Design, fields: list[Field], held: list[Field], recipe: Recipe, work: Path
) -> dict[str, Any]:
    """Train a design and measure it on held fields."""
    torch.manual_seed(recipe.seed)
    state = start(NucleusNet(design.widths, design.blocks).to(memory_format=torch.channels_last), recipe)
    fit(state, fields, recipe, work / f"{design.name.replace(' ', '-')}.csv", every=recipe.steps)
    scores = watch(held)(state.mean)
    return {
        "design": design.name,
        "widths": " ".join(map(str, design.widths)),
        "blocks": " ".join(map(str, design.blocks)),
        "parameters": sum(p.numel() for p in state.mean.parameters()),
        "gflop_per_mpx": round(gflop_per_mpx(state.mean), 1),
        "torch_mpx_per_s": round(mpx_per_s(state.mean), 2),
        "steps": recipe.steps,
        **{name: round(scores[name], 3) for name in SHOWN},
    }


def main() -> None:
    """Parse, train each, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.work.mkdir(parents=True, exist_ok=True)
    split = sets.load(chosen.data)
    looks = synthetic.fields(synthetic.FIRST_SEED, dict(zip(synthetic.COUNTS, LOOKS, strict=True)))
    fields = [*split.train, *looks]
    # A short training forgets its random start only with a short memory.
    recipe = Recipe(steps=chosen.steps, average=0.98, shares=SHARES)
    rows = []
    for design in DESIGNS:
        rows.append(row_of(design, fields, split.held, recipe, chosen.work))
        with (chosen.docs / "designs.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
