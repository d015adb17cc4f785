"""What on disk is a slide, and whether two paths are the same one."""

from __future__ import annotations

import filecmp
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tme.cohort.text import shown
from tme.errors import SheetError

# Also formats no backend reads: such a slide is refused by name at preflight, not lost on the way.
SLIDE_ENDINGS = (
    ".svs",
    ".tif",
    ".tiff",
    ".btf",
    ".tf2",
    ".tf8",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".bif",
    ".vms",
    ".vmu",
    ".svslide",
    ".qptiff",
    ".vsi",
    ".czi",
    ".dcm",
    ".isyntax",
    ".i2syntax",
    ".lif",
    ".nd2",
    ".kfb",
    ".sdpc",
    ".zarr.zip",
    ".png",
    ".jpg",
    ".jpeg",
)
_DICOM_MAGIC = b"DICM"
_ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def is_slide_file(name: str) -> bool:
    """Whether a file's name ends like a slide's; hidden files and macOS companions do not count."""
    return not name.startswith(".") and name.lower().endswith(SLIDE_ENDINGS)


def is_zarr_folder(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr image."""
    return folder.name.lower().endswith(".zarr") or any((folder / name).is_file() for name in _ZARR_FILES)


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder directly holds DICOM files: by ending, or by magic bytes where there is none."""
    return any(_is_dicom(entry) for entry in _entries(folder))


def is_slide_folder(folder: Path) -> bool:
    """Whether a whole folder is one slide: OME-Zarr or DICOM."""
    return os.path.isdir(folder) and (is_zarr_folder(folder) or is_dicom_folder(folder))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _is_dicom(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or not entry.is_file():
        return False
    if entry.name.lower().endswith(".dcm"):
        return True
    if "." in entry.name.strip("0123456789."):
        return False
    try:
        with open(entry.path, "rb") as stream:
            return stream.read(132)[128:] == _DICOM_MAGIC
    except OSError:
        return False


def find_path(base: Path, raw: str, text: str) -> Path:
    """The path a cell names, relative to ``base``.

    Tried in turn: the cell without blanks at its ends, the cell as it stands, and the composed and
    decomposed forms of its accents, which file systems store differently. The first is returned if
    none exists.

    Parameters
    ----------
    base : Path
        Folder of the sheet, absolute.
    raw, text : str
        The cell as it stands and stripped.
    """
    forms = (text, raw, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    candidates = [base / form for form in dict.fromkeys(forms)]
    return next((path for path in candidates if os.path.exists(path)), candidates[0])


def check_slide(path: Path, text: str) -> None:
    """Raise SheetError unless ``path`` is a file or a folder that is one slide."""
    if os.path.isfile(path):
        return
    if os.path.isdir(path):
        if not is_slide_folder(path):
            raise SheetError(
                f"slide {shown(text)} is a folder",
                why="it is neither an OME-Zarr nor a DICOM slide",
                fix="give the slide's own file",
            )
        return
    _missing(text, "slide")


def check_annotations(path: Path, text: str) -> None:
    """Raise SheetError unless ``path`` is a file."""
    if not os.path.isfile(path):
        _missing(text, "annotations")


def _missing(text: str, column: str) -> None:
    if "://" in text:
        raise SheetError(
            f"{column} {shown(text)} is an address",
            why="tme reads local files and uses no network",
            fix="copy it to this machine and give its path",
        )
    slashes = "write '/' between folders; " if "\\" in text else ""
    raise SheetError(
        f"{column} {shown(text)} does not exist",
        why="paths are relative to the sheet's folder",
        fix=slashes + "correct the path" + (", or give a reason in 'exclude'" if column == "slide" else ""),
    )


def identity(path: Path) -> tuple[object, ...]:
    """The same for two paths of one file, whatever links lead there."""
    try:
        found = path.stat()
    except OSError:
        return (os.path.normcase(os.path.realpath(path)),)
    return (found.st_dev, found.st_ino)


def same_content(first: Path, second: Path) -> bool:
    """Whether two slides of one fingerprint are the same to the byte.

    A fingerprint may look at a part of a file only, so files of one size are compared whole. Folders,
    and files that are only a part of their slides (a DICOM level), are taken at its word.
    """
    if not (os.path.isfile(first) and os.path.isfile(second)):
        return True
    return first.stat().st_size != second.stat().st_size or filecmp.cmp(first, second, shallow=False)
