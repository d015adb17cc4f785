"""A stage is computed once per key, and found again wherever it was left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tme.pipeline.stage_store import StageStore
from tme.store import new_artefact, write_text


class Counter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.calls = 0

    def __call__(self, folder: Path) -> dict[str, str]:
        self.calls += 1
        write_text(folder / "out.txt", self.text)
        return {"said": self.text}


def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "slides" / "a", tmp_path / ".stages" / "a")


def publish(tmp_path: Path, made: StageStore) -> None:
    with new_artefact(tmp_path / "slides" / "a", "k", {}, {"stages": made.done}) as target:
        made.collect(target)
    made.clear()


def test_a_finished_stage_is_found_after_a_kill(tmp_path: Path) -> None:
    compute = Counter("x")
    store(tmp_path).run("cells", "k1", compute)
    folder, value = store(tmp_path).run("cells", "k1", compute)
    assert (compute.calls, value, (folder / "out.txt").read_text()) == (1, {"said": "x"}, "x")


def test_a_stage_is_found_in_the_published_folder(tmp_path: Path) -> None:
    compute = Counter("x")
    first = store(tmp_path)
    first.run("cells", "k1", compute)
    publish(tmp_path, first)
    assert not (tmp_path / ".stages" / "a").exists()
    again = store(tmp_path)
    folder, _ = again.run("cells", "k1", compute)
    assert (compute.calls, again.reused, (folder / "out.txt").read_text()) == (1, ["cells"], "x")
    publish(tmp_path, again)
    assert (tmp_path / "slides" / "a" / "out.txt").read_text() == "x"


def test_stages_outlive_a_failure_that_empties_the_folder(tmp_path: Path) -> None:
    compute = Counter("x")
    first = store(tmp_path)
    first.run("tissue", "k1", compute)
    first.run("cells", "k1", compute)
    publish(tmp_path, first)
    again = store(tmp_path)
    again.run("cells", "k2", compute)
    again.keep()
    shutil.rmtree(tmp_path / "slides" / "a")
    third = store(tmp_path)
    folder, value = third.run("tissue", "k1", compute)
    assert (value, (folder / "out.txt").read_text()) == ({"said": "x"}, "x")
    third.run("cells", "k2", compute)
    assert (compute.calls, third.reused) == (3, ["tissue", "cells"])


@pytest.mark.parametrize("where", ["waiting", "published"])
def test_another_key_or_a_harmed_file_is_computed_again(tmp_path: Path, where: str) -> None:
    compute = Counter("x")
    first = store(tmp_path)
    first.run("cells", "k1", compute)
    if where == "published":
        publish(tmp_path, first)
    store(tmp_path).run("cells", "k2", compute)
    assert compute.calls == 2
    for found in tmp_path.rglob("out.txt"):
        found.write_text("longer than it was")
    store(tmp_path).run("cells", "k1", compute)
    assert compute.calls == 3
