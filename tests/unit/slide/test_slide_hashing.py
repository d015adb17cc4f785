"""Fingerprint and content hash: one file, many files, what changes them and what does not."""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from slide_files import tissue, write_zarr

from tme.errors import SlideError
from tme.slide.hashing import EDGE_BYTES, content_sha256, fingerprint


def _bytes(path: Path, size: int, seed: int = 0) -> Path:
    path.write_bytes(np.random.default_rng(seed).bytes(size))
    return path


@pytest.mark.parametrize("size", [1, EDGE_BYTES - 1, EDGE_BYTES, EDGE_BYTES + 5, 3 * EDGE_BYTES])
def test_one_file(tmp_path: Path, size: int) -> None:
    path = _bytes(tmp_path / "a.svs", size)
    assert content_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    copy = tmp_path / "other name.svs"
    shutil.copy(path, copy)
    assert fingerprint(copy) == fingerprint(path)
    for position in {0, size - 1}:
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        copy.write_bytes(data)
        assert fingerprint(copy) != fingerprint(path)


def test_the_middle_is_left_to_the_full_hash(tmp_path: Path) -> None:
    path = _bytes(tmp_path / "a.svs", 3 * EDGE_BYTES)
    marks = fingerprint(path), content_sha256(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert fingerprint(path) == marks[0]
    assert content_sha256(path) != marks[1]


@pytest.mark.parametrize("function", [fingerprint, content_sha256])
def test_folders(tmp_path: Path, function) -> None:  # type: ignore[no-untyped-def]
    path = write_zarr(tmp_path / "a.zarr", tissue(60, 80))
    mark = function(path)
    moved = path.rename(tmp_path / "b.zarr")
    assert function(moved) == mark
    chunk = next(moved.glob("0/c/**/[0-9]*"))
    while chunk.is_dir():
        chunk = next(chunk.iterdir())
    renamed = chunk.rename(chunk.with_name("77"))
    assert function(moved) != mark
    renamed.rename(chunk)
    assert function(moved) == mark
    (moved / "new").write_text("")
    assert function(moved) != mark


@pytest.mark.parametrize("function", [fingerprint, content_sha256])
def test_mirax_covers_its_folder(tmp_path: Path, function) -> None:  # type: ignore[no-untyped-def]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Slidedat.ini").write_text("[GENERAL]")
        _bytes(tmp_path / name / "Data0000.dat", 50)
        _bytes(tmp_path / f"{name}.mrxs", 10)
    assert function(tmp_path / "a.mrxs") == function(tmp_path / "b.mrxs")
    _bytes(tmp_path / "b" / "Data0000.dat", 50, seed=1)
    assert function(tmp_path / "a.mrxs") != function(tmp_path / "b.mrxs")


def _instance(path: Path, series: bytes) -> Path:
    path.write_bytes(bytes(128) + b"DICM" + b"\x20\x00\x0e\x00UI" + struct.pack("<H", len(series)) + series)
    return path


def test_dicom_is_its_series(tmp_path: Path) -> None:
    first, second = _instance(tmp_path / "1.dcm", b"1.2.3\x00"), _instance(tmp_path / "2.dcm", b"1.2.3\x00")
    mark = content_sha256(first)
    assert content_sha256(second) == mark == content_sha256(tmp_path)
    other = _instance(tmp_path / "3.dcm", b"1.2.4\x00")
    assert content_sha256(first) == mark
    assert content_sha256(other) == hashlib.sha256(other.read_bytes()).hexdigest()


def test_vms_covers_what_it_names_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.vms"
    path.write_text(
        "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=../c.jpg\n"
    )
    for name in ("a.jpg", "b.jpg"):
        _bytes(tmp_path / name, 20)
    mark = content_sha256(path)
    _bytes(tmp_path / "b.jpg", 20, seed=1)
    assert content_sha256(path) != mark


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="no such file"):
        fingerprint(tmp_path / "a.svs")
