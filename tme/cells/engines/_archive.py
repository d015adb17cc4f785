"""Zip archives from outside: one way to fail, no name twice, no more unpacked than is said."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROKEN = (OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error, zlib.error)
"""What Python's reader raises for damaged, encrypted or strange archives beside `zipfile.BadZipFile`."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive.

    Raises
    ------
    zipfile.BadZipFile
        Also from within, whatever is wrong with it; and where it is packed in a way that weights never are.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            for info in infos:
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise zipfile.BadZipFile(f"it is packed by method {info.compress_type}")
            # Torch reads the first of two, Python the last, and to torch capitals are no difference: what was
            # looked at would not be what runs.
            if len({info.filename.lower() for info in infos}) < len(infos):
                raise zipfile.BadZipFile("it holds two files of one name")
            yield archive
    except BROKEN as error:
        raise zipfile.BadZipFile(str(error)) from error


def content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A file of the archive. `ZipFile.read` would unpack gigabytes of one that says it has a few bytes."""
    with archive.open(info) as stream:
        return stream.read(info.file_size)
