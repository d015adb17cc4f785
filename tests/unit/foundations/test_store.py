"""Artefacts: all or nothing, found again only when whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme.errors import ArtefactError, ConfigError, SpaceError
from tme.store import (
    canonical_json,
    is_intact,
    new_artefact,
    read_json,
    read_manifest,
    read_sealed,
    recover,
    sealed,
    space_guard,
    write_json,
    write_text,
)

plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.dictionaries(
    st.text(), st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
)


def make(folder: Path, text: str, key: str = "k1") -> None:
    with new_artefact(folder, key, {"input": text}) as temporary:
        write_text(temporary / "a.txt", text)
        write_text(temporary / "sub" / "b.txt", text * 2)


def test_an_artefact_appears_whole_with_its_manifest(tmp_path: Path) -> None:
    make(tmp_path / "x", "one")
    manifest = read_manifest(tmp_path / "x")
    assert manifest is not None
    assert manifest.key == "k1"
    assert sorted(manifest.files) == ["a.txt", "sub/b.txt"]
    assert is_intact(tmp_path / "x", "k1", thorough=True)
    assert not is_intact(tmp_path / "x", "another key")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_second_artefact_replaces_the_first(tmp_path: Path) -> None:
    make(tmp_path / "x", "one")
    make(tmp_path / "x", "two", "k2")
    assert (tmp_path / "x" / "a.txt").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_exception_publishes_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    make(tmp_path / "x", "one")
    with pytest.raises(ValueError, match="stop"), new_artefact(tmp_path / "x", "k2", {}) as temporary:
        write_text(temporary / "a.txt", "half")
        raise ValueError("stop")
    assert is_intact(tmp_path / "x", "k1", thorough=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("harm", ["cut", "flip", "remove", "manifest"])
def test_a_harmed_artefact_is_not_taken_for_whole(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "x"
    make(folder, "one")
    path = folder / "sub" / "b.txt"
    if harm == "cut":
        path.write_text("oneon")
    elif harm == "flip":
        path.write_text("oneonE")
    elif harm == "remove":
        path.unlink()
    else:
        (folder / "manifest.json").write_text('{"key": "k1"}')
    assert not is_intact(folder, "k1", thorough=True)


def test_a_kill_between_the_two_renames_is_recovered(tmp_path: Path) -> None:
    make(tmp_path / "x", "one")
    (tmp_path / "x").rename(tmp_path / ".x.old")
    (tmp_path / ".x.abc.part").mkdir()
    recover(tmp_path / "x")
    assert is_intact(tmp_path / "x", "k1", thorough=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_recover_drops_the_old_one_when_the_new_is_there(tmp_path: Path) -> None:
    make(tmp_path / "x", "one")
    (tmp_path / "x").rename(tmp_path / ".x.old")
    make(tmp_path / "y", "two")
    (tmp_path / "y").rename(tmp_path / "x")
    recover(tmp_path / "x")
    assert (tmp_path / "x" / "a.txt").read_text() == "two"
    assert not (tmp_path / ".x.old").exists()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no space left"), space_guard(tmp_path / "f"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), space_guard(tmp_path / "f"):
        raise PermissionError(errno.EACCES, "no")


def test_a_disk_too_full_for_one_more_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkstemp", full)
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(SpaceError):
        write_json(tmp_path / "a.json", {})
    with pytest.raises(SpaceError), new_artefact(tmp_path / "a", "key", {}):
        pass


def test_a_manifest_of_another_shape_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"key": "k", "inputs": {}, "extra": {}, "files": []}')
    assert read_manifest(tmp_path) is None


def test_json_is_canonical_and_unreadable_json_is_named(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == '{\n  "a": "ü",\n  "b": 1\n}\n'
    write_json(tmp_path / "f.json", {"a": 1})
    assert read_json(tmp_path / "f.json") == {"a": 1}
    (tmp_path / "f.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"f\.json"):
        read_json(tmp_path / "f.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


@given(values)
def test_a_seal_holds_for_its_content_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("seal") / "a.json"
    content = sealed(value)
    assert sealed(content) == content
    write_json(path, content)
    assert read_sealed(path, "it", "make it again") == content
    write_json(path, {**content, "a new key": 1})
    with pytest.raises(ConfigError, match="changed after it was written"):
        read_sealed(path, "it", "make it again")
