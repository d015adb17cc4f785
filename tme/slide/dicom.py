"""Which DICOM files belong together. Pixels and tags are left to OpenSlide."""

from __future__ import annotations

from pathlib import Path

from tme.errors import SlideError
from tme.slide.guards import shown

PREAMBLE = 128
HEADER_BYTES = 1 << 16
SERIES_TAG = b"\x20\x00\x0e\x00UI"


def is_dicom(head: bytes) -> bool:
    """Whether a file's first 132 bytes are those of a DICOM file."""
    return head[PREAMBLE : PREAMBLE + 4] == b"DICM"


def instances(folder: Path) -> list[Path]:
    """DICOM files directly in a folder, by name."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(_head(path, 132))]


def first_instance(folder: Path) -> Path | None:
    """The file to open a folder's slide by; None if the folder holds no DICOM.

    Raises
    ------
    SlideError
        If the folder holds several series, of which none is chosen silently.
    """
    found = instances(folder)
    series = {series_uid(path) for path in found}
    if len(series) > 1:
        raise SlideError(
            f"the folder holds {len(series)} DICOM series",
            where=shown(folder),
            why="one of them would have to be guessed",
            fix="name one .dcm file of the slide in the sheet instead of the folder",
        )
    return found[0] if found else None


def series_members(path: Path) -> list[Path]:
    """The files beside ``path`` that carry its SeriesInstanceUID, itself included."""
    wanted = series_uid(path)
    return [other for other in instances(path.parent) if series_uid(other) == wanted]


def series_uid(path: Path) -> bytes:
    """SeriesInstanceUID (0020,000E) as stored; empty if absent."""
    head = _head(path, HEADER_BYTES)
    start = head.find(SERIES_TAG)
    if start < 0:
        return b""
    value = start + len(SERIES_TAG) + 2
    length = int.from_bytes(head[value - 2 : value], "little")
    return head[value : value + length].rstrip(b"\x00 ")


def _head(path: Path, count: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)
