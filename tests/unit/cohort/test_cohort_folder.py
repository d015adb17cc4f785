"""Folders of slides without a sheet, and the sheet written for them."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tme.cohort import Cohort, load_cohort, write_sheet
from tme.config import CohortSettings
from tme.errors import SheetError

STAINS = {"he": "HE", "hande": "HE", "cd3": "CD3", "cd8": "CD8", "cd31": "CD31", "ki67": "KI67"}


def make(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"slide {number}".encode())


def load(folder: Path, **settings: object) -> Cohort:
    return load_cohort(folder, CohortSettings(**settings), STAINS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("P01_baseline_CD8.svs", ("P01", "baseline", "CD8")),
        ("P01/baseline/CD8.svs", ("P01", "baseline", "CD8")),
        ("P01_on_treatment_CD31.ndpi", ("P01", "on_treatment", "CD31")),
        ("P01_C2D1_CD3-2.svs", ("P01", "on_treatment", "CD3")),
        ("P01_pre_H&E_block 2.ome.tiff", ("P01", "baseline", "HE")),
        ("P01/pre/Ki-67/scan 1.mrxs", ("P01", "baseline", "KI67")),
        ("P-01 x_Pre_he.PNG", ("P-01 x", "baseline", "HE")),
        ("患者一/baseline/cd8.SVS", ("患者一", "baseline", "CD8")),
        ("<b>_baseline_CD8.svs", ("<b>", "baseline", "CD8")),
        ("=1+1_baseline_CD8.svs", ("=1+1", "baseline", "CD8")),
        ("x;touch P_baseline_CD8.svs", ("x;touch P", "baseline", "CD8")),
    ],
)
def test_names_are_read_and_survive_the_written_sheet(
    tmp_path: Path, name: str, who: tuple[str, ...]
) -> None:
    make(tmp_path, name)
    from_names = load(tmp_path)
    (row,) = from_names.slides
    assert (row.patient_id, row.timepoint, row.stain) == who
    assert row.path == tmp_path / name
    write_sheet(tmp_path, CohortSettings(), STAINS)
    from_sheet = load_cohort(tmp_path / "cohort.csv", CohortSettings(), STAINS)
    assert from_sheet.slides == from_names.slides


def test_slides_that_do_not_fit_are_named(tmp_path: Path) -> None:
    make(
        tmp_path,
        "P01_baseline_CD8.svs",
        "P01_biopsy_CD8.svs",
        "P01_baseline_PDL1.svs",
        "scan 17.ndpi",
        "readme.txt",
        ".DS_Store",
        "._P01_on_CD8.svs",
    )
    cohort = load(tmp_path)
    assert len(cohort.slides) == 1
    assert [str(note).split(" · ")[:2] for note in cohort.notes] == [
        ["'P01_baseline_PDL1.svs'", "left out: stain 'PDL1' is not registered"],
        ["'P01_biopsy_CD8.svs'", "left out: timepoint 'biopsy' is not known"],
        ["'scan 17.ndpi'", "left out: its name does not fit cohort.name_pattern"],
        ["folder", "files that are no slides: 1 .svs, 1 .txt, 1 without ending"],
    ]


def test_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="there is no slide in this folder"):
        load(tmp_path)
    make(tmp_path, "one.svs", "two.svs")
    with pytest.raises(SheetError) as raised:
        load(tmp_path)
    assert raised.value.exit_code == 2
    assert [problem.where for problem in raised.value.problems] == [tmp_path.name, "'one.svs'", "'two.svs'"]


def test_a_zarr_or_dicom_folder_is_one_slide(tmp_path: Path) -> None:
    make(
        tmp_path,
        "P01_baseline_CD8.ome.zarr/0/0/0",
        "P01_baseline_CD8.ome.zarr/label.png",
        "P02/baseline/CD8/a.dcm",
        "P02/baseline/CD8/b.dcm",
    )
    paths = [row.path.relative_to(tmp_path).as_posix() for row in load(tmp_path).slides]
    assert paths == ["P01_baseline_CD8.ome.zarr", "P02/baseline/CD8"]


def test_results_are_not_searched(tmp_path: Path) -> None:
    make(tmp_path, "P01_baseline_CD8.svs", "out/.tme.lock", "out/P09_baseline_CD8.svs")
    cohort = load(tmp_path)
    assert cohort.patients() == ("P01",)
    assert "'out' holds results and was not searched" in str(cohort.notes[0])


def test_a_folder_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "P01_baseline_CD8.svs", "lost+found/P02_baseline_CD8.svs", "P03/baseline/CD8.svs")
    make(tmp_path, "P03/baseline/1")
    scandir, opened = os.scandir, open

    def closed(path: str | Path) -> object:
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def locked(path: str, *more: str) -> object:
        if str(path).endswith("baseline/1"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more)

    monkeypatch.setattr("os.scandir", closed)
    monkeypatch.setattr("builtins.open", locked)
    cohort = load(tmp_path)
    assert cohort.patients() == ("P01", "P03")
    told = [note.severity for note in cohort.notes if "'lost+found' cannot be opened" in str(note)]
    assert told == ["caution"]
    (tmp_path / "P01_baseline_CD8.svs").unlink()
    (tmp_path / "P03" / "baseline" / "CD8.svs").unlink()
    with pytest.raises(SheetError, match="'lost\\+found' cannot be opened"):
        load(tmp_path)


def test_links_are_followed_once(tmp_path: Path) -> None:
    make(tmp_path, "slides/P01/baseline/CD8.svs", "elsewhere/P02_baseline_CD8.svs")
    folder = tmp_path / "slides"
    (folder / "P01" / "loop").symlink_to(folder)
    (folder / "P02_pre_HE.svs").symlink_to(tmp_path / "elsewhere" / "P02_baseline_CD8.svs")
    assert load(folder).patients() == ("P01", "P02")


def test_annotations_beside_a_slide_are_used_and_told(tmp_path: Path) -> None:
    make(
        tmp_path, "P01_pre_HE.svs", "P01_pre_HE.geojson", "P01_on_HE.ome.tif", "P01_on_HE.ome.tif.geojson.gz"
    )
    cohort = load(tmp_path)
    assert [row.annotations.name for row in cohort.slides if row.annotations] == [
        "P01_on_HE.ome.tif.geojson.gz",
        "P01_pre_HE.geojson",
    ]
    assert len(cohort.notes) == 2


def test_the_pattern_may_name_more_columns(tmp_path: Path) -> None:
    make(tmp_path, "Bern-P01-L2-pre-CD8-blockA.svs", "Bern-P01-L2-on-CD8-blockA.svs")
    pattern = (
        r"[^-]+-(?P<patient_id>[^-]+)-(?P<lesion_id>[^-]+)-(?P<timepoint>{timepoint})-(?P<stain>{stain})"
        r"-block(?P<block_id>.+)\.svs"
    )
    row = load(tmp_path, name_pattern=pattern).slides[0]
    assert (row.lesion_id, row.block_id, row.timepoint) == ("L2", "A", "on_treatment")
    write_sheet(tmp_path, CohortSettings(name_pattern=pattern), STAINS)
    assert load(tmp_path).slides[0].lesion_id == "L2"


@pytest.mark.parametrize("pattern", ["(", r"(?P<patient_id>.+)_(?P<stain>.+)\.svs"])
def test_a_pattern_that_cannot_work_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="name_pattern"):
        CohortSettings(name_pattern=pattern)


def test_rules_hold_for_folders_too(tmp_path: Path) -> None:
    make(tmp_path, "P01_pre_HE.svs", "p01_on_HE.svs")
    with pytest.raises(SheetError, match="look alike"):
        load(tmp_path)


def test_written_sheet_lists_every_slide_and_asks_for_the_rest(tmp_path: Path) -> None:
    make(tmp_path, "P01_baseline_CD8.svs", "scan 17.ndpi", "sub/P02_x_CD8.svs")
    sheet = write_sheet(tmp_path, CohortSettings(), STAINS)
    with sheet.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["slide"] for row in rows] == ["P01_baseline_CD8.svs", "scan 17.ndpi", "sub/P02_x_CD8.svs"]
    with pytest.raises(SheetError) as raised:
        load(tmp_path)
    assert {problem.where for problem in raised.value.problems} == {"row 3", "row 4"}


def test_a_written_sheet_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path, "P01_baseline_CD8.svs")
    sheet = write_sheet(tmp_path, CohortSettings(), STAINS)
    sheet.write_text("edited by hand")
    with pytest.raises(SheetError, match="exists already"):
        write_sheet(tmp_path, CohortSettings(), STAINS)
    assert sheet.read_text() == "edited by hand"
    other = tmp_path / "dangling.csv"
    other.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SheetError, match="exists already"):
        write_sheet(tmp_path, CohortSettings(), STAINS, other)


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "P01_baseline_CD8.svs")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    with pytest.raises(SheetError, match="cannot be written · Permission denied"):
        write_sheet(tmp_path, CohortSettings(), STAINS)


def test_nothing_is_written_without_slides(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="no slide"):
        write_sheet(tmp_path, CohortSettings(), STAINS)
    with pytest.raises(SheetError, match="not a folder"):
        write_sheet(tmp_path / "none", CohortSettings(), STAINS)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_elsewhere_finds_its_slides(tmp_path: Path) -> None:
    make(tmp_path, "slides/P01_baseline_CD8.svs", "slides/P01_baseline_CD8.geojson", "study/x")
    sheet = write_sheet(tmp_path / "slides", CohortSettings(), STAINS, tmp_path / "study" / "cohort.csv")
    (row,) = load_cohort(sheet, CohortSettings(), STAINS).slides
    assert os.path.samefile(row.path, tmp_path / "slides" / "P01_baseline_CD8.svs")
    assert row.annotations is not None


def test_the_sheet_in_a_folder_wins_over_names(tmp_path: Path) -> None:
    make(tmp_path, "P01_baseline_CD8.svs")
    (tmp_path / "cohort.csv").write_text("patient_id,timepoint,stain,slide\nX,on,HE,P01_baseline_CD8.svs\n")
    cohort = load(tmp_path)
    assert cohort.patients() == ("X",)
    assert "not the slides' names" in cohort.notes[0].what


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    make(tmp_path, "P01_baseline_CD8.svs")
    raw = os.fsencode(tmp_path) + b"/M\xfcller_baseline_CD8.svs"
    try:
        with open(raw, "wb"):
            pass
    except OSError:
        pytest.skip("this file system keeps no such name")
    cohort = load(tmp_path)
    assert cohort.patients() == ("P01",)
    assert "not UTF-8" in str(cohort.notes[0])
    str(cohort.notes[0]).encode("utf-8")
    with pytest.raises(SheetError, match="not UTF-8"):
        write_sheet(tmp_path, CohortSettings(), STAINS)
    assert not (tmp_path / "cohort.csv").exists()
