"""Open a slide: find the backend that reads it, or say by name why none does."""

from __future__ import annotations

from pathlib import Path

from tme.errors import SlideError
from tme.slide.guards import check_path, decoding, shown
from tme.slide.reader import TiledSlide, TileKey
from tme.slide.source import BACKENDS, Source

HEAD_BYTES = 256
KNOWN_STRANGERS = (
    (b"ZISRAWFILE", "this is a Zeiss CZI file, which is not read", "export it from ZEN as OME-TIFF or SVS"),
    (
        b"\x00\x00\x00\x0cjP  ",
        "this is a JPEG 2000 image, which is not read on its own",
        "save it as tiled TIFF",
    ),
    (b"\xff\x4f\xff\x51", "this is a JPEG 2000 image, which is not read on its own", "save it as tiled TIFF"),
    (b"PK\x03\x04", "this is a zip archive", "unpack it and give the folder or file inside"),
    (b"<DataObject", "this is a Philips iSyntax file, which is not read", "export it as TIFF or DICOM"),
    (b"\x1f\x8b", "this is a gzip archive", "unpack it and give the file inside"),
)


def open_slide(
    path: Path, mpp: float | None = None, left_out: frozenset[TileKey] = frozenset()
) -> TiledSlide:
    """Open a slide or field of view.

    Parameters
    ----------
    path : Path
        A file, an OME-Zarr folder, or a folder of DICOM instances.
    mpp : float, optional
        µm/px of level 0 from the sample sheet; wins over what the file says.
    left_out : frozenset of (level, column, row)
        Tiles that are known to be damaged: they are white.

    Raises
    ------
    SlideError
        The file is missing, damaged, of a kind that cannot be a stained section, or has no
        resolution. The message says what, why and how to mend it.
    """
    path = Path(path)
    check_path(path)
    with decoding(path):
        name, source = _source(path)
    try:
        return TiledSlide(path, name, source, mpp, left_out)
    except SlideError:
        source.close()
        raise


def _source(path: Path) -> tuple[str, Source]:
    head = b""
    if not path.is_dir():
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    for magic, what, fix in KNOWN_STRANGERS:
        if head.startswith(magic):
            raise SlideError(what, where=shown(path), fix=fix)
    if path.suffix.casefold() == ".vsi":
        raise SlideError(
            "this is an Olympus VSI overview, which holds no slide",
            where=shown(path),
            why="the pixels lie in .ets files of a folder beside it, which are not read",
            fix="export it as OME-TIFF",
        )
    for name, backend in sorted(BACKENDS.items(), key=lambda item: (item[1].rank, item[0])):
        if backend.claims(path, head):
            return name, backend.open(path)
    kind = "folder" if path.is_dir() else "file"
    raise SlideError(
        f"this {kind} is not a slide in any format tme reads",
        where=shown(path),
        why="neither OpenSlide nor the readers of TIFF, OME-Zarr and images know it",
        fix="export it as SVS, OME-TIFF or OME-Zarr",
    )
