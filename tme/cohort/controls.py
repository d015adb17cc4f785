"""Sheet of control slides to checked rows: every slide is a control, no patient or time point needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tme.cohort.columns import KNOWN, SAMPLE_SHEET, SheetColumns, read_columns
from tme.cohort.load import Fingerprint, first_row, same_content
from tme.cohort.reader import read_table
from tme.cohort.rows import RawRow, RowContext, read_row, rows_of
from tme.cohort.slide_ids import repeated_ids
from tme.cohort.types import SlideRow
from tme.cohort.words import Vocabulary
from tme.config import CohortSettings
from tme.errors import Problem, SheetError
from tme.safety import slug

READ = ("stain", "slide", "slide_id", "batch", "mpp", "sha256", "exclude")
CONTROL_SHEET = SheetColumns(
    required=("stain", "slide"),
    optional=tuple(name for name in KNOWN if name not in ("stain", "slide")),
    meant=SAMPLE_SHEET.meant,
    innocent=SAMPLE_SHEET.innocent,
    begin="write one row per control slide under stain, slide and batch",
)


def read_controls(
    sheet: Path, settings: CohortSettings, stains: Mapping[str, str], fingerprints: Fingerprint | None = None
) -> tuple[SlideRow, ...]:
    """Read and check a sheet of control slides.

    Of a sample sheet's columns `READ` are read, the others may stand there and say nothing: what is
    calibrated does not depend on who was biopsied when.

    Parameters
    ----------
    sheet : Path
    settings : CohortSettings
    stains : mapping
        As for `tme.cohort.read_cohort`.
    fingerprints : callable, optional
        As for `tme.cohort.read_cohort`.

    Returns
    -------
    tuple of SlideRow
        Those that are not excluded, in the order of the sheet; ``patient_id`` and ``timepoint`` are empty.

    Raises
    ------
    SheetError
        With every problem of the sheet, ordered by row.
    """
    path = Path(os.path.abspath(sheet))
    table = read_table(path, CONTROL_SHEET)
    columns = read_columns(table.header, table.name, CONTROL_SHEET)
    raw, problems = rows_of(table, columns.names)
    problems = [*columns.problems, *problems]
    context = RowContext(path.parent, Vocabulary.of(settings, stains), table.delimiter == ";")
    rows = []
    for one in raw:
        kept = {name: cell for name, cell in one.cells.items() if name in READ}
        row, found = read_row(RawRow(one.number, kept), context)
        rows.append(row)
        problems += found
    problems += [*repeated_ids(rows), *same_content(rows, raw, fingerprints)]
    included = [row for row in rows if not row.exclude]
    if not included and not problems:
        problems.append(
            Problem(table.name, "there is no control slide", "no row is left", "add one row per slide")
        )
    if problems:
        raise SheetError(problems[0].what, problems=tuple(sorted(problems, key=first_row)))
    return tuple(_with_ids(included))


def _with_ids(rows: list[SlideRow]) -> list[SlideRow]:
    """Rows with an id each: the sheet's own, else a slug of the file's name, numbered where it is taken."""
    taken = {row.slide_id.casefold() for row in rows if row.slide_id}
    finished = []
    for row in rows:
        name = row.slide_id
        if not name:
            stem = slug(row.path.stem, "control")
            numbers = (f"{stem}-{number}" if number > 1 else stem for number in range(1, len(rows) + 2))
            name = next(wanted for wanted in numbers if wanted.casefold() not in taken)
            taken.add(name.casefold())
        finished.append(replace(row, slide_id=name))
    return finished
