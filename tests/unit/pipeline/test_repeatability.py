"""`tme repeatability` on made results: frozen file, page, and later calls that use it or refuse it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.made_measures import result_of
from tme.change import SlideResult, compute_changes
from tme.config import Config, load_config
from tme.errors import ArtefactError, ConfigError, SheetError
from tme.metrics import slide_columns, slide_rows, to_json
from tme.pipeline.drive import RunRequest
from tme.pipeline.finished import list_written
from tme.pipeline.repeatability import RepeatabilityRequest, read_slides, run_repeatability
from tme.safety import file_sha256
from tme.store import new_artefact, sealed, write_json, write_text
from tme.tables import write_csv

NAME = "CD8.til_density_per_mm2"


def write_results(folder: Path, slides: list[SlideResult]) -> Path:
    """What `tme repeatability` reads of a finished run."""
    rows = []
    for slide in slides:
        assert slide.measurements is not None
        rows += [{**row, **slide.keys, "status": "ok"} for row in slide_rows(slide.measurements)]
        with new_artefact(folder / "slides" / slide.key("slide_id"), "made", {}) as target:
            write_json(target / "measurements.json", to_json(slide.measurements))
    write_csv(folder / "slide_metrics.csv", slide_columns(["section_id"]), rows)
    write_text(folder / "provenance" / "config.yaml", yaml.safe_dump(Config().model_dump(mode="json")))
    list_written(folder, "made", {"slide_metrics.csv": file_sha256(folder / "slide_metrics.csv")})
    return folder


def blocks_of(lesions: int) -> list[SlideResult]:
    """Two blocks of each lesion that differ by about 0.6 on the log2 scale."""
    generator = np.random.default_rng(11)
    slides = []
    for lesion in range(lesions):
        for block in "AB":
            count = round(40 * 2 ** (0.6 * generator.normal()))
            keys = {"patient_id": f"P<{lesion}>", "slide_id": f"s{lesion}{block}", "block_id": block}
            slides.append(result_of([count] * 6, others=600, **keys))
    return slides


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("repeats"), blocks_of(12))


def test_edited_results_are_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", blocks_of(2))
    table = results / "slide_metrics.csv"
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b"P<0>", b"P<1>"))
    with pytest.raises(ArtefactError, match="not as the run wrote it"):
        read_slides(results)
    table.write_bytes(whole)
    measured = next((results / "slides").glob("*/measurements.json"))
    measured.write_bytes(measured.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ArtefactError, match=measured.parent.name):
        read_slides(results)


def test_results_of_a_run_that_did_not_end_are_no_folder_of_slides(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", blocks_of(2))
    (results / "manifest.json").unlink()
    request = RepeatabilityRequest(results, tmp_path / "rc.json", tmp_path / "r")
    with pytest.raises(ConfigError, match="has not ended"):
        run_repeatability(request, lambda _: None)


def run(results: Path, output: Path) -> list[str]:
    said: list[str] = []
    assert run_repeatability(RepeatabilityRequest(results, output, output.parent / "r"), said.append) == 0
    return said


def config_of(folder: Path, **change: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"change": change}), encoding="utf-8")
    return path


def test_slides_are_read_as_the_run_left_them(results: Path) -> None:
    found = read_slides(results)
    assert [slide.key("slide_id") for slide in found[:2]] == ["s0A", "s0B"]
    assert found[0].measurements == blocks_of(1)[0].measurements


def test_later_changes_are_called_with_the_frozen_coefficients(results: Path, tmp_path: Path) -> None:
    said = run(results, tmp_path / "rc.json")
    frozen = json.loads((tmp_path / "rc.json").read_text(encoding="utf-8"))
    assert list(frozen["rc_log2"]) == [NAME]
    assert any("24 repeats of 12 lesions; rc_log2" in line for line in said)
    config = load_config(config_of(tmp_path, repeatability="rc.json"))
    pair = result_of([20] * 6), result_of([90] * 6, slide_id="s2", timepoint="on_treatment")
    rows = {row.metric: row for row in compute_changes(pair, config.cohort.timepoints, config.change)}
    assert rows["til_density_per_mm2"].rc_source == "repeats"
    assert rows["til_density_per_mm2"].rc_log2 == frozen["rc_log2"][NAME]
    own = load_config(config_of(tmp_path, repeatability="rc.json", rc_log2={NAME: 0.5}))
    rows = {row.metric: row for row in compute_changes(pair, own.cohort.timepoints, own.change)}
    assert (rows["til_density_per_mm2"].rc_log2, rows["til_density_per_mm2"].rc_source) == (0.5, "config")


def test_the_content_and_not_the_path_is_in_the_hash_of_the_config(results: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        run(results, tmp_path / folder / "rc.json")
    one, two = (load_config(config_of(tmp_path / name, repeatability="rc.json")) for name in ("one", "two"))
    assert one.sha256() == two.sha256() != Config().sha256()
    content = {"format": "repeatability coefficients, version 1", "rc_log2": {NAME: 0.1}}
    write_json(tmp_path / "two" / "other.json", sealed(content))
    other = load_config(config_of(tmp_path / "two", repeatability="other.json"))
    assert other.sha256() != one.sha256()


def test_the_same_repeats_give_the_same_bytes_and_others_do_not_overwrite(
    results: Path, tmp_path: Path
) -> None:
    run(results, tmp_path / "rc.json")
    before = (tmp_path / "rc.json").read_bytes()
    run(results, tmp_path / "rc.json")
    assert (tmp_path / "rc.json").read_bytes() == before
    fewer = write_results(tmp_path / "fewer", blocks_of(11))
    with pytest.raises(ConfigError, match="another file of that name"):
        run(fewer, tmp_path / "rc.json")
    assert (tmp_path / "rc.json").read_bytes() == before


def test_an_edited_file_is_refused(results: Path, tmp_path: Path) -> None:
    run(results, tmp_path / "rc.json")
    text = (tmp_path / "rc.json").read_text(encoding="utf-8")
    frozen = json.loads(text)
    frozen["rc_log2"][NAME] = 0.01
    (tmp_path / "rc.json").write_text(json.dumps(frozen), encoding="utf-8")
    with pytest.raises(ConfigError, match="changed after it was written"):
        load_config(config_of(tmp_path, repeatability="rc.json"))


def test_other_files_and_other_hashes_are_refused(results: Path, tmp_path: Path) -> None:
    run(results, tmp_path / "rc.json")
    pinned = json.loads((tmp_path / "rc.json").read_text(encoding="utf-8"))["sha256"]
    assert load_config(config_of(tmp_path, repeatability="rc.json", repeatability_sha256=pinned))
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        load_config(config_of(tmp_path, repeatability="rc.json", repeatability_sha256="0" * 64))
    with pytest.raises(ConfigError, match="does not name"):
        load_config(config_of(tmp_path, repeatability_sha256="0" * 64))
    write_json(tmp_path / "x.json", sealed({"format": "something else"}))
    with pytest.raises(ConfigError, match="not a file of repeatability"):
        load_config(config_of(tmp_path, repeatability="x.json"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(config_of(tmp_path, repeatability="missing.json"))


def test_few_repeats_say_why_and_freeze_no_coefficient(tmp_path: Path) -> None:
    few = write_results(tmp_path / "results", blocks_of(3))
    said = run(few, tmp_path / "rc.json")
    frozen = json.loads((tmp_path / "rc.json").read_text(encoding="utf-8"))
    assert frozen["rc_log2"] == {}
    assert any("no coefficient: 3 repeats beyond the first of each lesion" in line for line in said)
    assert not any("write in your config" in line for line in said)


def test_no_repeats_say_what_one_is(tmp_path: Path) -> None:
    single = write_results(tmp_path / "results", blocks_of(2)[::2])
    with pytest.raises(SheetError, match="no lesion was measured twice"):
        run(single, tmp_path / "rc.json")
    assert not (tmp_path / "rc.json").exists()


def test_the_page_shows_numbers_and_plot_and_no_patient(results: Path, tmp_path: Path) -> None:
    run(results, tmp_path / "rc.json")
    page = (tmp_path / "rc.html").read_text(encoding="utf-8")
    assert page.count("<circle") >= 12
    assert "Content-Security-Policy" in page
    assert "P&lt;" not in page
    assert "P<" not in page
    assert "1.96·√2·s_b" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("code", [0, 3])
def test_a_sheet_is_run_first_and_slides_that_failed_do_not_stop_it(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def drive(request: RunRequest, say: object) -> int:
        asked.append(request)
        write_results(request.output, blocks_of(2))
        return code

    monkeypatch.setattr("tme.pipeline.repeatability.drive", drive)
    request = RepeatabilityRequest(tmp_path / "sheet.csv", tmp_path / "rc.json", tmp_path / "run", cores=3)
    assert run_repeatability(request, lambda text: None) == code
    assert asked == [RunRequest(tmp_path / "sheet.csv", tmp_path / "run", None, 3)]
    assert (tmp_path / "rc.json").is_file()


@pytest.mark.parametrize("code", [1, 5, 130])
def test_a_run_that_stopped_writes_nothing(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tme.pipeline.repeatability.drive", lambda request, say: code)
    request = RepeatabilityRequest(tmp_path / "sheet.csv", tmp_path / "rc.json", tmp_path / "run")
    assert run_repeatability(request, lambda text: None) == code
    assert list(tmp_path.iterdir()) == []
