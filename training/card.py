"""What a training left -> the model card: its numbers, curves and reliability as a page with pictures.

    python -m training.card DATA WORK RUN MORE DOCS [--student K]

Reads what `training.publish` left in WORK, logs and recipe of RUN (`training.distil`), the recipe of MORE,
which went on from there with every field, and DOCS/designs.csv (`training.designs`); writes
DOCS/model-card.md and DOCS/images. Words that no run can write (terms, failures seen by eye, what it must
not be used for) are in `training/card.md`.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from string import Template
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from tme.cells.engines._description import read_description
from tme.learn.losses import WEIGHTS
from training import sets, synthetic

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#777777"
COLUMNS = {
    "f1": "F1",
    "p": "P",
    "r": "R",
    "f1_mask": "F1@.5",
    "pq": "PQ",
    "f1_til": "F1 til",
    "til_called_pct": "called til, %",
    "ece": "calibration error",
}


def curves(run: Path, student: int, out: Path) -> None:
    """Losses of the teacher and of a student, against steps."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
    for panel, kind, who in zip(panels, ("teacher", "students"), ("teacher", str(student)), strict=True):
        with (run / f"{kind}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for part in WEIGHTS:
            losses = [float(row[f"{who}.{part}"]) for row in rows]
            panel.plot([int(row["step"]) for row in rows], losses, label=part)
        panel.set(title=kind.rstrip("s"), xlabel="step", yscale="log")
    panels[0].set_ylabel("loss on training crops")
    panels[1].legend(frameon=False)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def reliability_picture(scores: dict[str, Any], out: Path) -> None:
    """Share of lymphocytes against the probability said, a panel a set."""
    shown = {name: row["reliability"] for name, row in scores.items() if len(row.get("reliability", [])) > 1}
    figure, panels = plt.subplots(1, len(shown), figsize=(2.4 * len(shown), 2.6), layout="constrained")
    for panel, (name, table) in zip(panels, shown.items(), strict=True):
        said, true, number = zip(*table, strict=True)
        panel.plot([0, 1], [0, 1], color=GREY, lw=1)
        panel.scatter(said, true, s=[6 + 60 * n / max(number) for n in number], color=BLUE)
        panel.set(title=name, xlabel="probability said", xlim=(0, 1), ylim=(0, 1))
        panel.title.set_fontsize(8)
    panels[0].set_ylabel("share that are lymphocytes")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def table(rows: dict[str, Any]) -> str:
    """Scores as Markdown, a row a set."""
    lines = ["| held fields of | fields | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|---|--:|" + "--:|" * len(COLUMNS))
    for name, row in rows.items():
        cells = [_number(row[key]) if key in row else "" for key in COLUMNS]
        lines.append(f"| {name} | {row['fields']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def designs_table(file: Path) -> str:
    """What `training.designs` measured, as Markdown."""
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in rows[0]) + " |"]
    lines.append("|---|" + "--:|" * (len(rows[0]) - 1))
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.1f}" if value > 1 else f"{value:.3f}".lstrip("0") or "0"


def data_table(data: Path) -> str:
    """Fields, patients and nuclei of every set, learned from and held."""
    split = sets.load(data)
    lines = [
        "| set | fields learned from | patients | nuclei | of them lymphocytes | fields held | patients |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    held = dict(sets.by_set(split.held))
    for name, fields in sets.by_set(split.train):
        lymphocytes = sum(int((f.lymphocyte == 1).sum()) for f in fields)
        other = held.get(name, [])
        nuclei = sum(len(f.centres) for f in fields)
        cells = [name, len(fields), _patients(fields), nuclei, lymphocytes, len(other), _patients(other)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _patients(fields: list[Any]) -> str:
    named = {f.patient for f in fields if f.patient.startswith("TCGA")}
    return str(len(named)) if named else "not told"


def main() -> None:
    """Parse, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("more", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--student", type=int, default=0)
    chosen = parser.parse_args()
    scores = json.loads((chosen.work / "scores.json").read_text())
    (description,) = (chosen.work / "judged").glob("*.json")
    recipe, more = (json.loads((one / "recipe.json").read_text()) for one in (chosen.run, chosen.more))
    images = chosen.docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    curves(chosen.run, chosen.student, images / "training-curves.png")
    reliability_picture(scores["fp32"], images / "reliability.png")
    words = Template((Path(__file__).parent / "card.md").read_text(encoding="utf-8"))
    text = words.substitute(
        data=data_table(chosen.data),
        fp32=table(scores["fp32"]),
        int8=table(scores["int8"]),
        designs=designs_table(chosen.docs / "designs.csv"),
        teacher_steps=recipe["steps"]["teacher"],
        steps=recipe["steps"]["students"],
        teacher_more=more["steps"]["teacher"],
        more=more["steps"]["students"],
        batch=recipe["batch"],
        reuse=recipe["reuse"],
        least=read_description(description).calibration.least,
        rendered_mm2=synthetic.AREA_MM2,
    )
    (chosen.docs / "model-card.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
