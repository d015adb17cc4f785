"""Ids that are written differently but look the same to a reader, or nearly so."""

from __future__ import annotations

from collections.abc import Hashable

from tme.cohort.rules import Rows, grouped, rows_named
from tme.cohort.text import almost, shown, skeleton
from tme.cohort.types import SlideRow
from tme.errors import Problem
from tme.safety import comparison_key


def look_alikes(rows: Rows) -> list[Problem]:
    """Patients, and lesions within a patient, that are written differently but look the same."""
    problems = _same_look(grouped(rows, lambda row: row.patient_id), "patient_id")
    for mine in grouped(rows, lambda row: row.patient_id).values():
        problems += _same_look(grouped(mine, lambda row: row.lesion_id), "lesion_id")
    return problems


def _same_look(by_name: dict[Hashable, list[SlideRow]], column: str) -> list[Problem]:
    problems = []
    reported: set[tuple[str, str]] = set()
    for key in (comparison_key, skeleton):
        looks: dict[str, str] = {}
        for name, mine in by_name.items():
            first = looks.setdefault(key(str(name)), str(name))
            if first != name and (first, str(name)) not in reported:
                reported.add((first, str(name)))
                problems.append(_look_alike(column, by_name[first][0], mine[0], first, str(name)))
    return problems


def _look_alike(column: str, first: SlideRow, second: SlideRow, one: str, other: str) -> Problem:
    hidden = f" ({_code_points(one, other)})" if _same_shown(one, other) else ""
    return Problem(
        rows_named([first, second]),
        f"{column} {shown(one)} and {shown(other)} look alike{hidden}",
        "one person or lesion would be counted as two",
        "write them the same way, or make them clearly different",
    )


def _same_shown(one: str, other: str) -> bool:
    return skeleton(one) == skeleton(other) and one.casefold().split() != other.casefold().split()


def _code_points(one: str, other: str) -> str:
    """Where two texts first differ, by code point, for letters no eye can tell apart."""
    at = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        at = min(len(one), len(other))
    points = [f"U+{ord(text[at]):04X}" if at < len(text) else "nothing" for text in (one, other)]
    return f"character {at + 1}: {points[0]}, {points[1]}"


def almost_alike(rows: Rows) -> list[Problem]:
    """Cautions for patients that a slip of the hand would explain: P01 and P1, P01 and PO1."""
    cautions = []
    looks: dict[str, SlideRow] = {}
    for mine in grouped(rows, lambda row: row.patient_id).values():
        row = mine[0]
        first = looks.setdefault(almost(row.patient_id), row)
        if first is not row and skeleton(first.patient_id) != skeleton(row.patient_id):
            cautions.append(
                Problem(
                    rows_named([first, row]),
                    f"patient_id {shown(first.patient_id)} and {shown(row.patient_id)} are nearly the same",
                    "they are counted as two patients",
                    "correct one if they are the same patient",
                    "caution",
                )
            )
    return cautions
