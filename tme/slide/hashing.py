"""What identifies a slide's bytes: a cheap fingerprint before a run, the full hash while it reads.

A slide of one file hashes to the plain sha256 of that file, which `sha256sum` gives too. A slide of
several files (OME-Zarr, DICOM, MIRAX, VMS) hashes over the sorted list of names and hashes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from tme.safety import file_sha256
from tme.slide.dicom import instances, is_dicom, series_members
from tme.slide.guards import check_path, decoding

EDGE_BYTES = 1 << 20


def fingerprint(path: Path) -> str:
    """sha256 over size, first and last MiB of every file of the slide: enough to notice another file.

    Raises
    ------
    SlideError
        If a file is missing or cannot be read.
    """
    return _combined(path, _edges)


def content_sha256(path: Path) -> str:
    """sha256 over every byte of the slide.

    Raises
    ------
    SlideError
        If a file is missing or cannot be read.
    """
    return _combined(path, file_sha256)


def members(path: Path) -> list[tuple[str, Path]]:
    """(relative POSIX name, file) of all files a slide consists of, sorted by name."""
    if path.is_dir():
        found = [(file.name, file) for file in instances(path)] or _tree(path, "")
    elif path.suffix.casefold() == ".mrxs":
        # The name of the pair may change without changing the slide.
        found = [("slide.mrxs", path), *_tree(path.with_suffix(""), "slide/")]
    elif path.suffix.casefold() in {".vms", ".vmu"}:
        found = [(file.name, file) for file in {path, *_named_in(path)}]
    elif _is_dicom(path):
        found = [(file.name, file) for file in series_members(path)]
    else:
        found = [("", path)]
    return sorted(found)


def _combined(path: Path, digest: Callable[[Path], str]) -> str:
    path = Path(path)
    check_path(path)
    with decoding(path):
        files = members(path)
        if len(files) == 1 and files[0][1] == path:
            return digest(path)
        total = hashlib.sha256()
        for name, file in files:
            total.update(f"{digest(file)}  {name}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()


def _edges(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size}\n".encode())
    with path.open("rb") as stream:
        digest.update(stream.read(EDGE_BYTES))
        if size > EDGE_BYTES:
            stream.seek(max(EDGE_BYTES, size - EDGE_BYTES))
            digest.update(stream.read(EDGE_BYTES))
    return digest.hexdigest()


def _tree(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place) / name
            if file.is_file():
                found.append((prefix + file.relative_to(folder).as_posix(), file))
    return found


def _named_in(path: Path) -> list[Path]:
    """Image files a Hamamatsu VMS/VMU index names; only those that lie beside it."""
    text = path.read_bytes()[:EDGE_BYTES].decode("latin-1")
    names = re.findall(r"^\w*File\w*(?:\([^)]*\))?\s*=\s*([^\r\n]+)", text, re.MULTILINE)
    files = [path.parent / name.strip() for name in names if "/" not in name and "\\" not in name]
    return [file for file in files if file.is_file()]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_dicom(stream.read(132))
