"""A network's files against held fields, before and after: run as tme itself runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tme.cells.engines._description import Calibration
from tme.cells.engines._runtime import Network
from tme.cells.instances import Decoding
from tme.learn.augment import plain_crop
from tme.learn.field import Field
from tme.learn.score import Answered, Matched, detection, lymphocytes, match

SILENT = np.float32(-20.0)
TITLES = {
    "f1": "F1 of nuclei within 3 µm",
    "p": "precision",
    "r": "recall",
    "f1_mask": "F1 of outlines at overlap 0.5",
    "pq": "panoptic quality of outlines",
    "f1_til": "F1 of lymphocytes",
}


@dataclass(frozen=True)
class Reader:
    """How answers become nuclei and lymphocytes.

    Attributes
    ----------
    rule : Decoding
    calibration : Calibration
    """

    rule: Decoding
    calibration: Calibration


def ask_file(network: Network, fields: Iterable[Field]) -> list[Answered]:
    """Answers of an opened file on whole fields; silent where nobody knows what is there."""
    out = []
    for field in fields:
        crop = plain_crop(field)
        answer = network(crop.rgb)
        if crop.instances is not None:
            answer = np.where(crop.instances >= 0, answer, SILENT)
        out.append(Answered(field, crop, np.asarray(answer, np.float32)))
    return out


def matched(network: Network, fields: Iterable[Field], rule: Decoding) -> list[Matched]:
    """Nuclei found on every field, paired with its labels."""
    return [match(answered, rule) for answered in ask_file(network, fields)]


def measure(found: Sequence[Matched], reader: Reader) -> dict[str, float]:
    """Measures of `TITLES` that these labels allow.

    Where not every nucleus is labelled, what is found beside the labels says nothing: recall alone is
    left. Lymphocytes are measured where both kinds are labelled.
    """
    scores = detection(found)
    if not all(one.answered.crop.complete for one in found):
        scores = {"r": scores["r"]}
    kinds = kinds_of(one.answered.field for one in found)
    if min(kinds) > 0:
        scores |= lymphocytes(found, reader.calibration.score)
    return {name: scores[name] for name in TITLES if name in scores}


def kinds_of(fields: Iterable[Field]) -> tuple[int, int]:
    """Number of nuclei labelled as lymphocytes, and as others."""
    kinds = [field.lymphocyte for field in fields]
    return sum(int((kind == 1).sum()) for kind in kinds), sum(int((kind == 0).sum()) for kind in kinds)


def worth(scores: dict[str, float]) -> float:
    """One number of several measures: the mean of finding, outlining and naming nuclei."""
    parts = [scores.get("f1", scores["r"]), *(scores[name] for name in ("pq", "f1_til") if name in scores)]
    return sum(parts) / len(parts)


def table(columns: dict[str, dict[str, float]]) -> list[str]:
    """Lines of a Markdown table, a measure a row."""
    names = list(columns)
    lines = [f"| held fields | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    for key, title in TITLES.items():
        if key in columns[names[0]]:
            lines.append(f"| {title} | {' | '.join(f'{columns[name][key]:.3f}' for name in names)} |")
    worths = " | ".join(f"{worth(columns[name]):.3f}" for name in names)
    return [*lines, f"| **judged by** | {worths} |"]
