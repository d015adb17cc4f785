"""Control slides to a frozen file, and a slide that takes its threshold from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.slide.slide_files import tissue, write_tiff
from tests.unit.stains.test_stain_calibration import control
from tme.config import Config, load_config
from tme.errors import ConfigError, SlideError
from tme.pipeline.calibrate import CalibrateRequest, run_calibrate
from tme.pipeline.check import check_sheet
from tme.pipeline.inputs import load_run_cohort
from tme.pipeline.plan import make_plan
from tme.pipeline.provenance import write_provenance
from tme.pipeline.slide_job import SlideJob, run_slide
from tme.pipeline.versions import STAGES
from tme.slide.hashing import fingerprint
from tme.stains.calibration import calibration_json, combine, load_calibration
from tme.store import read_json, write_json
from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS

HEAD = "patient_id,timepoint,stain,slide,slide_id,batch"


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CD8 controls of one batch and one that is H&E in truth."""
    folder = tmp_path_factory.mktemp("controls")
    for name, stain, seed in (("one", "CD8", 1), ("two", "CD8", 2), ("he", "HE", 3)):
        made = render_slide(SlideSpec(stain, 0.1, til_density_per_mm2=400), seed)
        WRITERS[".tif"](folder / f"{name}.tif", made.pixels, made.mpp, 90)
    return folder


@pytest.fixture(scope="module")
def calibrated(controls: Path) -> tuple[Path, int, list[str]]:
    """The file, the exit code and what was said."""
    rows = "CD8,one.tif,run 7\nCD8,two.tif,run 7\nCD8,he.tif,run 8\n"
    (controls / "controls.csv").write_text("stain,slide,batch\n" + rows)
    said: list[str] = []
    output = controls / "calibration.json"
    code = run_calibrate(CalibrateRequest(controls / "controls.csv", output), said.append)
    return output, code, said


def test_each_stain_and_batch_gets_its_threshold(calibrated: tuple[Path, int, list[str]]) -> None:
    path, code, said = calibrated
    (entry,) = load_calibration(path).entries
    assert (entry.stain, entry.batch, len(entry.controls)) == ("CD8", "run 7", 2)
    cuts = [control.threshold_od for control in entry.controls]
    assert entry.threshold_od == pytest.approx(sum(cuts) / 2, abs=1e-4)
    assert [control.slide_id for control in entry.controls] == ["one", "two"]
    assert all(len(control.sha256) == 64 for control in entry.controls)
    assert code == 3
    assert any(line.startswith("left out: row 4 he") and "does not look like CD8" in line for line in said)
    assert any("CD8, batch run 7: 0." in line and "2 control slides" in line for line in said)
    content = read_json(path)
    assert set(content["made_by"]["stages"]) == {"tissue", "stain"}
    assert str(path.parent) not in path.read_text()


def test_a_frozen_file_is_never_written_over(calibrated: tuple[Path, int, list[str]], controls: Path) -> None:
    before = calibrated[0].read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        run_calibrate(CalibrateRequest(controls / "controls.csv", calibrated[0]), print)
    assert calibrated[0].read_bytes() == before


def test_no_control_that_can_be_used_writes_nothing(controls: Path, tmp_path: Path) -> None:
    sheet = controls / "bad.csv"
    sheet.write_text("stain,slide\nCD8,he.tif\nHE,one.tif\n")
    said: list[str] = []
    with pytest.raises(SlideError, match="no control slide gives a threshold"):
        run_calibrate(CalibrateRequest(sheet, tmp_path / "c.json"), said.append)
    assert not (tmp_path / "c.json").exists()
    assert any("HE has no DAB threshold" in line for line in said)


def frozen_at(path: Path, cut: float, stain: str = "CD8", batch: str = "") -> Path:
    """A calibration of one control with this cut."""
    made_by = {"stages": {name: STAGES[name] for name in ("tissue", "stain")}}
    write_json(path, calibration_json([combine(stain, batch, [control(cut)])], {}, made_by))
    return path


def configured(folder: Path, calibration: str = "c.json", more: str = "") -> Config:
    (folder / "settings.yaml").write_text(f"stain: {{calibration: {calibration}{more}}}\n")
    return load_config(folder / "settings.yaml")


def test_the_settings_count_by_the_files_content(tmp_path: Path) -> None:
    frozen_at(tmp_path / "c.json", 0.12)
    first = configured(tmp_path)
    assert first.stain.calibration == str(tmp_path / "c.json")
    assert first.sha256() != Config().sha256()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "d.json").write_bytes((tmp_path / "c.json").read_bytes())
    assert configured(tmp_path, "moved/d.json").sha256() == first.sha256()
    frozen_at(tmp_path / "c.json", 0.13)
    assert configured(tmp_path).sha256() != first.sha256()


