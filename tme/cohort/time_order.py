"""Time does not run back: dates and days of a lesion's biopsies against the order of its time points."""

from __future__ import annotations

from datetime import date
from itertools import combinations

from tme.cohort.rules import Rows, grouped, rows_named
from tme.cohort.text import shown
from tme.cohort.types import SlideRow
from tme.errors import Problem


def time_order(rows: Rows, timepoints: tuple[str, ...]) -> list[Problem]:
    """Earlier time points of a lesion dated on or after later ones; excluded rows do not count.

    A row without a lesion may be paired with any lesion of its patient.
    """
    problems: list[Problem] = []
    counted = [row for row in rows if not row.exclude and row.patient_id and row.timepoint]
    for mine in grouped(counted, lambda row: row.patient_id).values():
        lesions = {row.lesion_id for row in mine} - {""} or {""}
        for lesion in sorted(lesions):
            problems += _within_lesion([row for row in mine if row.lesion_id in ("", lesion)], timepoints)
    return list(dict.fromkeys(problems))


def _within_lesion(rows: Rows, timepoints: tuple[str, ...]) -> list[Problem]:
    problems: list[Problem] = []
    at = grouped(rows, lambda row: row.timepoint)
    present = [name for name in timepoints if name in at]
    for earlier, later in combinations(present, 2):
        for column in ("biopsy_date", "biopsy_day"):
            problems += _not_after(at[earlier], at[later], column)
    return problems


def _not_after(earlier: Rows, later: Rows, column: str) -> list[Problem]:
    before = [(day, row) for row in earlier if (day := _day(row, column)) is not None]
    after = [(day, row) for row in later if (day := _day(row, column)) is not None]
    if not before or not after:
        return []
    last, one = max(before, key=lambda item: item[0])
    first, other = min(after, key=lambda item: item[0])
    if last < first:
        return []
    how = "is the same as" if last == first else "lies after"
    return [
        Problem(
            rows_named(sorted([one, other], key=lambda row: row.sheet_row)),
            f"{column} {getattr(one, column)} of {one.timepoint} {how} {getattr(other, column)} of "
            f"{other.timepoint} (patient {shown(one.patient_id)})",
            "before and after would be confused, and a change would have the wrong sign or none",
            f"correct the {column} or the timepoint of one row",
        )
    ]


def _day(row: SlideRow, column: str) -> int | None:
    if column == "biopsy_day":
        return row.biopsy_day
    return date.fromisoformat(row.biopsy_date).toordinal() if row.biopsy_date else None


def dates_and_days(rows: Rows) -> list[Problem]:
    """Rows of one patient whose date and day from first dose do not agree on when the first dose was."""
    problems = []
    for mine in grouped(rows, lambda row: row.patient_id).values():
        both = [row for row in mine if row.biopsy_date and row.biopsy_day is not None]
        by_dose = grouped(both, _first_dose)
        if len(by_dose) > 1:
            first, second = [same[0] for same in by_dose.values()][:2]
            problems.append(
                Problem(
                    rows_named([first, second]),
                    "biopsy_date and biopsy_day do not agree: they put the first dose of patient "
                    f"{shown(first.patient_id)} on different days ({_dose_day(first)}, {_dose_day(second)})",
                    "intervals and survival would depend on which column is read",
                    "correct one of them, or give only one of the two columns",
                )
            )
    return problems


def _first_dose(row: SlideRow) -> int:
    """Ordinal of the day of the first dose; asked only of rows with both columns."""
    return date.fromisoformat(row.biopsy_date).toordinal() - (row.biopsy_day or 0)


def _dose_day(row: SlideRow) -> str:
    return date.fromordinal(max(1, _first_dose(row))).isoformat()
