"""`tme check` finds what `tme run` would stumble over, in the sheet and in the slides, in one go."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.unit.slide.slide_files import tissue, write_tiff
from tme.pipeline.check import check_sheet

HEAD = "patient_id,timepoint,stain,slide,annotations,sha256"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slides that can be used, one that cannot, and annotations that are none."""
    for number, name in enumerate(("a.tif", "b.tif")):
        write_tiff(tmp_path / name, tissue(600, 800, number))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:5000])
    (tmp_path / "bad.geojson").write_text("not json")
    (tmp_path / "good.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    return tmp_path


def check(folder: Path, *rows: str, settings: str = "") -> tuple[int, list[str]]:
    (folder / "cohort.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    (folder / "settings.yaml").write_text(settings)
    said: list[str] = []
    return check_sheet(folder / "cohort.csv", folder / "settings.yaml", 1, said.append), said


def test_nothing_in_the_way(folder: Path) -> None:
    digest = hashlib.sha256((folder / "a.tif").read_bytes()).hexdigest()
    code, said = check(folder, f"A,pre,HE,a.tif,good.geojson,{digest}", "A,on,HE,b.tif,,")
    assert code == 0
    assert [line.split(":")[0] for line in said] == ["ok", "ok", "2 slides checked, 0 cannot be used"]


def test_damaged_annotations_and_another_file_than_expected_are_found(folder: Path) -> None:
    code, said = check(folder, "A,pre,HE,a.tif,bad.geojson,", f"A,on,HE,b.tif,,{'ab' * 32}")
    assert code == 3
    assert said[0].startswith("error: row 2 A_baseline_HE: bad.geojson · the annotations are not GeoJSON")
    assert said[1].startswith(
        "error: row 3 A_on_treatment_HE: b.tif · the file is not the one the sheet names"
    )
    assert said[2] == "2 slides checked, 2 cannot be used"


def test_a_wrong_row_hides_no_broken_slide(folder: Path) -> None:
    code, said = check(
        folder, "A,prre,HE,a.tif,,", "A,on,HE,cut.tif,,", "A,on,HE,gone.tif,,", "B,on,XX,b.tif,,"
    )
    assert code == 2
    text = "\n".join(said)
    for found in (
        "error: row 2 · timepoint 'prre' is not known",
        "error: row 4 · slide 'gone.tif' does not exist",
        "error: row 5 · stain 'XX' is not registered",
        "error: row 3 A_on_treatment_HE: cut.tif",
        "ok: row 2 ",
        "2 slides checked, 1 cannot be used",
        "problems of the sheet or the settings: 3;",
    ):
        assert found in text


def test_of_no_slide_no_count_is_said(folder: Path) -> None:
    code, said = check(folder, "A,pre,HE,gone.tif,,")
    assert code == 2
    assert not any("slides checked" in line for line in said)


def test_an_engine_that_does_not_exist_hides_no_broken_slide(folder: Path) -> None:
    code, said = check(folder, "A,on,HE,cut.tif,,", settings="cells: {engine: none}\n")
    assert code == 2
    assert "there is no segmenter named 'none'" in said[0]
    assert "cut.tif" in said[1]
