"""The columns of a sample sheet, and what to make of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tme.cohort.text import edits, plain, shown, word_key
from tme.errors import Problem

REQUIRED = ("patient_id", "timepoint", "stain", "slide")
OPTIONAL = (
    "slide_id",
    "lesion_id",
    "specimen_id",
    "block_id",
    "specimen_type",
    "biopsy_date",
    "biopsy_day",
    "mpp",
    "annotations",
    "batch",
    "sha256",
    "exclude",
)
KNOWN = REQUIRED + OPTIONAL

# A known name without its ending, or a common other word for it, where the spelling is not near.
_MEANT = {
    "patient": "patient_id",
    "subject": "patient_id",
    "subjectid": "patient_id",
    "lesion": "lesion_id",
    "specimen": "specimen_id",
    "block": "block_id",
    "slidepath": "slide",
    "excludereason": "exclude",
    "exclusion": "exclude",
    "exclusionreason": "exclude",
    "geojson": "annotations",
    "mppx": "mpp",
    "micronsperpixel": "mpp",
}
# Words of their own that happen to be spelled like a known name.
_INNOCENT = frozenset(
    {"side", "site", "biopsysite", "biopsytype", "biopsysize", "strain", "status", "match", "patch"}
)


@dataclass(frozen=True)
class SheetColumns:
    """The columns one kind of sheet may have.

    Attributes
    ----------
    required, optional : tuple of str
    meant : mapping
        `word_key` of another word -> the column it stands for, where the spelling is not near.
    innocent : frozenset of str
        `word_key` of words of their own that happen to be spelled like a known name.
    begin : str
        What to do who has an empty sheet.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    meant: Mapping[str, str] = field(default_factory=dict)
    innocent: frozenset[str] = frozenset()
    begin: str = "write one with `tme init FOLDER`"

    @property
    def known(self) -> tuple[str, ...]:
        """Required and optional ones."""
        return self.required + self.optional

    def near(self, name: str) -> str:
        """The known column ``name`` was probably meant to be, or ""."""
        key = word_key(name)
        if not key or key in self.innocent:
            return ""
        if key in self.meant:
            return self.meant[key]
        for known in sorted(self.known, key=lambda known: word_key(known) != key):
            target = word_key(known)
            allowed = 1 if len(target) <= 6 else 2
            if abs(len(target) - len(key)) <= allowed and edits(key, target) <= allowed:
                return known
        return ""


SAMPLE_SHEET = SheetColumns(REQUIRED, OPTIONAL, _MEANT, _INNOCENT)


@dataclass(frozen=True)
class Columns:
    """What each cell of a row is.

    Attributes
    ----------
    names : tuple of str or None
        Column of each cell: a known name, an extra column's own name, "" for a nameless one, or None
        for one that a problem was told about already.
    problems, notes : tuple of Problem
    """

    names: tuple[str | None, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def read_columns(header: list[str], sheet: str, columns: SheetColumns = SAMPLE_SHEET) -> Columns:
    """Check a header row.

    A column that is near a known one is a problem, and is then read as the known one so that the
    rows are checked all the same.

    Parameters
    ----------
    header : list of str
        Cells of the header row.
    sheet : str
        Name of the sheet, for messages.
    columns : SheetColumns
        What is known.
    """
    given = [plain(cell.lstrip("\ufeff\u200b")) for cell in header]
    where = f"{sheet} header"
    problems: list[Problem] = []
    notes: list[Problem] = []
    names: list[str | None] = []
    for name in given:
        near = "" if name in columns.known else columns.near(name)
        if name and name in names:
            problems.append(_twice(where, name))
            names.append(None)
        elif near:
            problems.append(_near(where, name, near))
            names.append(near if near not in given and near not in names else None)
        else:
            if name and name not in columns.known:
                notes.append(_carried(where, name))
            names.append(name)
    problems += [
        _missing(where, name, given, columns.required) for name in columns.required if name not in names
    ]
    return Columns(tuple(names), tuple(problems), tuple(notes))


def _near(where: str, name: str, near: str) -> Problem:
    return Problem(
        where,
        f"there is no column {shown(name)}",
        "a column nobody reads changes nothing, and this one looks like a known name",
        f"did you mean '{near}'? rename the column",
    )


def _twice(where: str, name: str) -> Problem:
    return Problem(
        where,
        f"the column {shown(name)} is given twice",
        "one of the two would be lost",
        "remove or rename one",
    )


def _carried(where: str, name: str) -> Problem:
    return Problem(where, f"the column {shown(name)} is not known to tme", "it is carried along", "", "note")


def _missing(where: str, name: str, given: list[str], required: tuple[str, ...]) -> Problem:
    found = ", ".join(shown(column) for column in given if column)[:300] or "nothing"
    return Problem(
        where,
        f"the column '{name}' is missing",
        f"columns found: {found}",
        f"add a column '{name}'; required are {', '.join(required)}",
    )
