"""Zip archives from outside, read with every way they can be broken named."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What a damaged, encrypted or strange archive raises while it is read."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; `zipfile.BadZipFile` where it is packed in a way that weights never are."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(f"it is packed by method {info.compress_type}")
        yield archive
