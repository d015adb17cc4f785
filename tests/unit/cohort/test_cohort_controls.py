"""The sheet of control slides: what it needs, what it may carry, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tme.cohort import SlideRow, read_controls
from tme.config import CohortSettings
from tme.errors import SheetError

STAINS = {"he": "HE", "cd8": "CD8", "cd31": "CD31"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "b", "tonsil 1")):
        (tmp_path / f"{name}.svs").write_bytes(bytes([number]) * 100)
    return tmp_path


def read(folder: Path, *lines: str) -> tuple[SlideRow, ...]:
    (folder / "controls.csv").write_text("\n".join(lines) + "\n")
    return read_controls(folder / "controls.csv", CohortSettings(), STAINS, lambda path: path.read_text())


def test_stain_and_slide_are_enough(folder: Path) -> None:
    rows = read(folder, "stain,slide", "cd8,a.svs", "CD31,tonsil 1.svs")
    assert [(row.stain, row.path.name, row.batch, row.patient_id) for row in rows] == [
        ("CD8", "a.svs", "", ""),
        ("CD31", "tonsil 1.svs", "", ""),
    ]
    assert rows[0].slide_id == "a"
    assert len({row.slide_id for row in rows}) == 2


def test_a_sample_sheet_is_read_for_what_a_control_needs(folder: Path) -> None:
    rows = read(
        folder,
        "patient_id;timepoint;stain;slide;slide_id;batch;mpp;biopsy_date;site",
        ";control;CD8;a.svs;A;run 7;0,25;soon;liver",
        "P;baseline;CD8;b.svs;B;run 8;;2026-01-01;",
    )
    assert [(row.slide_id, row.batch, row.mpp) for row in rows] == [
        ("A", "run 7", 0.25),
        ("B", "run 8", None),
    ]


def test_excluded_controls_are_left_out_and_none_left_is_an_error(folder: Path) -> None:
    rows = read(folder, "stain,slide,exclude", "CD8,a.svs,", "CD8,b.svs,torn")
    assert [row.path.name for row in rows] == ["a.svs"]
    with pytest.raises(SheetError, match="no control slide"):
        read(folder, "stain,slide,exclude", "CD8,a.svs,torn")


def test_one_file_name_in_two_folders_gives_two_ids(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "a.svs").write_bytes(b"other")
    rows = read(folder, "stain,slide,slide_id", "CD8,a.svs,", "CD8,more/a.svs,", "CD8,b.svs,A-2")
    assert [row.slide_id for row in rows] == ["a", "a-3", "A-2"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["slide", "a.svs"], "the column 'stain' is missing"),
        (["stain,slide,bach", "CD8,a.svs,1"], "did you mean 'batch'"),
        (["stain,slide", "CD9,a.svs"], "row 2 · stain 'CD9' is not registered"),
        (["stain,slide", "CD8,gone.svs"], "row 2 · slide 'gone.svs' does not exist"),
        (["stain,slide", "CD8,a.svs", "CD8,a.svs"], "rows 2 and 3 · the slides 'a.svs' are the same file"),
        (["stain,slide,slide_id", "CD8,a.svs,x", "CD8,b.svs,X"], "slide_id 'x' is given twice"),
        (["stain,slide"], "there is no control slide"),
    ],
)
def test_what_is_refused(folder: Path, lines: list[str], said: str) -> None:
    with pytest.raises(SheetError) as caught:
        read(folder, *lines)
    assert said in str(caught.value)
