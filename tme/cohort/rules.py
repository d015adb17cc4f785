"""What must hold between the rows of a sheet: no slide twice; lesions and annotations that look odd."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from tme.cohort.files import identity, same_content
from tme.cohort.text import shown
from tme.cohort.types import SlideRow
from tme.errors import Problem

Rows = Sequence[SlideRow]


def rows_named(rows: Iterable[SlideRow]) -> str:
    """``row 3`` or ``rows 3, 5 and 7`` for a message."""
    numbers = [str(row.sheet_row) for row in rows]
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    return f"rows {', '.join(numbers[:-1])} and {numbers[-1]}"


def grouped(rows: Iterable[SlideRow], key: Callable[[SlideRow], Hashable]) -> dict[Hashable, list[SlideRow]]:
    """Rows by key, in the order of the sheet; rows whose key is "" or None are left out."""
    groups: dict[Hashable, list[SlideRow]] = defaultdict(list)
    for row in rows:
        value = key(row)
        if value not in ("", None):
            groups[value].append(row)
    return dict(groups)


def mixed_lesions(rows: Rows) -> list[Problem]:
    """Cautions for patients some of whose slides have no lesion_id: they may pair across lesions."""
    cautions = []
    for patient, mine in grouped(rows, lambda row: row.patient_id).items():
        without = [row for row in mine if not row.lesion_id]
        if without and len(without) < len(mine):
            cautions.append(
                Problem(
                    rows_named(without),
                    f"some slides of patient {shown(str(patient))} have a lesion_id and these have none",
                    "they are paired with each other, or with the only lesion left at the other time point",
                    "fill in the lesion_id of these rows",
                    "caution",
                )
            )
    return cautions


def same_slides(rows: Rows, fingerprints: Callable[[SlideRow], str] | None) -> list[Problem]:
    """Rows that point at one file, or at files of the same bytes; excluded rows do not count."""
    mine = [row for row in rows if not row.exclude]
    problems = []
    by_file = grouped([row for row in mine if os.path.exists(row.path)], lambda row: identity(row.path))
    for same in by_file.values():
        if len(same) > 1:
            problems.append(_twice(same, "are the same file"))
    firsts = [same[0] for same in by_file.values()]
    pairs = _equal_pairs(firsts, lambda row: row.sha256)
    if fingerprints is not None:
        pairs += _equal_pairs(firsts, fingerprints, confirm=True)
    told = set()
    for first, second in pairs:
        if (first.sheet_row, second.sheet_row) not in told:
            told.add((first.sheet_row, second.sheet_row))
            problems.append(_twice([first, second], "have the same content"))
    return problems


def _equal_pairs(
    rows: Rows, key: Callable[[SlideRow], str], confirm: bool = False
) -> list[tuple[SlideRow, SlideRow]]:
    """(first, later) of rows with one key; with ``confirm`` only those whose bytes are equal."""
    pairs = []
    for same in grouped(rows, key).values():
        distinct: list[SlideRow] = []
        for row in same:
            twin = next((one for one in distinct if not confirm or same_content(one.path, row.path)), None)
            if twin is None:
                distinct.append(row)
            else:
                pairs.append((twin, row))
    return pairs


def _twice(rows: list[SlideRow], what: str) -> Problem:
    names = " and ".join(dict.fromkeys(shown(row.path.name) for row in rows))
    return Problem(
        rows_named(rows),
        f"the slides {names} {what}",
        "a slide counted twice, or compared with itself, looks like a result",
        "correct the path, or give a reason in 'exclude' of all rows but one",
    )


def shared_annotations(rows: Rows) -> list[Problem]:
    """Cautions for one annotation file used by several slides: it fits one at most."""
    by_file = grouped(rows, lambda row: str(row.annotations or ""))
    return [
        Problem(
            rows_named(same),
            f"these slides share the annotations {shown(_name(same[0]))}",
            "annotations are drawn in the pixels of one slide",
            "give each slide its own file",
            "caution",
        )
        for same in by_file.values()
        if len(same) > 1
    ]


def _name(row: SlideRow) -> str:
    return row.annotations.name if row.annotations else ""
