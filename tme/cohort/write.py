"""The sheet `tme init` writes: every slide of a folder, filled in as far as the names say."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from tme.cohort.folder import read_names, scan, unnamed_slides
from tme.cohort.words import Vocabulary
from tme.config import CohortSettings
from tme.errors import SheetError
from tme.safety import csv_text
from tme.store import write_text

SHEET_NAME = "cohort.csv"
COLUMNS = (
    "patient_id",
    "lesion_id",
    "timepoint",
    "stain",
    "slide",
    "slide_id",
    "block_id",
    "specimen_type",
    "biopsy_date",
    "mpp",
    "annotations",
    "batch",
    "exclude",
)


def write_sheet(
    folder: Path, settings: CohortSettings, stains: Mapping[str, str], sheet: Path | None = None
) -> Path:
    """Write a sample sheet for a folder of slides, for the user to complete.

    Slides whose names do not say enough have a row too, with empty cells that `load_cohort` asks
    for. Text a spreadsheet would run is neutralised, and undone on reading.

    Parameters
    ----------
    folder : Path
    settings : CohortSettings
    stains : mapping
        As for `load_cohort`.
    sheet : Path, optional
        Where to write; ``cohort.csv`` in the folder by default.

    Returns
    -------
    Path
        The sheet, absolute.

    Raises
    ------
    SheetError
        If the sheet exists already or cannot be written, the folder is none or has no slides, or a
        slide's name is not UTF-8.
    """
    target = Path(os.path.abspath(sheet or folder / SHEET_NAME))
    if os.path.lexists(target):
        raise SheetError(
            "the sheet exists already",
            where=str(target),
            why="what was entered in it would be lost",
            fix="edit it, or move it away first",
        )
    if not folder.is_dir():
        raise SheetError("this is not a folder", where=str(folder), fix="give the folder with the slides")
    words = Vocabulary.of(settings, stains)
    root = Path(os.path.abspath(folder))
    found = scan(root)
    if not found.slides:
        raise SheetError(
            "there is no slide in this folder", where=str(folder), fix="give the folder with the slides"
        )
    if found.unnamed:
        raise SheetError("a slide's name cannot be written", problems=unnamed_slides(found))
    named = read_names(root, found, settings, words)
    text = _sheet_text([_row(slide.row.cells, root, target.parent) for slide in named])
    try:
        write_text(target, text)
    except OSError as error:
        raise SheetError(
            "the sheet cannot be written",
            where=str(target),
            why=error.strerror or str(error),
            fix="ask for write permission to this folder, or copy the slides to one of your own",
        ) from error
    return target


def _row(cells: dict[str, str], folder: Path, base: Path) -> dict[str, str]:
    row = dict(cells)
    for column in {"slide", "annotations"} & set(cells):
        row[column] = _relative(folder / cells[column], base)
    return row


def _relative(path: Path, base: Path) -> str:
    relative = Path(os.path.relpath(path, base)).as_posix()
    # A blank at the start would be stripped on reading, a formula's start would be neutralised.
    return relative if relative[0].isalnum() or relative[0] in "._" else f"./{relative}"


def _sheet_text(rows: list[dict[str, str]]) -> str:
    more = sorted({name for row in rows for name in row} - set(COLUMNS))
    columns = [*COLUMNS, *more]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows([csv_text(row.get(name, "")) for name in columns] for row in rows)
    return stream.getvalue()
