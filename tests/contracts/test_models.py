"""`tme models list` and `verify`: every engine is told, and a changed byte is found."""

from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.weight_files import tensors
from tme.cells.engines import SEGMENTERS, Supply, supply_of, tmenet
from tme.cells.engines.tmenet import BUNDLED, BUNDLED_SHA256
from tme.cli import app
from tme.errors import ConfigError
from tme.pipeline.fetch import FetchRequest, run_fetch
from tme.pipeline.models import RECORD, list_models, models_folder, record_of, verify_models
from tme.safety import file_sha256

PUBLISHED = [
    pytest.param(segmenter, one, id=one.name)
    for _, segmenter in SEGMENTERS.items()
    for one in supply_of(segmenter).published
]


def told(folder: Path, as_json: bool = False) -> str:
    said: list[str] = []
    assert list_models(folder, as_json, said.append) == 0
    return "\n".join(said)


def verified(folder: Path, *names: str | Path) -> tuple[int, list[str]]:
    said: list[str] = []
    return verify_models([str(name) for name in names], folder, said.append), said


def fetched(folder: Path, name: str = "mine") -> Path:
    source = folder.parent / name
    source.write_bytes(tensors())
    run_fetch(FetchRequest("cellpose", folder, str(source), file_sha256(source)), lambda _: None)
    return folder / name


@pytest.mark.parametrize(("segmenter", "one"), PUBLISHED)
def test_published_weights_are_described(segmenter: object, one: object) -> None:
    assert one.url.startswith("https://")
    assert one.purpose
    assert one.sha256 == "" or len(bytes.fromhex(one.sha256)) == 32
    assert segmenter.needs_weights
    assert supply_of(segmenter).refuse is not None


def test_names_of_weights_and_engines_are_unique() -> None:
    names = [param.values[1].name for param in PUBLISHED]
    assert len({name.lower() for name in [*names, *SEGMENTERS.names()]}) == len(names) + len(
        SEGMENTERS.names()
    )


def test_every_engine_that_needs_weights_says_which() -> None:
    for name in SEGMENTERS.names():
        segmenter = SEGMENTERS.get(name)
        supply = supply_of(segmenter)
        assert bool(supply.published) == segmenter.needs_weights


def test_weights_in_the_package_are_all_pinned() -> None:
    pinned = {one.path: one.sha256 for one in tmenet.bundled()}
    assert set(pinned) == set(BUNDLED.parent.iterdir())
    assert pinned[BUNDLED] == BUNDLED_SHA256 == file_sha256(BUNDLED)


def test_the_list_tells_every_engine(tmp_path: Path) -> None:
    text = told(tmp_path)
    for name, segmenter in SEGMENTERS.items():
        assert f"{name}: {segmenter.missing() or 'ready'}" in text
        assert f"works at {segmenter.mpp:g} µm/px; {segmenter.licence}" in text
    assert "tmenet-5-int8.onnx  in the package  0.8 MB" in text
    assert str(tmp_path) in text
    assert "tme models fetch python_2D_versatile_he.zip\n" in text
    assert "tme models fetch brightfield_nuclei.pt --sha256 HEX\n" in text


def test_the_list_for_programs(tmp_path: Path) -> None:
    path = fetched(tmp_path / "models")
    engines = {one["engine"]: one for one in json.loads(told(path.parent, as_json=True))}
    assert set(engines) == set(SEGMENTERS.names())
    assert engines["tmenet"]["ready"] is True
    assert engines["watershed"]["weights"] == []
    for one in engines["tmenet"]["weights"]:
        assert one["state"] == "in the package"
        assert file_sha256(Path(one["path"])) == one["sha256"]
        assert Path(one["path"]).stat().st_size == one["size_bytes"]
    mine = {one["name"]: one for one in engines["cellpose"]["weights"]}
    assert mine["mine"]["state"] == "fetched"
    assert mine["mine"]["path"] == str(path)
    assert mine["nucleitorch_0"]["state"] == "missing"
    assert mine["nucleitorch_0"]["size_bytes"] is None


def test_a_plug_in_that_says_nothing_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        name, mpp, licence, needs_weights = "plain", 0.5, "its own", True

        def missing(self) -> str:
            return ""

    SEGMENTERS.discover()
    monkeypatch.setattr(SEGMENTERS, "_items", SEGMENTERS._items | {"plain": Plain()})
    assert supply_of(SEGMENTERS.get("plain")) == Supply()
    assert "see its package" in told(tmp_path)
    with pytest.raises(ConfigError, match="no weights are fetched for this engine"):
        run_fetch(FetchRequest("plain", tmp_path), lambda _: None)
    with pytest.raises(ConfigError, match="says nothing of its weights"):
        verified(tmp_path, "plain")


def test_all_is_well(tmp_path: Path) -> None:
    code, said = verified(tmp_path / "none")
    assert code == 0
    assert said[-1] == "3 of 3 files are as pinned"
    path = fetched(tmp_path / "models")
    digest = file_sha256(path)
    for names in ((), ("cellpose",), ("mine",), (path,), (path.parent,)):
        code, said = verified(path.parent, *names)
        assert code == 0
        assert f"ok      cellpose: mine, sha256 {digest}" in said


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = fetched(tmp_path / "models")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for names in ((), ("cellpose",), (path,), (path.parent,)):
        code, said = verified(path.parent, *names)
        assert code == 3
        (bad,) = [line for line in said if line.startswith("FAILED")]
        assert bad.startswith("FAILED  cellpose: mine · it is not the file that was pinned · sha256 ")
        assert "fetch it again" in bad


