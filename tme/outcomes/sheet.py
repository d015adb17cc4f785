"""``outcomes.csv`` to one `Outcome` a patient; every problem of every row is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tme.cohort.cells import read_date, read_id, read_number, read_text
from tme.cohort.columns import SheetColumns, read_columns
from tme.cohort.reader import read_table
from tme.cohort.rows import CellReader, RawRow, rows_of
from tme.cohort.text import almost, did_you_mean, plain, shown, skeleton, word_key
from tme.errors import Problem, SheetError
from tme.outcomes.types import RESPONSES, Outcome
from tme.safety import comparison_key

HISTOLOGY = "histology"
OUTCOME_COLUMNS = SheetColumns(
    required=("patient_id",),
    optional=(
        "response",
        "pct_change_sld",
        "pfs_days",
        "pfs_event",
        "os_days",
        "os_event",
        "first_dose_date",
        HISTOLOGY,
    ),
    meant={
        "patient": "patient_id",
        "subject": "patient_id",
        "subjectid": "patient_id",
        "bestresponse": "response",
        "bor": "response",
        "recist": "response",
        "pctchange": "pct_change_sld",
        "bestpctchange": "pct_change_sld",
        "pfs": "pfs_days",
        "os": "os_days",
        "firstdose": "first_dose_date",
        "c1d1": "first_dose_date",
        "c1d1date": "first_dose_date",
    },
    begin="write one row per patient under patient_id, response, pfs_days, pfs_event, …",
)
_RESPONSE_WORDS = {
    "completeresponse": "CR",
    "partialresponse": "PR",
    "stabledisease": "SD",
    "progressivedisease": "PD",
    "progression": "PD",
    "notevaluable": "NE",
    "inevaluable": "NE",
    **{name.casefold(): name for name in RESPONSES},
}
_YES = {"true", "t", "yes", "y", "1"}
_NO = {"false", "f", "no", "n", "0"}
_UNKNOWN = {"na", "n/a", "nan", "none", "null", "unknown", "-", ".", "?"}
_WITH_COMMA = re.compile(r"[-+]?\d+,\d+")
DAYS = "it counts days from the first dose"
MOST_DAYS = 36_525.0


@dataclass(frozen=True)
class OutcomeSheet:
    """A checked ``outcomes.csv``.

    Attributes
    ----------
    outcomes : tuple of Outcome
        In the order of the sheet.
    columns : tuple of str
        Those it has, extra ones too.
    notes : tuple of Problem
        What stops nothing: severity ``note`` or ``caution``.
    """

    outcomes: tuple[Outcome, ...]
    columns: tuple[str, ...]
    notes: tuple[Problem, ...] = ()

    def of(self, patient_id: str) -> Outcome | None:
        """The patient's outcome; None if the sheet has no such row."""
        return next((found for found in self.outcomes if found.patient_id == patient_id), None)


def read_outcomes(path: Path, patients: Sequence[str]) -> OutcomeSheet:
    """Read and check the sheet against the patients of the results.

    Parameters
    ----------
    path : Path
        Comma, semicolon or tab; UTF-8; a decimal comma where the separator is a semicolon.
    patients : sequence of str
        ``patient_id`` of the results.

    Raises
    ------
    SheetError
        With every problem, by row: unreadable cells, a patient twice, a name that only looks like one of
        the results, days without event or the reverse, progression after death, nobody in common.
    """
    table = read_table(path, OUTCOME_COLUMNS)
    columns = read_columns(table.header, table.name, OUTCOME_COLUMNS)
    raw, problems = rows_of(table, columns.names)
    problems = [*columns.problems, *problems]
    if not raw:
        problems.append(
            Problem(
                table.name, "the sheet has no rows", "there is nothing to join", "add one row per patient"
            )
        )
    outcomes: list[Outcome] = []
    for one in raw:
        outcome, found = _read_row(one, table.delimiter == ";")
        outcomes.append(outcome)
        problems += found
    numbered = [(one.number, outcome.patient_id) for one, outcome in zip(raw, outcomes, strict=True)]
    problems += [*_twice(numbered), *_look_alikes(numbered, patients)]
    if outcomes and not problems and not {found.patient_id for found in outcomes} & set(patients):
        problems.append(_nobody(table.name, outcomes, patients))
    if problems:
        raise SheetError(problems[0].what, problems=tuple(problems))
    names = tuple(name for name in columns.names if name)
    notes = [*columns.notes, *_strangers(numbered, patients), *_deaths(raw, outcomes)]
    return OutcomeSheet(tuple(outcomes), names, tuple(notes))


def _read_row(raw: RawRow, decimal_comma: bool) -> tuple[Outcome, list[Problem]]:
    reader = CellReader(raw)

    def number(column: str, meaning: str, low: float, high: float) -> float | None:
        def read(text: str) -> float | None:
            return _number(text, column, meaning, (low, high), decimal_comma)

        return reader.value(column, read, None)

    outcome = Outcome(
        patient_id=reader.value("patient_id", lambda text: read_id(text, "patient_id", True), ""),
        response=reader.value("response", _response, ""),
        pct_change_sld=number(
            "pct_change_sld", "it is the best change of the sum of diameters, %", -100, 1e4
        ),
        pfs_days=number("pfs_days", DAYS, 0, MOST_DAYS),
        pfs_event=reader.value("pfs_event", lambda text: _boolean(text, "pfs_event"), None),
        os_days=number("os_days", DAYS, 0, MOST_DAYS),
        os_event=reader.value("os_event", lambda text: _boolean(text, "os_event"), None),
        first_dose_date=reader.value("first_dose_date", lambda text: read_date(text, "first_dose_date"), ""),
        extra=_extra(reader, decimal_comma),
    )
    for error in (*_half_told(raw), *_order_of_days(outcome)):
        reader.add(error)
    return outcome, reader.problems


