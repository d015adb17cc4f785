"""How right weights are on the held fields: the numbers of the model card.

    python -m training.scores DATA WORK DESCRIPTION

Writes WORK/scores.json, which `training.card` prints. DESCRIPTION is the JSON beside weights that never saw
the held fields: WORK/judged of `training.publish`, not those that ship.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tme.cells.engines._description import Calibration, Precision, read_description, weights_file
from tme.cells.engines._runtime import open_network
from tme.cells.instances import Decoding
from tme.learn.calibrate import called, expected_error, reliability
from tme.learn.compare import ask_file
from tme.learn.field import Field
from tme.learn.score import Answered, detection, lymphocytes, match
from training import sets, synthetic

HELD_COUNTS = {"HE": 12}
# Where lymphocytes are told from other nuclei by hand; glioma counts as "none", with less weight.
CLASSED = ("crchistophenotypes", "monusac", "pannuke_samples", "synthetic_he", "tcga_lgg")


def held_fields(split: sets.Split) -> list[Field]:
    """The labelled fields of other patients, and rendered ones of seeds nothing learned from."""
    return split.held + list(synthetic.fields(synthetic.HELD_SEED, HELD_COUNTS))


def scores(answered: Sequence[Answered], rule: Decoding, curve: Calibration) -> dict[str, Any]:
    """Per set: detection, masks, lymphocytes from the least probability on, reliability."""
    table: dict[str, Any] = {}
    for name in sorted({one.field.dataset for one in answered}):
        matched = [match(one, rule) for one in answered if one.field.dataset == name]
        row: dict[str, Any] = {"fields": len(matched), **detection(matched)}
        rows = called(matched)
        if name in CLASSED and rows and len(rows[0].logit):
            probability = 1 / (1 + np.exp(-curve.logit(rows[0].logit, rows[0].sure, rows[0].size)))
            bins = reliability(probability, rows[0].truth, rows[0].weight)
            row |= lymphocytes(matched, curve.score)
            row |= {
                "til_called_pct": 100 * float((probability >= curve.least).mean()),
                "ece": expected_error(bins),
            }
            row["reliability"] = np.round(bins, 4).tolist()
        table[name] = {
            key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
        }
    return table


def write_scores(path: Path, held: Sequence[Field], work: Path) -> None:
    """WORK/scores.json: precision -> data set -> scores of the weights a description names."""
    description = read_description(path)
    rule, curve = description.reading.decoding(), description.calibration
    table = {}
    for precision in get_args(Precision):
        network = open_network(weights_file(description, path.parent, precision)[0], "cpu")[0]
        table[precision] = scores(ask_file(network, held), rule, curve)
        for name, row in table[precision].items():
            print(precision, name, {key: value for key, value in row.items() if key != "reliability"})
    (work / "scores.json").write_text(json.dumps(table, indent=1))


def main() -> None:
    """Parse, score, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("description", type=Path)
    chosen = parser.parse_args()
    write_scores(chosen.description, held_fields(sets.load(chosen.data)), chosen.work)


if __name__ == "__main__":
    main()