def test_a_changed_byte_of_the_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(BUNDLED.parent, folder)
    monkeypatch.setattr(tmenet, "BUNDLED", folder / BUNDLED.name)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        code, said = verified(tmp_path, "tmenet")
        assert code == 3
        assert any(line.startswith(f"FAILED  tmenet: {path.name} ·") for line in said)
        assert any("install tme again" in line for line in said)
        path.unlink()
        # Of what a description that is gone pinned nobody knows.
        for names in ((), ("tmenet",)):
            code, said = verified(tmp_path, *names)
            assert code == 3
            (gone,) = [line for line in said if line.startswith("FAILED")]
            assert gone.startswith(f"FAILED  tmenet: {path.name} · the file is not there ·")
            assert gone.endswith("install tme again")
        path.write_bytes(whole)
    assert verified(tmp_path, "tmenet")[0] == 0


def test_what_is_missing_or_not_pinned(tmp_path: Path) -> None:
    code, said = verified(tmp_path, "cpsam_v2")
    assert code == 3
    assert "tme models fetch cpsam_v2" in said[0]
    assert verified(tmp_path, "stardist")[0] == 3
    loose = tmp_path / "loose"
    loose.write_bytes(b"x")
    code, said = verified(tmp_path, loose)
    assert code == 3
    assert f"it is {sha256(b'x').hexdigest()}" in said[0]
    path = fetched(tmp_path / "models")
    path.unlink()
    for names in ((), (path.parent,)):
        code, said = verified(path.parent, *names)
        assert code == 3
        (gone,) = [line for line in said if line.startswith("FAILED")]
        assert gone.startswith("FAILED  cellpose: mine · the file is not there ·")
        assert gone.endswith("put it back where it was")


def test_a_folder_in_which_nothing_lies_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", tmp_path / ("x" * 300)):
        assert verified(folder)[1][0] == f"no fetched weights lie in {folder}"


def test_a_terminal_obeys_nothing_that_lies_in_a_folder(tmp_path: Path) -> None:
    path = fetched(tmp_path / "models")
    record = record_of(path)
    assert record is not None
    for name, engine in (("w", "\x1b[2J"), ("\x1b[2Jw", "cellpose")):
        path.with_name(name).write_bytes(path.read_bytes())
        noted = record.model_copy(update={"engine": engine}).model_dump_json()
        path.with_name(name + RECORD).write_text(noted, encoding="utf-8")
    path.with_name(os.fsdecode(b"\xff.tme.json")).write_text(noted, encoding="utf-8")
    path.with_name(RECORD).write_text(noted, encoding="utf-8")
    for text in ("\n".join(verified(path.parent)[1]), told(path.parent), told(path.parent, as_json=True)):
        assert "[2J" in text
        assert "\x1b" not in text
        text.encode()


def test_a_record_that_is_not_one_pins_nothing(tmp_path: Path) -> None:
    path = fetched(tmp_path / "models")
    path.with_name(path.name + RECORD).write_text('{"engine": "cellpose", "sha256": "0"}', encoding="utf-8")
    code, said = verified(path.parent, path)
    assert code == 3
    assert "not pinned" in said[0]


def test_a_published_name_is_pinned_wherever_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "nucleitorch_0"
    path.write_bytes(b"other")
    for name in (path, tmp_path):
        code, said = verified(tmp_path / "elsewhere", name)
        assert code == 3
        assert "cellpose: nucleitorch_0 · it is not the file" in said[0]


def test_weights_of_tme_train_are_pinned_by_their_description(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(BUNDLED.parent, folder)
    for name in (folder, folder / BUNDLED.name):
        assert verified(tmp_path, name)[1][-1] == "2 of 2 files are as pinned"
    (folder / "tmenet-5-fp32.onnx").write_bytes(b"")
    code, said = verified(tmp_path, folder)
    assert code == 3
    assert any("copy it again" in line for line in said)
    (folder / "tmenet-5-fp32.onnx").unlink()
    assert verified(tmp_path, folder)[0] == 3


@pytest.mark.parametrize(
    "name", ["nothing-like-it", "cellpse", "/nowhere/w", "x" * 5000, "~nobody-here/w", "."]
)
def test_names_that_mean_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        verified(tmp_path, name)
    problem = raised.value.problem
    assert problem.where == name
    assert problem.why
    assert problem.fix
    if name == "cellpse":
        assert problem.fix == "did you mean cellpose?"


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TME_MODELS", raising=False)
    assert tmp_path in models_folder().parents
    source = tmp_path / "mine"
    source.write_bytes(tensors())
    command = ["models", "fetch", "cellpose", "--from", str(source), "--sha256", file_sha256(source)]
    assert run.invoke(app, command).exit_code == 0
    assert (models_folder() / "mine").is_file()
    assert run.invoke(app, ["models", "verify"]).exit_code == 0
    assert "mine" in run.invoke(app, ["models", "list"]).output
    assert json.loads(run.invoke(app, ["models", "list", "--json"]).output)
    (models_folder() / "mine").write_bytes(b"")
    assert run.invoke(app, ["models", "verify"]).exit_code == 3
    other = str(tmp_path / "other")
    assert run.invoke(app, ["models", "verify", "--in", other]).exit_code == 0
    assert run.invoke(app, ["models", "verify"], env={"TME_MODELS": other}).exit_code == 0
    # Docker and YAML files do not open a ~ as a shell does.
    monkeypatch.setenv("TME_MODELS", "~/models")
    assert run.invoke(app, command).exit_code == 0
    assert (tmp_path / "models" / "mine").is_file()
    listed = json.loads(run.invoke(app, ["models", "list", "--json"]).output)
    assert str(tmp_path / "models" / "mine") in [one["path"] for one in listed[0]["weights"]]
