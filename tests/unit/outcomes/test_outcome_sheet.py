"""outcomes.csv is read as it is written, and every problem is told with row, what, why and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tme.errors import SheetError
from tme.outcomes.sheet import OutcomeSheet, read_outcomes

HEADER = "patient_id,response,pct_change_sld,pfs_days,pfs_event,os_days,os_event,histology,age\n"
PATIENTS = ("P01", "007", "P03")


def read(tmp_path: Path, text: str, patients: tuple[str, ...] = PATIENTS) -> OutcomeSheet:
    path = tmp_path / "outcomes.csv"
    path.write_text(text, encoding="utf-8")
    return read_outcomes(path, patients)


def test_every_cell_becomes_what_it_means(tmp_path: Path) -> None:
    sheet = read(
        tmp_path, HEADER + "007,partial response,-42.5,412,0,655,FALSE,leiomyosarcoma,61\nP01,,,,,,,,\n"
    )
    found = sheet.of("007")
    assert (found.response, found.responder, found.pct_change_sld) == ("PR", True, -42.5)
    assert (found.pfs_days, found.pfs_event, found.os_days, found.os_event) == (412, False, 655, False)
    assert dict(found.extra) == {"histology": "leiomyosarcoma", "age": "61"}
    assert sheet.of("P01").responder is None
    assert sheet.of("7") is None
    assert any("'age' is not known" in str(note) for note in sheet.notes)


def test_a_semicolon_sheet_may_have_decimal_commas(tmp_path: Path) -> None:
    sheet = read(tmp_path, "\ufeffpatient_id;pct_change_sld\nP01;−12,5\n")
    assert sheet.of("P01").pct_change_sld == -12.5


def test_covariates_are_numbers_and_unknown_ones_empty(tmp_path: Path) -> None:
    sheet = read(tmp_path, "patient_id;age;sex;centre\nP01;61,3;NA;1,2,3\n007;58,5;f;n/a\n")
    assert dict(sheet.of("P01").extra) == {"age": "61.3", "sex": "", "centre": "1,2,3"}
    assert dict(sheet.of("007").extra) == {"age": "58.5", "sex": "f", "centre": ""}


def test_a_death_that_ends_no_progression_free_time_is_a_caution(tmp_path: Path) -> None:
    sheet = read(tmp_path, HEADER + "P01,PD,,40,false,40,true,,\n007,PD,,40,false,41,true,,\n")
    (caution,) = [note for note in sheet.notes if note.severity == "caution"]
    assert "row 2 · pfs_event is false, but the patient died on that day (40)" in str(caution)


def test_a_column_in_capitals_is_taken_for_itself(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="did you mean 'os_days'"):
        read(tmp_path, "patient_id,OS_DAYS,os_event\nP01,5,true\n")


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        ("P01,PX,,,,,,,", "row 2 · response 'PX' is not known · known: CR, PR, SD, PD, NE"),
        ("P01,PR,-142,,,,,,", "pct_change_sld '-142' is outside -100 to 10000"),
        ("P01,PR,lots,,,,,,", "pct_change_sld 'lots' is not a number"),
        ("P01,PR,,12 months,true,,,,", "pfs_days '12 months' is not a number"),
        ("P01,PR,,-3,true,,,,", "pfs_days '-3' is outside 0 to 36525"),
        ("P01,PR,,412,maybe,,,,", "pfs_event 'maybe' is neither true nor false"),
        ("P01,PR,,412,,,,,", "pfs_event is empty, pfs_days is '412' · one says nothing without the other"),
        ("P01,PR,,,true,,,,", "pfs_days is empty, pfs_event is 'true'"),
        ("P01,PR,,412,true,300,true,,", "pfs_days 412 is after os_days 300"),
        (",PR,,,,,,,", "patient_id is empty"),
        ("p01,PR,,,,,,,", "patient_id 'p01' looks like 'P01' of the results"),
        ("P01,PR,,,,,,,\nP01,PD,,,,,,,", "rows 2 and 3 · patient_id 'P01' is given twice"),
        ("P01,PR,,,,,,,,,x", "the cell 'x' belongs to no column"),
        ("X9,PR,,,,,,,", "no patient of the sheet is in the results"),
        ("", "the sheet has no rows"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, row: str, meant: str) -> None:
    with pytest.raises(SheetError) as caught:
        read(tmp_path, HEADER + row + "\n")
    assert meant in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_problems_are_told_at_once_and_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(SheetError) as caught:
        read(tmp_path, "patient_id,responce,pfs_days\nP01,PR,x\np01,PR,3\n")
    lines = str(caught.value).splitlines()
    assert any("did you mean 'response'" in line for line in lines)
    assert sum(line.startswith("row") for line in lines) >= 3


def test_who_is_not_in_the_results_is_a_note_and_a_slip_a_caution(tmp_path: Path) -> None:
    sheet = read(tmp_path, "patient_id,response\nP01,PR\nX9,PR\nP3,PD\n")
    told = [str(note) for note in sheet.notes]
    assert [note.severity for note in sheet.notes] == ["note", "caution"]
    assert "'X9' is not in the results" in told[0]
    assert "did you mean 'P03'?" in told[1]


def test_a_date_that_could_be_read_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="first_dose_date '03/04/2026'"):
        read(tmp_path, "patient_id,first_dose_date\nP01,03/04/2026\n")
