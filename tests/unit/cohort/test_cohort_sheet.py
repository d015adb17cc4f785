"""What sheets are accepted, and what becomes of their cells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tme.cohort import Cohort, load_cohort
from tme.config import CohortSettings
from tme.errors import SheetError, SlideError
from tme.safety import is_safe_id

STAINS = {"he": "HE", "h&e": "HE", "cd3": "CD3", "cd8": "CD8", "cd31": "CD31", "Ki-67": "KI67"}
HEAD = "patient_id,timepoint,stain,slide"
Loader = Callable[..., Cohort]

HOSTILE = [
    "x;touch P",
    "../evil",
    "..\\evil",
    "/etc/passwd",
    "C:\\Windows",
    "<script>alert(1)</script>",
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "{x}",
    "{slide_id}",
    "$(touch P)",
    "`touch P`",
    "a b",
    "a'b",
    'say "hi"',
    "*",
    "%2e%2e%2f",
    "-rf",
    "--output",
    "CON",
    "..",
    ".",
    "~",
    "'07",
    "中" * 64,
    "Ω≈ç√",
    "עברית",
    "👩‍🔬",
    "a" * 64,
    "_",
    "P\u00a001",
]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Write a sheet beside slides a.svs ... f.svs and load it."""
    for number, name in enumerate("abcdef"):
        (tmp_path / f"{name}.svs").write_bytes(bytes([number]))

    def loader(content: str | bytes, settings: CohortSettings | None = None, **more: object) -> Cohort:
        sheet = tmp_path / "cohort.csv"
        sheet.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_cohort(sheet, settings or CohortSettings(), STAINS, **more)  # type: ignore[arg-type]

    return loader


def test_every_column_arrives(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("{}")
    digest = "AB" * 32
    cohort = load(
        "patient_id,timepoint,stain,slide,slide_id,lesion_id,specimen_id,block_id,specimen_type,biopsy_date,"
        f"biopsy_day,mpp,annotations,batch,sha256,exclude,site\n"
        f"P01,Pre,h & e,a.svs,s_1,L1,S1,B1,Core,2024-03-04,-3,0.5,a.geojson,B7,{digest},torn,Bern\n"
    )
    (row,) = cohort.slides
    assert (row.patient_id, row.timepoint, row.stain, row.slide_id) == ("P01", "baseline", "HE", "s_1")
    assert (row.lesion_id, row.specimen_id, row.block_id, row.specimen_type) == ("L1", "S1", "B1", "core")
    assert (row.biopsy_date, row.biopsy_day, row.mpp, row.batch) == ("2024-03-04", -3, 0.5, "B7")
    assert row.path == tmp_path / "a.svs"
    assert row.annotations == tmp_path / "a.geojson"
    assert row.sha256 == digest.lower()
    assert row.exclude == "torn"
    assert row.extra == {"site": "Bern"}
    assert row.sheet_row == 2
    assert cohort.included() == ()
    assert [note.severity for note in cohort.notes] == ["note"]
    assert "'site'" in cohort.notes[0].what


def test_empty_cells_are_empty(load: Loader) -> None:
    (row,) = load(f"{HEAD},mpp,biopsy_day,biopsy_date,annotations,exclude\nP01,pre,HE,a.svs,,,,,\n").slides
    assert row.mpp is None
    assert row.biopsy_day is None
    assert row.annotations is None
    assert (row.biopsy_date, row.exclude, row.batch, row.extra) == ("", "", "", {})


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_marks_change_nothing(
    load: Loader, delimiter: str, newline: str, mark: str
) -> None:
    lines = [["patient_id", "timepoint", "stain", "slide", "batch"], [], ["Zoë", "on", "CD8", "a.svs", "x"]]
    (row,) = load((mark + newline.join(delimiter.join(line) for line in lines) + newline).encode()).slides
    assert (row.patient_id, row.timepoint, row.batch, row.sheet_row) == ("Zoë", "on_treatment", "x", 3)


def test_rows_are_counted_as_a_spreadsheet_does(load: Loader) -> None:
    cohort = load(f'{HEAD},note\n\nP01,pre,HE,a.svs,"two\nlines"\n,,,,\nP01,on,HE,b.svs,\n')
    assert [row.sheet_row for row in cohort.slides] == [3, 5]
    assert cohort.slides[0].extra == {"note": "two\nlines"}


def test_excels_separator_line_is_understood(load: Loader) -> None:
    (row,) = load("sep=;\r\npatient_id;timepoint;stain;slide\r\nP,1;pre;HE;a.svs\r\n").slides
    assert row.patient_id == "P,1"


def test_decimal_comma_only_in_semicolon_sheets(load: Loader) -> None:
    (row,) = load("patient_id;timepoint;stain;slide;mpp\nP01;pre;HE;a.svs;0,2521\n").slides
    assert row.mpp == 0.2521
    with pytest.raises(SheetError, match="with a point"):
        load(f'{HEAD},mpp\nP01,pre,HE,a.svs,"0,2521"\n')


@pytest.mark.parametrize("text", ["007", "7", "1E5", "NA", "NaN", "TRUE", "null", "0.50", "1,000", "２"])
def test_text_stays_text(load: Loader, text: str) -> None:
    (row,) = load(f'{HEAD},batch,what\n"{text}",pre,HE,a.svs,"{text}","{text}"\n').slides
    assert (row.patient_id, row.batch, row.extra["what"]) == (text, text, text)


def test_007_is_not_7(load: Loader) -> None:
    cohort = load(f"{HEAD}\n007,pre,HE,a.svs\n7,pre,HE,b.svs\n")
    assert cohort.patients() == ("007", "7")
    assert [row.slide_id for row in cohort.slides] == ["007_baseline_HE", "7_baseline_HE"]
    assert [note.severity for note in cohort.notes] == ["caution"]


def test_cells_are_stripped_and_the_formula_guard_is_undone(load: Loader) -> None:
    cohort = load(f"{HEAD}\n  P01 ,pre,HE,a.svs\n'=1+1,pre,HE,b.svs\n''07,pre,HE,c.svs\n'07,pre,CD8,d.svs\n")
    assert cohort.patients() == ("P01", "=1+1", "'07")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Baseline", "baseline"),
        ("C1D1", "baseline"),
        ("c2d1", "on_treatment"),
        ("ON TREATMENT", "on_treatment"),
        ("on-treatment", "on_treatment"),
        ("\u200bScreening", "baseline"),
    ],
)
def test_timepoint_words(load: Loader, written: str, name: str) -> None:
    assert load(f"{HEAD}\nP01,{written},HE,a.svs\n").slides[0].timepoint == name


