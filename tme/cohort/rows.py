"""One row of text to one `SlideRow`, with every problem of the row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tme.cohort import cells
from tme.cohort.columns import KNOWN
from tme.cohort.files import check_annotations, check_slide, find_path
from tme.cohort.reader import Table
from tme.cohort.text import plain, shown
from tme.cohort.types import SlideRow
from tme.cohort.words import Vocabulary
from tme.errors import Problem, SheetError

T = TypeVar("T")


@dataclass(frozen=True)
class RawRow:
    """A row as read: the cells by column, undecided.

    Attributes
    ----------
    number : int
        Row of the sheet; for a slide of a folder, of the sheet `write_sheet` makes.
    cells : dict
        Column -> raw cell. Columns that are not known are extra ones.
    """

    number: int
    cells: dict[str, str]


def rows_of(table: Table, names: tuple[str | None, ...]) -> tuple[list[RawRow], list[Problem]]:
    """Rows by column (see `Columns.names`), and cells that belong to none."""
    rows, problems = [], []
    for number, row in table.rows:
        beyond = [cell for cell in row[len(names) :] if cell.strip()]
        nameless = [cell for name, cell in zip(names, row, strict=False) if name == "" and cell.strip()]
        if beyond or nameless:
            problems.append(_loose_cell(number, (beyond or nameless)[0], len(row), len(names)))
        filled = [*row, *[""] * (len(names) - len(row))]
        rows.append(RawRow(number, {name: cell for name, cell in zip(names, filled, strict=False) if name}))
    return rows, problems


def _loose_cell(number: int, cell: str, given: int, columns: int) -> Problem:
    return Problem(
        f"row {number}",
        f"the cell {shown(cell)} belongs to no column",
        f"the row has {given} cells, the header {columns}",
        "put quotation marks round text that holds the separator, or name the column",
    )


@dataclass(frozen=True)
class RowContext:
    """What every row of one sheet is read with.

    Attributes
    ----------
    base : Path
        Folder that paths are relative to, absolute.
    words : Vocabulary
    decimal_comma : bool
    """

    base: Path
    words: Vocabulary
    decimal_comma: bool = False


def read_row(raw: RawRow, context: RowContext) -> tuple[SlideRow, list[Problem]]:
    """Read a row; a cell with a problem is left empty in the value, so that other rules still run."""
    reader = _SlideReader(raw, context)
    excluded = reader.value("exclude", cells.read_exclude, "")
    row = SlideRow(
        patient_id=reader.value("patient_id", lambda text: cells.read_id(text, "patient_id", True), ""),
        timepoint=reader.value("timepoint", context.words.timepoint, "", required=True),
        stain=reader.value("stain", context.words.stain, "", required=True),
        path=reader.slide(missing_ok=bool(excluded)),
        slide_id=reader.value("slide_id", cells.read_slide_id, ""),
        lesion_id=reader.name("lesion_id"),
        specimen_id=reader.name("specimen_id"),
        block_id=reader.name("block_id"),
        specimen_type=reader.value("specimen_type", cells.read_specimen_type, ""),
        biopsy_date=reader.value("biopsy_date", cells.read_date, ""),
        biopsy_day=reader.value("biopsy_day", cells.read_day, None),
        mpp=reader.value("mpp", lambda text: cells.read_mpp(text, context.decimal_comma), None),
        annotations=reader.annotations(missing_ok=bool(excluded)),
        batch=reader.value("batch", lambda text: cells.read_text(text, "batch"), ""),
        sha256=reader.value("sha256", cells.read_sha256, ""),
        exclude=excluded,
        sheet_row=raw.number,
        extra={name: plain(cell) for name, cell in raw.cells.items() if name not in KNOWN},
    )
    return row, reader.problems


class CellReader:
    """Reads the cells of one row and keeps the problems."""

    def __init__(self, raw: RawRow) -> None:
        self.raw = raw
        self.where = f"row {raw.number}"
        self.problems: list[Problem] = []

    def value(self, column: str, read: Callable[[str], T], empty: T, required: bool = False) -> T:
        """The cell of ``column`` read by ``read``; ``empty`` where that fails or the column is absent."""
        if required and column in self.raw.cells and not plain(self.raw.cells[column]):
            self.add(SheetError(f"{column} is empty", why="every row needs one", fix=f"fill in the {column}"))
            return empty
        if column not in self.raw.cells:
            return empty
        try:
            return read(plain(self.raw.cells[column]))
        except SheetError as error:
            self.add(error)
            return empty

    def name(self, column: str) -> str:
        """An id, which may be empty."""
        return self.value(column, lambda text: cells.read_id(text, column), "")

    def add(self, error: SheetError) -> None:
        """Keep the problems of an error as those of this row."""
        self.problems += [replace(problem, where=self.where) for problem in error.problems]


class _SlideReader(CellReader):
    """Reads the files of a row too."""

    def __init__(self, raw: RawRow, context: RowContext) -> None:
        super().__init__(raw)
        self.context = context

    def slide(self, missing_ok: bool) -> Path:
        path = self.path("slide")
        if path is None:
            if "slide" in self.raw.cells:
                self.add(SheetError("slide is empty", why="every row needs one", fix="give the slide's file"))
            return self.context.base
        if not missing_ok:
            self.check(check_slide, path, "slide")
        return path

    def annotations(self, missing_ok: bool) -> Path | None:
        path = self.path("annotations")
        if path is not None and not missing_ok:
            self.check(check_annotations, path, "annotations")
        return path

    def path(self, column: str) -> Path | None:
        raw = self.raw.cells.get(column, "")
        text = plain(raw)
        return find_path(self.context.base, raw, text) if text else None

    def check(self, check: Callable[[Path, str], None], path: Path, column: str) -> None:
        try:
            check(path, plain(self.raw.cells[column]))
        except SheetError as error:
            self.add(error)
        except OSError as error:
            why = error.strerror or str(error)
            text = shown(plain(self.raw.cells[column]))
            self.add(SheetError(f"{column} {text} cannot be read", why=why, fix="check its permissions"))
