"""Labelled sets -> weights, from nothing or from earlier ones: the same from the same seed.

    python -m training.make DATA WORK [--steps N] [--everything]

DATA holds ``he/`` and ``ihc/`` of the evaluation kit. WORK gets the log, a checkpoint a run goes on from,
and the mean network's weights. Export and calibration are `training.publish`; `training.distil` goes on
from here with a teacher.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tme.cells.instances import Decoding, Instances
from tme.learn.field import Field
from tme.learn.fit import Recipe, described, fit, start
from tme.learn.network import BLOCKS, WIDTHS, NucleusNet
from tme.learn.score import ask, detection, lymphocytes, match
from training import sets, synthetic

SHARES = {
    "monuseg": 0.25,
    "crchistophenotypes": 0.21,
    "monusac": 0.13,
    "pannuke_samples": 0.07,
    "tcga_lgg": 0.06,
    "dsb2018_purple": 0.05,
    "synthetic_he": 0.20,
    "synthetic_ihc": 0.05,
    "ki67_points": 0.12,
    "deepliif": 0.03,
}
HARD_PCT = 8.0
"""Miscount of lymphocytes from which a rendered look counts as hard."""
LEAST_HARD = 30


def watch(held: list[Field]) -> Callable[[NucleusNet], Mapping[str, float]]:
    """A look at the held fields, per set, for the log."""

    def look(network: NucleusNet) -> Mapping[str, float]:
        row: dict[str, float] = {}
        for name, fields in sets.by_set(held):
            matched = [match(answered, Decoding()) for answered in ask(network, fields)]
            row |= {
                f"{name}.{key}": value
                for key, value in detection(matched).items()
                if key in {"f1", "r", "pq"}
            }
            if name in {"monusac", "crchistophenotypes"}:
                row |= {f"{name}.{key}": value for key, value in lymphocytes(matched, by_logit).items()}
        return row

    return look


def by_logit(found: Instances) -> NDArray[np.float32]:
    """Before a curve of probability is chosen: the network's own logit."""
    return found.lymphocyte


def hard(network: NucleusNet, looks: list[Field]) -> list[Field]:
    """Rendered H&E looks whose lymphocytes a trained network miscounts: what it has yet to learn.

    Counted at logit 0 and by the plain rule: thresholds and the curve of probability are chosen later.
    """
    out = []
    for field in looks:
        true = int((field.lymphocyte == 1).sum())
        if field.dataset != "synthetic_he" or true < LEAST_HARD:
            continue
        found = match(ask(network, [field])[0], Decoding()).instances
        called = int((found.lymphocyte >= 0.0).sum())
        if abs(called - true) > HARD_PCT / 100 * true:
            out.append(field)
    return out


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=250)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs=4, default=WIDTHS)
    parser.add_argument("--blocks", type=int, nargs=3, default=BLOCKS)
    parser.add_argument("--looks", type=int, nargs=3, default=tuple(synthetic.COUNTS.values()))
    parser.add_argument("--first-look", type=int, default=synthetic.FIRST_SEED, help="seed of the first look")
    parser.add_argument("--harder", type=int, default=1, help="times a look --start miscounts is taken")
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--start", type=Path, help="weights.pt of an earlier run to go on from")
    parser.add_argument("--everything", action="store_true", help="learn from the held fields too")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    split = sets.load(chosen.data)
    looks = list(synthetic.fields(chosen.first_look, dict(zip(synthetic.COUNTS, chosen.looks, strict=True))))
    fields = split.train + (split.held if chosen.everything else []) + looks
    recipe = Recipe(steps=chosen.steps, rate=chosen.rate, shares=SHARES, seed=chosen.seed)
    network = NucleusNet(chosen.widths, chosen.blocks).to(memory_format=torch.channels_last)
    if chosen.start is not None:
        network.load_state_dict(torch.load(chosen.start, weights_only=True))
        if chosen.harder > 1:
            again = hard(network, looks)
            print(f"{len(again)} looks of {len(looks)} are hard", flush=True)
            fields += again * (chosen.harder - 1)
    state = start(network, recipe)
    checkpoint = chosen.work / "checkpoint.pt"
    if checkpoint.exists():
        state.restore(checkpoint)
    (chosen.work / "recipe.json").write_text(json.dumps(described(recipe), indent=1))
    seen = watch(split.held)
    fit(state, fields, recipe, chosen.work / "log.csv", checkpoint, chosen.every, lambda now: seen(now.mean))
    torch.save(state.mean.state_dict(), chosen.work / "weights.pt")


if __name__ == "__main__":
    main()