@pytest.mark.parametrize(
    ("written", "name"), [("H&E", "HE"), ("H.E.", "HE"), ("cd-8", "CD8"), ("ki 67", "KI67"), ("CD31", "CD31")]
)
def test_stain_words(load: Loader, written: str, name: str) -> None:
    assert load(f"{HEAD}\nP01,pre,{written},a.svs\n").slides[0].stain == name


def test_timepoints_come_from_the_configuration(load: Loader) -> None:
    settings = CohortSettings(timepoints=("start", "week 6", "end"), synonyms={"post": "end", "x": "gone"})
    cohort = load(f"{HEAD}\nP01,post,HE,a.svs\nP01,Week_6,HE,b.svs\n", settings)
    assert [row.timepoint for row in cohort.slides] == ["end", "week 6"]
    assert cohort.timepoints == ("start", "week 6", "end")
    with pytest.raises(SheetError, match="timepoint 'x' is not known"):
        load(f"{HEAD}\nP01,x,HE,a.svs\n", settings)


def test_further_slides_are_numbered(load: Loader) -> None:
    cohort = load(
        f"{HEAD},lesion_id,slide_id\nP01,pre,HE,a.svs,,\nP01,pre,HE,b.svs,,\nP01,pre,HE,c.svs,,p01_BASELINE_he-3\n"
        "P01,pre,HE,d.svs,,\nP01,pre,HE,e.svs,L 1,\n"
    )
    ids = [row.slide_id for row in cohort.slides]
    assert ids[:4] == ["P01_baseline_HE", "P01_baseline_HE-2", "p01_BASELINE_he-3", "P01_baseline_HE-4"]
    assert ids[4].startswith("P01_L-1-")
    assert cohort.slide("p01_BASELINE_he-3").path.name == "c.svs"
    with pytest.raises(KeyError):
        cohort.slide("nobody")


