"""What an engine refuses of a file before anything reads it: told without the engine's packages."""

from __future__ import annotations

import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.weight_files import (
    MAGIC,
    STATE,
    doubled,
    larger_than_it_says,
    older_tensors,
    script,
    stardist_network,
    tensors,
    zipped,
)
from tme.cells.engines import SEGMENTERS, supply_of
from tme.cells.engines._plain_tensors import why_not_plain
from tme.errors import EngineError


class Harm:
    """Would make a folder, were it unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


def why(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "weights"
    path.write_bytes(data)
    return why_not_plain(path)


@pytest.mark.parametrize("data", [tensors(), older_tensors()], ids=["zip", "older"])
def test_tensors_are_let_pass(tmp_path: Path, data: bytes) -> None:
    assert why(tmp_path, data) == ""


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    harm = pickle.dumps({"w": Harm()}, protocol=protocol)
    last = older_tensors().replace(pickle.dumps(["0"], protocol=2), harm)
    for data in (harm, tensors(harm), older_tensors(harm), last):
        assert "run" in why(tmp_path, data)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "named",
    [
        b"cbuiltins\neval\n.",
        b"ctorch\nload\n.",
        b"ctorch._utils\n_rebuild_tensor\n.",
        b"ctorch\nFloatStorage.x\n.",
    ],
)
def test_names_are_let_pass_one_by_one(tmp_path: Path, named: bytes) -> None:
    assert "would run" in why(tmp_path, tensors(b"\x80\x02" + named))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"<!DOCTYPE html>", "cannot be read"),
        (pickle.dumps({"w": 1}), "no file of PyTorch's"),
        (MAGIC, "cannot be read"),
        (older_tensors()[:60], "cannot be read"),
        (tensors()[:60], "cannot be read"),
        (script(), "program"),
        (zipped({"a/data.pkl": STATE, "b/data.pkl": STATE}), "archive"),
        (tensors(name="other.pkl"), "archive"),
        (zipped({"a/data.pkl": STATE}, zipfile.ZIP_BZIP2), "cannot be read"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".", "cannot be read"),
        (b"\x80\x02cos\n\x1b[2Jsystem\n.", "would run os. [2Jsystem"),
    ],
)
def test_other_files_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in why(tmp_path, data)


def test_a_pickle_with_an_archive_behind_it_counts_as_what_it_begins_with(tmp_path: Path) -> None:
    assert "would run" in why(tmp_path, pickle.dumps(Harm(), protocol=2) + tensors())


def refused(engine: str, tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "weights"
    path.write_bytes(data)
    refuse = supply_of(SEGMENTERS.get(engine)).refuse
    assert refuse is not None
    try:
        refuse(path)
    except EngineError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("engine", "data"), [("cellpose", tensors()), ("stardist", stardist_network()), ("instanseg", script())]
)
def test_each_engine_takes_its_own_kind_and_no_other(engine: str, data: bytes, tmp_path: Path) -> None:
    assert refused(engine, tmp_path, data) == ""
    for other in (tensors(pickle.dumps(Harm(), 2)), pickle.dumps(Harm()), b"PK\x03\x04 and no more", b""):
        assert "is not weights" in refused(engine, tmp_path, other)
    for name in {"cellpose", "stardist", "instanseg"} - {engine}:
        assert "is not weights" in refused(name, tmp_path, data)


def test_what_stardist_and_instanseg_refuse(tmp_path: Path) -> None:
    assert "not HDF5" in refused("stardist", tmp_path, stardist_network(weights_best__h5=pickle.dumps(1)))
    assert "thresholds" in refused("stardist", tmp_path, stardist_network(thresholds__json=b"{}"))
    writes = b"def forward(self, x):\n  torch.save(x, 'file')\n"
    assert "read or write files" in refused("instanseg", tmp_path, script(writes))


def test_of_two_files_of_one_name_neither_is_believed(tmp_path: Path) -> None:
    """Torch takes the first and knows no capitals, Python's reader the last."""
    harm, plain = b"def forward(self, x):\n  torch.save(x, 'file')\n", b"def forward(self, x):\n  return x\n"
    for first in ("net/code/a.py", "net/CODE/A.py"):
        both = doubled([(first, harm), ("net/code/a.py", plain), ("net/data.pkl", b".")])
        assert "two files of one name" in refused("instanseg", tmp_path, both)
        pickles = doubled([(first, pickle.dumps(Harm(), 2)), ("net/code/a.py", STATE)])
        assert "two files of one name" in refused("cellpose", tmp_path, pickles)
    hidden = doubled([("net/CODE/A.PY", harm), ("net/code/b.py", plain)])
    assert "read or write files" in refused("instanseg", tmp_path, hidden)
    assert "program" in refused("cellpose", tmp_path, doubled([("a/CODE/x", b""), ("a/data.pkl", STATE)]))
    other = doubled([("a/DATA.PKL", pickle.dumps(Harm(), 2)), ("b/data.pkl", STATE)])
    assert "archive" in refused("cellpose", tmp_path, other)


@pytest.mark.parametrize(("engine", "name"), [("cellpose", "a/data.pkl"), ("instanseg", "a/code/x.py")])
def test_no_more_is_unpacked_than_an_archive_says(engine: str, name: str, tmp_path: Path) -> None:
    data = larger_than_it_says(name, 60_000_000, 100)
    tracemalloc.start()
    try:
        assert "is not weights" in refused(engine, tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_damaged_files_are_named_whatever_is_wrong_with_them(tmp_path: Path) -> None:
    """No other error comes out."""
    draw = random.Random(0)  # noqa: S311 - the same files every time
    whole = [tensors(), older_tensors(), stardist_network(), script()]
    for _ in range(1500):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data))
            data[place : place + draw.choice([0, 1, 4, 8])] = draw.choice(
                [b"", b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff", draw.randbytes(1)]
            )
        for engine in ("cellpose", "stardist", "instanseg"):
            refused(engine, tmp_path, bytes(data))
