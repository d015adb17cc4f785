"""Sample sheet, or a folder of slides, to a checked `Cohort`: all problems are told at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tme.cohort.columns import read_columns
from tme.cohort.files import check_slide
from tme.cohort.folder import closed_folders, folder_notes, read_names, scan
from tme.cohort.look_alikes import almost_alike, look_alikes
from tme.cohort.reader import read_table
from tme.cohort.rows import RawRow, RowContext, read_row, rows_of
from tme.cohort.rules import mixed_lesions, same_slides, shared_annotations
from tme.cohort.slide_ids import repeated_ids, with_ids
from tme.cohort.time_order import dates_and_days, time_order
from tme.cohort.types import Cohort, SlideRow
from tme.cohort.words import Vocabulary
from tme.cohort.write import SHEET_NAME
from tme.config import CohortSettings
from tme.errors import Problem, SheetError, TmeError
from tme.safety import csv_text

Fingerprint = Callable[[Path], str]


@dataclass(frozen=True)
class Reading:
    """A sheet as far as it could be read.

    Attributes
    ----------
    cohort : Cohort
        Every row; a cell with a problem is empty in it. Only without problems is it fit for a run.
    problems : tuple of Problem
        Ordered by row.
    """

    cohort: Cohort
    problems: tuple[Problem, ...]

    def slides(self) -> tuple[SlideRow, ...]:
        """Rows whose slide can be looked at, whatever else is wrong: included, of a known stain, there."""
        return tuple(row for row in self.cohort.included() if row.stain and _is_there(row))


def load_cohort(
    source: Path,
    settings: CohortSettings,
    stains: Mapping[str, str],
    fingerprints: Fingerprint | None = None,
) -> Cohort:
    """`read_cohort`, for a run.

    Raises
    ------
    SheetError
        With every problem of the sheet, ordered by row.
    """
    reading = read_cohort(source, settings, stains, fingerprints)
    if reading.problems:
        raise SheetError(reading.problems[0].what, problems=reading.problems)
    return reading.cohort


def read_cohort(
    source: Path,
    settings: CohortSettings,
    stains: Mapping[str, str],
    fingerprints: Fingerprint | None = None,
) -> Reading:
    """Read and check a sample sheet, or the names of a folder's slides.

    Parameters
    ----------
    source : Path
        The sheet, or the folder; a ``cohort.csv`` in the folder wins over the slides' names.
    settings : CohortSettings
    stains : mapping
        Accepted spelling -> registered stain; spellings are compared without case and punctuation.
    fingerprints : callable, optional
        Cheap hash of a slide's content, to find the same slide under two names; files with one
        fingerprint are then compared byte by byte. A slide it raises OSError or TmeError for is
        left to its own preflight. Without it only paths and ``sha256`` are compared.

    Returns
    -------
    Reading
        Rows in the order of the sheet (of the sorted paths, for a folder), with notes.

    Raises
    ------
    SheetError
        If there is no row to read.
    """
    words = Vocabulary.of(settings, stains)
    path = Path(os.path.abspath(source))
    notes = []
    if path.is_dir() and not (path / SHEET_NAME).is_file():
        return _from_folder(path, settings, words, fingerprints)
    if path.is_dir():
        path = path / SHEET_NAME
        notes = [
            Problem(SHEET_NAME, "the sheet in this folder is read, not the slides' names", severity="note")
        ]
    table = read_table(path)
    columns = read_columns(table.header, table.name)
    raw, problems = rows_of(table, columns.names)
    if not raw and not problems:
        problems = [
            Problem(table.name, "the sheet has no rows", "there is nothing to do", "add one row per slide")
        ]
    context = RowContext(path.parent, words, table.delimiter == ";")
    return _checked(
        raw, context, settings, fingerprints, [*columns.problems, *problems], [*notes, *columns.notes]
    )


def _from_folder(
    folder: Path, settings: CohortSettings, words: Vocabulary, fingerprints: Fingerprint | None
) -> Reading:
    found = scan(folder)
    named = read_names(folder, found, settings, words)
    left_out = [slide.problem for slide in named if slide.problem]
    # A row's cells are read as those of a sheet, where a leading apostrophe may be a guard; a file
    # name has no guards, so what looks like one is guarded itself.
    fitting = [_guarded(slide.row) for slide in named if slide.problem is None]
    if not fitting:
        summary = Problem(
            folder.name or str(folder),
            "no slide's name says patient, timepoint and stain"
            if named
            else "there is no slide in this folder",
            f"{len(named)} slides found",
            "name them like P01_baseline_CD8.svs, set cohort.name_pattern, or write a sheet with `tme init`",
        )
        raise SheetError(summary.what, problems=(summary, *left_out, *closed_folders(found)))
    notes = [*left_out, *folder_notes(found)]
    return _checked(fitting, RowContext(folder, words), settings, fingerprints, [], notes)


def _checked(
    raw: list[RawRow],
    context: RowContext,
    settings: CohortSettings,
    fingerprints: Fingerprint | None,
    problems: list[Problem],
    notes: list[Problem],
) -> Reading:
    rows: list[SlideRow] = []
    by_row: list[Problem] = []
    for one in raw:
        row, found = read_row(one, context)
        rows.append(row)
        by_row += found
    by_row += [*repeated_ids(rows), *look_alikes(rows), *time_order(rows, settings.timepoints)]
    by_row += [*dates_and_days(rows), *same_content(rows, raw, fingerprints)]
    header = [problem for problem in problems if not problem.where.startswith("row")]
    by_row += [problem for problem in problems if problem.where.startswith("row")]
    cautions = [*almost_alike(rows), *mixed_lesions(rows), *shared_annotations(rows)]
    cohort = Cohort(tuple(with_ids(rows)), settings.timepoints, (*notes, *sorted(cautions, key=first_row)))
    return Reading(cohort, (*header, *sorted(by_row, key=first_row)))


def same_content(rows: list[SlideRow], raw: list[RawRow], fingerprints: Fingerprint | None) -> list[Problem]:
    """Rows that point at the same slide; rows that name none are left to their own problem."""
    given = [row for row, one in zip(rows, raw, strict=True) if one.cells.get("slide", "").strip()]
    if fingerprints is None:
        return same_slides(given, None)

    def fingerprint(row: SlideRow) -> str:
        # A slide that cannot be read is told by its own job, and stops no other.
        try:
            return fingerprints(row.path)
        except (OSError, TmeError):
            return ""

    return same_slides(given, fingerprint)


def _is_there(row: SlideRow) -> bool:
    try:
        check_slide(row.path, row.path.name)
    except (SheetError, OSError):
        return False
    return True


def first_row(problem: Problem) -> int:
    """The first row a problem names, to order problems by; 0 where it names none."""
    digits = "".join(c if c.isdigit() else " " for c in problem.where).split()
    return int(digits[0]) if digits else 0


def _guarded(row: RawRow) -> RawRow:
    return RawRow(row.number, {name: csv_text(text) for name, text in row.cells.items()})