def test_ids_of_different_patients_do_not_depend_on_row_order(load: Loader) -> None:
    one, other = "P01_L1,,pre,HE,a.svs", "P01,L1,pre,HE,b.svs"
    head = "patient_id,lesion_id,timepoint,stain,slide"
    forward = {row.path.name: row.slide_id for row in load(f"{head}\n{one}\n{other}\n").slides}
    backward = {row.path.name: row.slide_id for row in load(f"{head}\n{other}\n{one}\n").slides}
    assert forward == backward
    assert len(set(forward.values())) == 2


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("column", ["patient_id", "lesion_id"])
def test_hostile_ids_are_kept_as_text_and_never_name_a_folder(load: Loader, text: str, column: str) -> None:
    quoted = '"' + text.replace('"', '""') + '"'
    patient, lesion = (quoted, "L1") if column == "patient_id" else ("P01", quoted)
    cohort = load(f"{HEAD},lesion_id\n{patient},pre,HE,a.svs,{lesion}\n{patient},on,CD31,b.svs,{lesion}\n")
    assert {getattr(row, column) for row in cohort.slides} == {text}
    ids = [row.slide_id for row in cohort.slides]
    assert all(is_safe_id(slide_id) for slide_id in ids)
    assert len({slide_id.casefold() for slide_id in ids}) == 2


@pytest.mark.parametrize("text", [name for name in HOSTILE if "/" not in name and name not in {"..", "."}])
def test_slides_may_have_any_name(load: Loader, tmp_path: Path, text: str) -> None:
    name = f"{text[:40]}.svs"
    (tmp_path / name).write_bytes(b"slide")
    quoted = name.replace('"', '""')
    assert load(f'{HEAD}\nP01,pre,HE,"{quoted}"\n').slides[0].path == tmp_path / name


def test_paths_with_blanks_accents_and_folders(load: Loader, tmp_path: Path) -> None:
    (tmp_path / " blank .svs").write_bytes(b"1")
    (tmp_path / "Jose\u0301.svs").write_bytes(b"2")
    (tmp_path / "image.zarr").mkdir()
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.2.840.1").write_bytes(bytes(128) + b"DICM")
    cohort = load(
        f'{HEAD}\nP01,pre,HE," blank .svs"\nP02,pre,HE,Jos\u00e9.svs\nP03,pre,HE,image.zarr\n'
        f"P04,pre,HE,series\nP05,pre,HE,{tmp_path}/a.svs\n"
    )
    assert all(row.path.exists() for row in cohort.slides)


def test_a_path_no_system_can_hold_is_a_missing_file(load: Loader) -> None:
    with pytest.raises(SheetError, match="does not exist"):
        load(f"{HEAD}\nP01,pre,HE,{'x' * 5000}.svs\n")


def test_excluded_slides_may_be_missing_repeated_or_misdated(load: Loader) -> None:
    cohort = load(
        f"{HEAD},biopsy_date,exclude,annotations\nP01,pre,HE,a.svs,2024-02-01,,\n"
        "P01,on,HE,a.svs,2024-01-01,same scan,\nP01,on,HE,lost.svs,,never scanned,lost.geojson\n"
    )
    assert [bool(row.exclude) for row in cohort.slides] == [False, True, True]
    assert len(cohort.included()) == 1


def test_links_to_one_file_are_the_same_file(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "link.svs").symlink_to(tmp_path / "a.svs")
    os.link(tmp_path / "b.svs", tmp_path / "hard.svs")
    with pytest.raises(SheetError) as raised:
        load(f"{HEAD}\nP01,pre,HE,a.svs\nP01,on,HE,link.svs\nP02,pre,HE,b.svs\nP02,on,HE,hard.svs\n")
    assert [problem.where for problem in raised.value.problems] == ["rows 2 and 3", "rows 4 and 5"]


def test_a_fingerprint_is_confirmed_byte_by_byte(load: Loader, tmp_path: Path) -> None:
    sheet = f"{HEAD}\nP01,pre,HE,a.svs\nP01,on,HE,b.svs\nP02,pre,HE,c.svs\nP02,on,HE,d.svs\n"
    assert len(load(sheet, fingerprints=lambda path: "all alike").slides) == 4
    (tmp_path / "d.svs").write_bytes((tmp_path / "b.svs").read_bytes())
    with pytest.raises(SheetError) as raised:
        load(sheet, fingerprints=lambda path: "all alike")
    assert [problem.where for problem in raised.value.problems] == ["rows 3 and 5"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), SlideError("broken")])
def test_a_slide_that_cannot_be_read_stops_no_other(load: Loader, error: Exception) -> None:
    def refuse(path: Path) -> str:
        if path.name != "a.svs":
            raise error
        return path.name

    assert (
        len(load(f"{HEAD}\nP01,pre,HE,a.svs\nP01,on,HE,b.svs\nP02,on,HE,c.svs\n", fingerprints=refuse).slides)
        == 3
    )


def test_two_files_of_one_slide_are_the_same_slide(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "level-0.dcm").write_bytes(b"large")
    (tmp_path / "level-1.dcm").write_bytes(b"small one")
    with pytest.raises(SheetError, match="have the same content"):
        load(
            f"{HEAD}\nP01,pre,HE,level-0.dcm\nP01,on,HE,level-1.dcm\n",
            fingerprints=lambda path: "of the series",
        )


