"""A run without names: what may leave the house.

Patients get pseudonyms from a key that stays in the results, so they are the same in every shared report of
a study and cannot be guessed from the name. Slides are called after pseudonym, time point and stain, lesions
by number. Text a person wrote into the sheet (reasons of exclusion, names of files in errors) is left out,
as it may hold a name. Dates never reach tme's tables; what they hold are days from the first dose and
between biopsies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tme.report.artefacts import Associated, Row, Run

TIES = 40
LEFT_OUT = {
    "failed": "the slide failed; the reason stays with the results",
    "excluded": "left out by the sample sheet",
}
FREE_TEXT = ("specimen_id", "block_id", "batch", "histology")
WORDS = (
    "stain", "timepoint", "timepoint_pre", "timepoint_post", "compartment", "metric", "kind", "status",
    "evaluable", "specimen_type", "change_call", "pairing", "rc_source", "mpp_source", "threshold_source",
)  # fmt: skip
"""Columns whose cells are tme's own words: a lesion called ``tumour`` must not rename a compartment."""
SHORTEST_NAME = 3
QUOTED = re.compile(r"'[^']*'")


def shared_run(run: Run, key: bytes) -> Run:
    """The run under pseudonyms.

    Parameters
    ----------
    run : Run
    key : bytes
        Secret of this study; the same key gives the same pseudonyms.
    """
    patients = pseudonyms([*run.patients(), *(row.get("patient_id", "") for row in run.pairs)], key)
    lesions = _lesions([*run.slides, *run.pairs])
    slides = _slide_names(run.slides, patients)
    replacer = _Replacer({**patients, **{name: label for (_, name), label in lesions.items()}, **slides})

    def hidden(row: Row) -> dict[str, str]:
        out = {
            name: value if name in WORDS else replacer.text(value)
            for name, value in row.items()
            if name not in FREE_TEXT
        }
        patient = row.get("patient_id", "")
        out["patient_id"] = patients.get(patient, "")
        if row.get("lesion_id"):
            out["lesion_id"] = lesions[patient, row["lesion_id"]]
        if "slide_id" in row:
            out["slide_id"] = slides[row["slide_id"]]
            out["reason"] = LEFT_OUT.get(row.get("status", ""), "")
        return out

    return replace(
        run,
        slides=_by_pseudonym(map(hidden, run.slides)),
        pairs=_by_pseudonym(map(hidden, run.pairs)),
        associated=_associated(run.associated, patients),
        folders={shown: slide for slide, shown in slides.items()},
        shared=True,
    )


def pseudonyms(patients: Iterable[str], key: bytes) -> dict[str, str]:
    """Patient -> ``S-`` and six letters or digits, all different, whatever the order of the names."""
    given: dict[str, str] = {}
    for patient in sorted(set(patients)):
        for tie in range(TIES):
            text = f"{tie}:{patient}".encode("utf-8", "surrogatepass")
            letters = base64.b32encode(hmac.new(key, text, hashlib.sha256).digest()).decode()[:6]
            if f"S-{letters}" not in given.values():
                given[patient] = f"S-{letters}"
                break
    return given


def _lesions(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """(patient, lesion) -> ``L1``, ``L2`` … in the order of the tables."""
    found: dict[tuple[str, str], str] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        key = (row.get("patient_id", ""), row.get("lesion_id", ""))
        if key[1] and key not in found:
            counts[key[0]] += 1
            found[key] = f"L{counts[key[0]]}"
    return found


def _slide_names(rows: Sequence[Row], patients: Mapping[str, str]) -> dict[str, str]:
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        if row["slide_id"] not in names:
            name = f"{patients[row['patient_id']]}-{row.get('timepoint', '')}-{row.get('stain', '')}"
            counts[name] += 1
            names[row["slide_id"]] = name if counts[name] == 1 else f"{name}-{counts[name]}"
    return names


class _Replacer:
    """Names of patients, lesions and slides within the words tme wrote, as whole words."""

    def __init__(self, names: Mapping[str, str]) -> None:
        # A name such as 7 is no word to look for: every number would become a patient.
        known = [name for name in names if len(name) >= SHORTEST_NAME and not name.replace(".", "").isdigit()]
        self.names = names
        words = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
        self.pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])") if words else None

    def text(self, text: str) -> str:
        """``text`` with every name replaced and quoted words, which come from files and sheets, left out."""
        text = QUOTED.sub("'…'", text)
        return self.pattern.sub(lambda found: self.names[found[0]], text) if self.pattern else text


def _associated(found: Associated | None, patients: Mapping[str, str]) -> Associated | None:
    if found is None:
        return None
    outcomes = [
        {
            **{name: value for name, value in row.items() if name not in FREE_TEXT},
            "patient_id": patients[row["patient_id"]],
        }
        for row in found.outcomes
        if row["patient_id"] in patients
    ]
    return replace(found, outcomes=_by_pseudonym(outcomes))


def _by_pseudonym(rows: Iterable[dict[str, str]]) -> list[Row]:
    """The order of the sheet would tell the first patient from the second."""
    return sorted(rows, key=lambda row: row["patient_id"])
