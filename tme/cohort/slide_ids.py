"""The id of each slide: the sheet's own, or one made from what the slide shows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

from tme.cohort.rules import grouped, rows_named
from tme.cohort.text import shown
from tme.cohort.types import SlideRow
from tme.errors import Problem
from tme.safety import slug

_LONGEST = 57
_Key = tuple[str, str, str, str]


def repeated_ids(rows: list[SlideRow]) -> list[Problem]:
    """Rows that give one ``slide_id``, compared without case as some file systems do."""
    return [
        Problem(
            rows_named(same),
            f"slide_id {shown(same[0].slide_id)} is given twice",
            "each slide has a folder of that name, and case does not tell folders apart everywhere",
            "change one, or leave the cells empty for ids made by tme",
        )
        for same in grouped(rows, lambda row: row.slide_id.casefold()).values()
        if len(same) > 1
    ]


def with_ids(rows: list[SlideRow]) -> list[SlideRow]:
    """Rows with an id each, unique ignoring case.

    The default is ``patient_lesion_timepoint_stain`` in safe letters, then the same with ``-2``,
    ``-3`` for further slides in the order of the sheet. Where two different patients or lesions
    would come out the same, each gets a short hash of its own text instead.
    """
    names = _names({_key(row) for row in rows if not row.slide_id})
    taken = {row.slide_id.casefold() for row in rows if row.slide_id}
    used: dict[_Key, int] = defaultdict(int)
    finished = []
    for row in rows:
        slide_id = row.slide_id
        while not slide_id:
            used[_key(row)] += 1
            number = used[_key(row)]
            wanted = names[_key(row)] + (f"-{number}" if number > 1 else "")
            if wanted.casefold() not in taken:
                slide_id = wanted
                taken.add(wanted.casefold())
        finished.append(replace(row, slide_id=slide_id))
    return finished


def _key(row: SlideRow) -> _Key:
    return row.patient_id, row.lesion_id, row.timepoint, row.stain


def _names(keys: set[_Key]) -> dict[_Key, str]:
    names = {key: _name(key) for key in keys}
    by_name = defaultdict(list)
    for key, name in names.items():
        by_name[name.casefold()].append(key)
    return {
        key: name if len(by_name[name.casefold()]) == 1 else _marked(name, key) for key, name in names.items()
    }


def _name(key: _Key) -> str:
    patient, lesion, timepoint, stain = key
    parts = [
        slug(patient, "patient"),
        *([slug(lesion, "lesion")] if lesion else []),
        slug(timepoint),
        slug(stain),
    ]
    name = "_".join(parts)
    return name if len(name) <= _LONGEST else _marked(name, key)


def _marked(name: str, key: _Key) -> str:
    digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: _LONGEST - 9]}-{digest[:8]}"