def test_an_edited_a_missing_and_an_unpinned_file_stop_before_anything(tmp_path: Path) -> None:
    path = frozen_at(tmp_path / "c.json", 0.12)
    pinned = json.loads(path.read_text())["sha256"]
    assert configured(tmp_path, more=f", calibration_sha256: {pinned}").stain.calibration_sha256 == pinned
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        configured(tmp_path, more=f", calibration_sha256: {'f' * 64}")
    with pytest.raises(ConfigError, match="leave one empty"):
        configured(tmp_path, more=", dab_threshold_od: 0.2")
    path.write_text(path.read_text().replace("0.12", "0.14"))
    with pytest.raises(ConfigError, match="was changed after it was written"):
        configured(tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"c\.json.*cannot be read"):
        configured(tmp_path)


def sheet_of(folder: Path, *rows: str) -> Path:
    (folder / "cohort.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return folder / "cohort.csv"


def test_a_changed_calibration_reruns_only_the_slides_it_is_for(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        write_tiff(tmp_path / f"{name}.tif", tissue(300, 400, number))
    sheet = sheet_of(
        tmp_path, "A,pre,CD8,a.tif,a,run 7", "A,pre,CD31,b.tif,b,run 7", "A,pre,HE,c.tif,c,run 7"
    )

    def keys(config: Config) -> dict[str, str]:
        plan = make_plan(load_run_cohort(sheet, config), config, tmp_path / "results", fingerprint)
        return {slide.slide_id: slide.key for slide in plan.slides}

    frozen_at(tmp_path / "c.json", 0.12)
    before = keys(configured(tmp_path))
    frozen_at(tmp_path / "c.json", 0.13)
    after = keys(configured(tmp_path))
    assert {name for name in before if before[name] != after[name]} == {"a"}
    # CD31 has no entry: its slide's caution, and nothing else, tells the calibration from none.
    plain = keys(Config())
    assert (plain["b"] != after["b"], plain["c"] == after["c"]) == (True, True)


def test_check_says_which_slides_the_calibration_leaves_to_themselves(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", tissue(600, 800))
    write_tiff(tmp_path / "b.tif", tissue(600, 800, 1))
    frozen_at(tmp_path / "c.json", 0.12, batch="run 7")
    configured(tmp_path)
    said: list[str] = []
    sheet = sheet_of(tmp_path, "A,pre,CD8,a.tif,a,run 7", "A,on,CD8,b.tif,b,run 8")
    assert check_sheet(sheet, tmp_path / "settings.yaml", 1, said.append) == 0
    cautions = [line for line in said if "stain.calibration" in line]
    assert len(cautions) == 1
    assert cautions[0].startswith("caution: row 3 b: ")
    assert "batch 'run 8' of CD8" in cautions[0]


def test_a_slide_is_measured_with_the_frozen_threshold(
    calibrated: tuple[Path, int, list[str]], controls: Path, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(f"stain: {{calibration: {calibrated[0]}}}\n")
    config = load_config(tmp_path / "settings.yaml")
    (controls / "cohort.csv").write_text(
        f"{HEAD}\nA,pre,CD8,one.tif,known,run 7\nA,on,CD8,two.tif,unknown,run 8\n"
    )
    (entry,) = load_calibration(calibrated[0]).entries
    found = {}
    for row in load_run_cohort(controls / "cohort.csv", config).slides:
        job = SlideJob(row, config, tmp_path / "results", "key", {})
        outcome = run_slide(job)
        estimates = read_json(job.folder / "measurements.json")["compartments"][0]["estimates"]
        found[row.slide_id] = estimates, outcome.cautions
    estimates, cautions = found["known"]
    assert estimates["dab_threshold_od"]["value"] == entry.threshold_od
    assert estimates["threshold_source"]["value"] == "control"
    assert not any("calibration" in caution for caution in cautions)
    estimates, cautions = found["unknown"]
    assert estimates["threshold_source"]["value"] == "slide"
    assert any("no threshold for batch 'run 8' of CD8" in caution for caution in cautions)


def test_the_calibration_is_kept_with_the_results_and_found_there(tmp_path: Path) -> None:
    frozen_at(tmp_path / "c.json", 0.12)
    config = configured(tmp_path)
    write_provenance(tmp_path / "results", config)
    (tmp_path / "c.json").unlink()
    kept = load_config(tmp_path / "results" / "provenance" / "config.yaml")
    assert kept.sha256() == config.sha256()
    assert str(tmp_path) not in (tmp_path / "results" / "provenance" / "config.yaml").read_text()