def test_dates_may_differ_within_a_timepoint_and_between_lesions(load: Loader) -> None:
    cohort = load(
        f"{HEAD},lesion_id,biopsy_date\nP01,pre,HE,a.svs,L1,2024-01-01\nP01,pre,CD8,b.svs,L1,2024-01-05\n"
        "P01,on,HE,c.svs,L1,2024-01-06\nP01,on,HE,d.svs,L2,2024-01-02\nP02,pre,HE,e.svs,,2024-05-01\n"
    )
    assert len(cohort.slides) == 5


def test_a_slide_without_a_lesion_is_dated_against_those_it_may_be_paired_with(load: Loader) -> None:
    sheet = f"{HEAD},lesion_id,biopsy_day\nP01,pre,HE,a.svs,L1,20\nP01,on,HE,b.svs,,15\n"
    with pytest.raises(SheetError, match="biopsy_day 20 of baseline lies after 15") as raised:
        load(sheet + "P01,pre,HE,c.svs,L2,-5\n")
    assert len(raised.value.problems) == 1
    with pytest.raises(SheetError, match="biopsy_day 20 of baseline lies after 15") as raised:
        load(sheet.replace("a.svs,L1,", "a.svs,,") + "P01,pre,HE,c.svs,L1,-5\nP01,pre,HE,d.svs,L2,-5\n")
    assert len(raised.value.problems) == 1


def test_agreeing_dates_and_days_are_fine(load: Loader) -> None:
    cohort = load(
        f"{HEAD},biopsy_date,biopsy_day\nP01,pre,HE,a.svs,2024-02-28,\u22122\nP01,on,HE,b.svs,2024-03-05,+4\n"
    )
    assert [row.biopsy_day for row in cohort.slides] == [-2, 4]


def test_cautions_do_not_stop_a_run(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "x.geojson").write_text("{}")
    cohort = load(
        f"{HEAD},lesion_id,annotations\nP01,pre,HE,a.svs,L1,x.geojson\nP01,on,HE,b.svs,,x.geojson\nPO1,on,HE,c.svs,,\n"
    )
    said = " ".join(str(note) for note in cohort.notes)
    assert "nearly the same" in said
    assert "these have none" in said
    assert "share the annotations 'x.geojson'" in said
    assert {note.severity for note in cohort.notes} == {"caution"}


def test_innocent_columns_are_carried(load: Loader) -> None:
    cohort = load(f"{HEAD},site,biopsy_site,age,notes\nP01,pre,HE,a.svs,Bern,liver,60,ok\n")
    assert cohort.slides[0].extra == {"site": "Bern", "biopsy_site": "liver", "age": "60", "notes": "ok"}
    assert len(cohort.notes) == 4


def test_patients_keep_the_order_of_the_sheet(load: Loader) -> None:
    cohort = load(f"{HEAD}\nP02,pre,HE,a.svs\nP01,pre,HE,b.svs\nP02,on,HE,c.svs\n")
    assert cohort.patients() == ("P02", "P01")


def test_the_sheet_itself_may_be_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="cannot be read"):
        load_cohort(tmp_path / "none.csv", CohortSettings(), STAINS)
    with (tmp_path / "slide.svs").open("wb") as stream:
        stream.truncate(10**9)
    with pytest.raises(SheetError, match="give the sheet, not a slide"):
        load_cohort(tmp_path / "slide.svs", CohortSettings(), STAINS)


def test_a_huge_cell_is_refused_by_row(load: Loader) -> None:
    with pytest.raises(SheetError, match="line 2"):
        load(f"{HEAD}\nP01,pre,HE,a.svs{'x' * 1_000_000}\n")


def test_ten_thousand_rows_in_three_seconds(tmp_path: Path) -> None:
    rows = [f"{HEAD},lesion_id,biopsy_day,mpp,batch"]
    for number in range(10_000):
        (tmp_path / f"{number}.svs").touch()
        when, day = ("pre", -3) if number % 2 else ("on", 15)
        rows.append(f"P{number // 4:05d},{when},CD8,{number}.svs,L1,{day},0.25,B{number % 7}")
    sheet = tmp_path / "cohort.csv"
    sheet.write_text("\n".join(rows))
    started = time.process_time()
    cohort = load_cohort(sheet, CohortSettings(), STAINS)
    assert time.process_time() - started < 3.0
    assert len({row.slide_id for row in cohort.slides}) == 10_000
