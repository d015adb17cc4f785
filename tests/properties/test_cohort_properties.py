"""What holds for any sheet: text comes back as it went in, and no two slides share a folder."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tme.cohort import load_cohort, write_sheet
from tme.cohort.text import edits, plain, skeleton
from tme.config import CohortSettings
from tme.errors import SheetError
from tme.safety import comparison_key, csv_text, is_safe_id

STAINS = {"he": "HE", "cd8": "CD8"}
DIRECTION_MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters=DIRECTION_MARKS)
    | st.sampled_from("=+-@'\",;_ ./\\|$`{}<>АВаPp01"),
    min_size=1,
    max_size=20,
)


def written(rows: list[list[str]], delimiter: str = ",") -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue().encode("utf-8")


def load(rows: list[list[str]], delimiter: str = ",") -> list[tuple[str, str, str, dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        for row in rows[1:]:
            (Path(folder) / row[3]).write_text(row[3])
        sheet = Path(folder) / "cohort.csv"
        sheet.write_bytes(written(rows, delimiter))
        cohort = load_cohort(sheet, CohortSettings(), STAINS)
    return [(row.patient_id, row.lesion_id, row.slide_id, row.extra) for row in cohort.slides]


@given(TEXT, TEXT, st.sampled_from([",", ";", "\t"]))
def test_text_comes_back_as_it_went_in(patient: str, note: str, delimiter: str) -> None:
    head = ["patient_id", "timepoint", "stain", "slide", "remark"]
    rows = [head, [csv_text(patient), "pre", "HE", "a.svs", csv_text(note)]]
    if not patient.strip():
        with pytest.raises(SheetError, match="patient_id is empty"):
            load(rows, delimiter)
        return
    ((found, _, slide_id, extra),) = load(rows, delimiter)
    assert found == patient.strip()
    assert extra["remark"] == note.strip()
    assert is_safe_id(slide_id)


@given(st.lists(st.tuples(TEXT, st.just("") | TEXT), min_size=2, max_size=6, unique=True))
def test_ids_are_injective_or_refused(pairs: list[tuple[str, str]]) -> None:
    head = ["patient_id", "timepoint", "stain", "slide", "lesion_id"]
    rows = [
        [csv_text(patient), "pre", "HE", f"{number}.svs", csv_text(lesion)]
        for number, (patient, lesion) in enumerate(pairs)
    ]
    try:
        found = load([head, *rows])
    except SheetError:
        return
    assert len({slide_id.casefold() for _, _, slide_id, _ in found}) == len(pairs)
    assert all(is_safe_id(slide_id) for _, _, slide_id, _ in found)
    patients = {patient for patient, *_ in found}
    assert len({comparison_key(patient) for patient in patients}) == len(patients)


@settings(max_examples=200)
@given(TEXT, TEXT)
def test_two_patients_stay_two_or_are_refused(one: str, other: str) -> None:
    head = ["patient_id", "timepoint", "stain", "slide"]
    rows = [[csv_text(one), "pre", "HE", "1.svs"], [csv_text(other), "on", "HE", "2.svs"]]
    try:
        found = {patient for patient, *_ in load([head, *rows])}
    except SheetError:
        return
    assert len(found) == (1 if one.strip() == other.strip() else 2)


@given(st.text(max_size=30))
def test_the_formula_guard_is_undone_exactly_where_it_was_put(text: str) -> None:
    bare = text.strip()
    assert plain(csv_text(bare)) == bare
    # What no writer guarded is left alone.
    if not (bare.startswith("'") and csv_text(bare[1:]) == bare):
        assert plain(text) == bare


@given(TEXT)
def test_looking_alike_holds_for_what_it_made_alike(text: str) -> None:
    assert skeleton(skeleton(text)) == skeleton(text)
    assert skeleton(f"  {text}\u200b ") == skeleton(text)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True))
def test_looking_alike_ignores_case_and_script(text: str) -> None:
    cyrillic = text.translate(str.maketrans("ABCEHKMOPTXaceopxy", "АВСЕНКМОРТХасеорху"))
    assert skeleton(text.swapcase()) == skeleton(cyrillic) == skeleton(text)


@given(st.text("abcd", max_size=8), st.text("abcd", max_size=8))
def test_edits_are_a_distance(one: str, other: str) -> None:
    assert edits(one, other) == edits(other, one)
    assert (edits(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edits(one, other) <= max(len(one), len(other))


@example(["'-"])
@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9 =+@'é中-]{1,10}", fullmatch=True), min_size=1, max_size=5, unique=True
    )
)
def test_written_sheets_load_like_the_folder_they_are_made_of(patients: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for patient in patients:
            (folder / f"{patient}_baseline_CD8.svs").write_text(patient)
        from_names = outcome(folder)
        write_sheet(folder, CohortSettings(), STAINS)
        assert outcome(folder) == from_names


def outcome(folder: Path) -> object:
    """The slides, or the problems: a refusal is an answer too."""
    try:
        return load_cohort(folder, CohortSettings(), STAINS).slides
    except SheetError as refused:
        return refused.problems
