"""`tme export` from the command line: what is written, what is refused and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.made_slides import made_cells, make_results, make_slide
from tme import cli
from tme.export.formats import FORMATS
from tme.locks import run_lock
from tme.store import is_intact

NAMES = {"A_HE", "A_CD8", "A_CD31"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of its own."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def call(*words: object) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["tme", "export", *map(str, words)])
        cli.main()
    return int(ended.value.code or 0)


def test_every_format_of_the_contract_is_there() -> None:
    assert set(FORMATS.names()) == {"anndata", "spatialdata", "qupath", "ome-zarr", "csv"}


def test_a_failed_slide_is_named_and_stops_no_other(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call(results, "--to", "csv", "-o", out) == 3
    assert {path.name for path in out.iterdir()} == NAMES
    assert all(is_intact(folder, thorough=True) for folder in out.iterdir())
    said = capsys.readouterr().out
    assert "B_HE · not exported · failed in the run · the slide cannot be used · it is empty" in said
    assert "C_HE · not exported · excluded in the run · wrong stain" in said
    assert "3 of 5 slides as csv" in said


def test_an_excluded_slide_is_no_failure(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(results, "--to", "csv", "-o", out, "--slide", "C_HE", "--slide", "A_HE") == 0
    assert [path.name for path in out.iterdir()] == ["A_HE"]


def test_an_unfinished_and_an_altered_slide_are_named(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "slides" / "A_HE" / "manifest.json").unlink()
    table = results / "slides" / "A_CD8" / "cells.parquet"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(bytes(data))
    out = tmp_path / "out"
    words = ("--slide", "A_HE", "--slide", "A_CD8", "--slide", "A_CD31")
    assert call(results, "--to", "qupath", "-o", out, *words) == 3
    assert [path.name for path in out.iterdir()] == ["A_CD31"]
    said = capsys.readouterr().out
    assert "A_HE · not exported · the slide is not finished · its folder has no complete manifest" in said
    assert (
        "A_CD8 · not exported · the slide is not finished · a file of it is missing or is not the one" in said
    )
    assert said.count("run `tme run` again") == 2


def test_a_slide_without_measurements_is_named(results: Path, tmp_path: Path) -> None:
    folder = results / "slides" / "A_HE"
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["measurements.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert call(results, "--to", "csv", "-o", tmp_path / "out", "--slide", "A_HE") == 3


def test_a_bug_in_a_format_stops_no_other_slide(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = FORMATS.get("csv")
    write = form.write

    def broken(slide, folder, options):  # type: ignore[no-untyped-def]
        (folder / "half").write_text("half")
        if slide.slide_id == "A_HE":
            raise ZeroDivisionError
        write(slide, folder, options)

    monkeypatch.setattr(form, "write", broken, raising=False)
    out = tmp_path / "out"
    assert call(results, "--to", "csv", "-o", out) == 3
    assert {path.name for path in out.iterdir()} == NAMES - {"A_HE"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--to", "csv", "--slide", "A_H"), "--slide A_H · there is no slide of this name"),
        (("--to", "csv", "--slide", "A_H"), "did you mean A_HE?"),
        (("--to", "csv", "--slide", "../A_HE"), "there is no slide of this name"),
        (("--to", "h5"), "there is no export format named 'h5'"),
        (("--to", "h5"), "known: anndata, csv, ome-zarr, qupath, spatialdata"),
        (("--to", "csv", "--together"), "--together · csv has one file per slide"),
        (("--to", "ome-zarr", "--ngff", "0.3"), "there is no OME-Zarr 0.3 here · known: 0.5, 0.4"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    assert call(results, *words, "-o", tmp_path / "out") == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["nothing", "file", "empty"])
def test_not_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    folder = tmp_path / "folder"
    if kind == "file":
        folder.write_text("")
    elif kind == "empty":
        folder.mkdir()
    assert call(folder, "--to", "csv", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "this is not a folder of finished results · it has no slide_metrics.csv" in said
    assert str(folder) in said


@pytest.mark.parametrize("kind", ["file", "used", "results"])
def test_a_used_output_is_left_alone(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    if kind == "results":
        out = results
    elif kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    before = sorted(path.name for path in out.iterdir()) if out.is_dir() else out.read_text()
    assert call(results, "--to", "csv", "-o", out) == 2
    assert "the output is there and not an empty folder" in capsys.readouterr().err
    assert (sorted(path.name for path in out.iterdir()) if out.is_dir() else out.read_text()) == before


def test_an_empty_output_is_used(results: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert call(results, "--to", "csv", "-o", tmp_path / "out", "--slide", "A_HE") == 0


def test_an_output_that_cannot_be_made_is_told_once(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert call(results, "--to", "csv", "-o", tmp_path / "file" / "out") == 2
    assert capsys.readouterr().err.count("the output folder cannot be made or written") == 1


def test_a_run_at_work_is_waited_for(results: Path, tmp_path: Path) -> None:
    with run_lock(results):
        assert call(results, "--to", "csv", "-o", tmp_path / "out") == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["anndata", "spatialdata"])
def test_a_missing_package_says_what_to_install(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setattr("tme.export.formats._optional.find_spec", lambda package: None)
    assert call(results, "--to", name, "-o", tmp_path / "out") == 2
    assert (
        f"--to {name} · the package {name} is not installed · it is an optional part of tme · "
        f"pip install 'tme[{name}]'"
    ) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_cells_found_is_an_export_too(tmp_path: Path) -> None:
    results = make_results(tmp_path / "results")
    shutil.rmtree(results / "slides" / "A_HE")
    make_slide(results, "A_HE", cells=made_cells(0))
    for name in ("csv", "qupath", "ome-zarr"):
        assert call(results, "--to", name, "-o", tmp_path / name, "--slide", "A_HE") == 0