def _extra(reader: CellReader, decimal_comma: bool) -> dict[str, str]:
    own = [name for name in reader.raw.cells if name == HISTOLOGY or name not in OUTCOME_COLUMNS.known]
    return {name: reader.value(name, _text_of(name, decimal_comma), "") for name in own}


def _text_of(column: str, decimal_comma: bool) -> Callable[[str], str]:
    """A covariate's text: a number with its point, and empty where it says that it is not known."""

    def read(text: str) -> str:
        found = read_text(text, column)
        if found.casefold() in _UNKNOWN:
            return ""
        return found.replace(",", ".") if decimal_comma and _WITH_COMMA.fullmatch(found) else found

    return read


def _response(text: str) -> str:
    if not text:
        return ""
    name = _RESPONSE_WORDS.get(word_key(text))
    if name is None:
        raise SheetError(
            f"response {shown(text)} is not known",
            why=f"known: {', '.join(RESPONSES)}",
            fix=did_you_mean(text, RESPONSES) + "use one of these, or leave it empty",
        )
    return name


def _number(
    text: str, column: str, meaning: str, bounds: tuple[float, float], decimal_comma: bool
) -> float | None:
    if not text:
        return None
    value = read_number(text, column, meaning, "-12.5" if bounds[0] < 0 else "83", decimal_comma)
    if not bounds[0] <= value <= bounds[1]:
        raise SheetError(
            f"{column} {shown(text)} is outside {bounds[0]:g} to {bounds[1]:g}", why=meaning, fix="correct it"
        )
    return value


def _boolean(text: str, column: str) -> bool | None:
    key = text.casefold()
    if not key:
        return None
    if key in _YES | _NO:
        return key in _YES
    raise SheetError(
        f"{column} {shown(text)} is neither true nor false",
        why="it says whether the event was seen; false is censored",
        fix="write true or false",
    )


def _half_told(raw: RawRow) -> Iterable[SheetError]:
    """Days without event or event without days: a patient who would be left out unseen."""
    for name in ("pfs", "os"):
        days, event = (plain(raw.cells.get(f"{name}_{part}", "")) for part in ("days", "event"))
        if bool(days) != bool(event):
            given, lacking = (f"{name}_days", f"{name}_event") if days else (f"{name}_event", f"{name}_days")
            yield SheetError(
                f"{lacking} is empty, {given} is {shown(days or event)}",
                why="one says nothing without the other",
                fix=f"fill in {lacking}, or leave both empty",
            )


def _order_of_days(outcome: Outcome) -> Iterable[SheetError]:
    if outcome.pfs_days is None or outcome.os_days is None:
        return
    if outcome.pfs_days > outcome.os_days:
        yield SheetError(
            f"pfs_days {outcome.pfs_days:g} is after os_days {outcome.os_days:g}",
            why="nobody is known to be free of progression after the last day known alive",
            fix="correct one of them",
        )


def _deaths(raw: Sequence[RawRow], outcomes: Sequence[Outcome]) -> list[Problem]:
    """Deaths on the last day of a progression-free time that is called censored."""
    return [
        Problem(
            f"row {one.number}",
            f"pfs_event is false, but the patient died on that day ({outcome.os_days:g})",
            "progression-free survival ends with progression or death",
            "set pfs_event to true, unless death was left out on purpose",
            "caution",
        )
        for one, outcome in zip(raw, outcomes, strict=True)
        if outcome.os_event and outcome.pfs_event is False and outcome.pfs_days == outcome.os_days
    ]


def _twice(numbered: Sequence[tuple[int, str]]) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for number, patient in numbered:
        if patient and first.setdefault(patient, number) != number:
            problems.append(
                Problem(
                    f"rows {first[patient]} and {number}",
                    f"patient_id {shown(patient)} is given twice",
                    "one of the two outcomes would be lost",
                    "keep one row per patient",
                )
            )
    return problems


def _look_alikes(numbered: Sequence[tuple[int, str]], patients: Sequence[str]) -> list[Problem]:
    """Names that a reader takes for one of the results, and a join does not."""
    looks = {key(patient): patient for patient in patients for key in (comparison_key, skeleton)}
    problems = []
    for number, patient in numbered:
        twin = looks.get(comparison_key(patient)) or looks.get(skeleton(patient))
        if patient and twin is not None and patient not in patients:
            problems.append(
                Problem(
                    f"row {number}",
                    f"patient_id {shown(patient)} looks like {shown(twin)} of the results",
                    "it is not joined, as names are never changed",
                    f"write {shown(twin)}",
                )
            )
    return problems


def _strangers(numbered: Sequence[tuple[int, str]], patients: Sequence[str]) -> list[Problem]:
    near = {almost(patient): patient for patient in patients}
    notes = []
    for number, patient in numbered:
        if patient not in patients:
            other = near.get(almost(patient))
            notes.append(
                Problem(
                    f"row {number}",
                    f"patient_id {shown(patient)} is not in the results",
                    "the row is left out",
                    f"did you mean {shown(other)}?" if other else "",
                    "caution" if other else "note",
                )
            )
    return notes


def _nobody(sheet: str, outcomes: Sequence[Outcome], patients: Sequence[str]) -> Problem:
    return Problem(
        sheet,
        "no patient of the sheet is in the results",
        f"the sheet begins with {shown(outcomes[0].patient_id)}, the results with {shown(patients[0])}"
        if patients
        else "the results have no patient",
        "use the patient_id of the sample sheet, or name the folder of these patients' results",
    )
