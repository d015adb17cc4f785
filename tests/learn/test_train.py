"""`tme train` end to end: better weights are written and used, others are not, and bad wishes are told."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.learn.scenes import GREEN, MPP, draw_scene, write_geojson, write_image, write_mask
from tme.cells.engines import load_engine
from tme.cli import app
from tme.config import CellSettings
from tme.errors import ConfigError, EngineError, SheetError, TmeError
from tme.pipeline.train import NOT_KEPT, TrainRequest, train

FIELDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four fields of other colours than the network knows, outlined or masked."""
    place = tmp_path_factory.mktemp("fields")
    for seed in range(FIELDS):
        write = write_geojson if seed % 2 else write_mask
        write(place, f"P{seed}", draw_scene(40 + seed, 256, GREEN))
    return place


@pytest.fixture
def request_for(start: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainRequest:
    monkeypatch.setattr("tme.learn.tuning.SIDE", 128)
    return TrainRequest(folder, tmp_path / "mine", start=start, mpp=MPP, steps=60, cores=1)


def test_fine_tuning_helps_and_its_weights_are_used(request_for: TrainRequest, tmp_path: Path) -> None:
    said: list[str] = []
    assert train(request_for, said.append) == 0
    out = tmp_path / "mine"
    description = json.loads((out / "mine.json").read_text())
    assert description["model_id"] == "mine"
    judged = next(line for line in said if "judged by" in line).split("|")
    before, after = float(judged[2]), float(judged[3])
    assert after > before + 0.05
    assert (out / "before-after.md").read_text().splitlines()[-1] in said
    card = (out / "model-card.md").read_text()
    assert "`P1.png`" in card
    assert "none: made by a test" in card
    sha256 = said[-1].split(": ")[1]
    settings = CellSettings(
        engine="tmenet",
        weights=str(out / "mine.json"),
        weights_sha256=sha256,
        precision="fp32",
        device="cpu",
    )
    assert load_engine(settings).model_id == "mine"
    assert not list(tmp_path.glob(".mine*"))


def test_the_same_seed_gives_the_same_bytes(request_for: TrainRequest, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        request = replace(request_for, output=tmp_path / name, name="w", steps=4, keep_anyway=True)
        assert train(request, lambda _: None) == 0
        digests.append((tmp_path / name / "w.onnx").read_bytes())
    assert digests[0] == digests[1]


def test_weights_that_are_not_better_are_not_kept(
    request_for: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tme.learn.tuning.RATE", 0.0)
    monkeypatch.setattr("tme.learn.teaching.search_decoding", lambda answered, rule, worth: rule)
    said: list[str] = []
    assert train(replace(request_for, steps=1), said.append) == NOT_KEPT
    assert "nothing was written" in " ".join(said)
    assert not request_for.output.exists()
    assert train(replace(request_for, steps=1, keep_anyway=True), said.append) == 0
    assert "NOT known to be better" in (request_for.output / "model-card.md").read_text()


def test_a_limit_of_minutes_shortens_the_schedule(request_for: TrainRequest) -> None:
    request = replace(request_for, steps=100_000, minutes=0.1, keep_anyway=True)
    assert train(request, lambda _: None) == 0
    last = (request.output / "log.csv").read_text().splitlines()[-1].split(",")
    assert 1 <= int(last[0]) < 1000


def test_fields_without_classes_leave_the_calibration_as_it_was(
    request_for: TrainRequest, tmp_path: Path
) -> None:
    place = tmp_path / "plain"
    for seed in range(3):
        scene = draw_scene(60 + seed, 256, GREEN)
        write_image(place, f"{seed}.png", scene)
        np.save(place / f"{seed}_mask.npy", scene.labels)
    said: list[str] = []
    train(replace(request_for, fields=place, steps=2, keep_anyway=True), said.append)
    assert any("calibrated as before" in line for line in said)
    assert not any("F1 of lymphocytes" in line for line in said)


def refused(request: TrainRequest) -> TmeError:
    said: list[str] = []
    with pytest.raises(TmeError) as caught:
        train(request, said.append)
    assert not any(line.startswith("step") for line in said)
    return caught.value


def test_too_few_fields_to_judge_by(request_for: TrainRequest, tmp_path: Path) -> None:
    place = tmp_path / "two"
    for stem in "ab":
        write_mask(place, stem, draw_scene(1))
    error = refused(replace(request_for, fields=place))
    assert isinstance(error, SheetError)
    assert "--keep-anyway" in str(error)


def test_an_output_that_is_there_is_never_written_over(request_for: TrainRequest) -> None:
    request_for.output.mkdir()
    (request_for.output / "precious").write_text("x")
    assert isinstance(refused(request_for), ConfigError)
    assert [path.name for path in request_for.output.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"name": "../x"}, "cannot name weights"),
        ({"patient_pattern": "("}, "no regular expression"),
        ({"start": Path("nowhere.json")}, "no weights to start from"),
        ({"fields": Path("nowhere")}, "no such folder or sheet"),
    ],
)
def test_wishes_that_cannot_be_met(request_for: TrainRequest, wish: dict, said: str) -> None:
    error = refused(replace(request_for, **wish))
    assert said in str(error)
    assert error.exit_code == 2


def test_weights_other_than_their_description_says_are_refused(
    request_for: TrainRequest, start: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.json").write_text(start.read_text())
    (tmp_path / "small.onnx").write_bytes(b"other")
    assert "not the ones pinned" in str(refused(replace(request_for, start=tmp_path / "small.json")))


def test_a_missing_package_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tme.pipeline.train.find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    with pytest.raises(EngineError, match=r"torch is not installed.*pip install 'tme\[train\]'"):
        train(TrainRequest(tmp_path, tmp_path / "out"), lambda _: None)


def test_the_command_line_says_its_options() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for option in ("--hold-out", "--patient-pattern", "--keep-anyway", "--minutes", "--incomplete"):
        assert option in shown.output
