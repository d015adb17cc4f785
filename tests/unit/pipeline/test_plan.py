"""The plan is made from hashes alone, and a slide that cannot be read stops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tme.config import Config
from tme.errors import BusyError, ConfigError
from tme.locks import run_lock
from tme.pipeline.cohort_job import cohort_is_done
from tme.pipeline.drive import RunRequest, drive, open_run
from tme.pipeline.inputs import load_run_cohort
from tme.pipeline.plan import Plan, make_plan
from tme.pipeline.workflow import open_workflow
from tme.slide.hashing import fingerprint


def sheet(folder: Path, **content: bytes) -> Path:
    for name, data in content.items():
        (folder / f"{name}.tif").write_bytes(data)
    lines = ["patient_id,timepoint,stain,slide,slide_id"]
    lines += [f"{name},baseline,HE,{name}.tif,{name}" for name in content]
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n")
    return folder / "cohort.csv"


def plan(path: Path, config: Config | None = None) -> Plan:
    config = config or Config()
    return make_plan(load_run_cohort(path, config), config, path.parent / "results", fingerprint)


def test_an_empty_file_is_a_slide_like_any_other_until_its_job(tmp_path: Path) -> None:
    made = plan(sheet(tmp_path, empty=b"", other=b"x" * 2_000_000))
    assert [(slide.slide_id, slide.why, slide.megabytes) for slide in made.slides] == [
        ("empty", "new", 0.0),
        ("other", "new", 2.0),
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"run": {"workers": 4, "task_px": 1024, "scheduler": "processes"}}, True),
        ({"vessels": {"join_um": 5}}, True),
        ({"change": {"rc_log2": {"til_density_per_mm2": 0.5}}}, True),
        ({"cells": {"min_area_um2": 11}}, False),
        ({"tissue": {"mpp": 5}}, False),
        ({"metrics": {"seed": 1}}, False),
    ],
)
def test_a_key_changes_with_what_can_change_the_slide(tmp_path: Path, change: dict, same: bool) -> None:
    path = sheet(tmp_path, one=b"x")
    before = plan(path).slides[0].key
    assert (plan(path, Config.model_validate(change)).slides[0].key == before) is same


def test_another_version_of_the_engines_package_is_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sheet(tmp_path, one=b"x")
    keys = []
    for found in ("4.0.6", "4.0.7"):
        monkeypatch.setattr("tme.pipeline.inputs.version", lambda package, found=found: found)
        configs = [Config.model_validate({"cells": {"engine": name}}) for name in ("cellpose", "tmenet")]
        keys.append([plan(path, config).slides[0].key for config in configs])
    assert keys[0][0] != keys[1][0]
    assert keys[0][1] == keys[1][1]


def test_other_weights_under_the_same_name_are_another_key(tmp_path: Path) -> None:
    path, weights = sheet(tmp_path, one=b"x"), tmp_path / "weights"
    config = Config.model_validate({"cells": {"weights": str(weights)}})
    keys = []
    for content in (b"first", b"other"):
        weights.write_bytes(content)
        keys.append(plan(path, config).slides[0].key)
    assert keys[0] != keys[1]


def test_a_bare_snakemake_removes_nothing_under_another_run(tmp_path: Path) -> None:
    path, output = sheet(tmp_path, one=b"x"), tmp_path / "results"
    outcome = output / "slides" / "one" / "outcome.json"
    with run_lock(output):
        outcome.parent.mkdir(parents=True)
        outcome.write_text("{}")
        with pytest.raises(BusyError):
            open_workflow({"sheet": path, "output": output}, discard=True)
        assert outcome.is_file()


@pytest.mark.parametrize(
    ("settings", "profile"), [("cells: {engine: none}", ""), ("cells: {engine: watershed}", "none")]
)
def test_what_cannot_run_is_told_before_the_folder_is_touched(
    tmp_path: Path, settings: str, profile: str
) -> None:
    path = sheet(tmp_path, one=b"x")
    (tmp_path / "settings.yaml").write_text(settings)
    request = RunRequest(path, tmp_path / "results", tmp_path / "settings.yaml", 1, profile)
    for ask in (open_run, lambda given: drive(given, print)):
        with pytest.raises(ConfigError, match="none"):
            ask(request)
    if not profile:
        given = {"sheet": path, "output": request.output, "config": request.config_file}
        with pytest.raises(ConfigError, match="none"):
            open_workflow(given, discard=True)
    assert not request.output.exists()


def test_an_engine_only_excluded_slides_would_need_may_be_missing(tmp_path: Path) -> None:
    path = sheet(tmp_path, one=b"x")
    path.write_text("patient_id,timepoint,stain,slide,exclude\nA,baseline,HE,one.tif,lost\n")
    (tmp_path / "settings.yaml").write_text("cells: {engine: none}")
    open_run(RunRequest(path, tmp_path / "results", tmp_path / "settings.yaml", 1))


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"key": "k", "files": []}'])
def test_a_damaged_manifest_of_the_cohort_is_made_anew(tmp_path: Path, damage: str) -> None:
    (tmp_path / "manifest.json").write_text(damage)
    assert not cohort_is_done(tmp_path, "k")
