"""Whether a file of PyTorch's holds tensors and nothing else, told without PyTorch and running none of it.

Such a file is a pickle, alone or in a zip, and a pickle is a program. Torch's own reader for untrusted files
(``weights_only``) runs none of it but a few names; the same names are let pass here, read from the list of
operations.
"""

from __future__ import annotations

import pickletools
import re
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tme.cells.engines._archive import BROKEN, opened

ZIP_START = b"PK\x03\x04"
"""By its first bytes, as torch does; others look at a file's end, where anything may have been put."""
MAGIC = 0x1950A86A20F9469CFC6C
"""First value of a file in torch's older format."""
OLDER_PARTS = 5
"""Pickles of the older format: magic, protocol, machine, tensors, keys; then numbers alone."""
LARGEST_PICKLE = 64_000_000
HARMLESS = re.compile(
    r"collections OrderedDict|torch (\w+Storage|Size|device|b?float\d+|u?int\d+|bool)|"
    r"torch\.storage (UntypedStorage|TypedStorage)|"
    r"torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch\.nn\.parameter Parameter"
)
OTHER_WAYS_TO_NAME = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}


def why_not_plain(path: Path) -> str:
    """Why the file is not one of tensors alone, in half a sentence; empty if it is."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(ZIP_START)) == ZIP_START:
                return _of_zip(path)
            stream.seek(0)
            return _of_older(stream)
    except BROKEN as error:
        return f"it cannot be read: {error}"


def _of_zip(path: Path) -> str:
    with opened(path) as archive:
        infos = archive.infolist()
        if any("code" in PurePosixPath(info.filename).parts for info in infos):
            return "it holds a program (TorchScript)"
        found = [info for info in infos if PurePosixPath(info.filename).suffix == ".pkl"]
        if len(found) != 1 or PurePosixPath(found[0].filename).name != "data.pkl":
            return "it is an archive, but not PyTorch's of one set of tensors"
        if found[0].file_size > LARGEST_PICKLE:
            return f"its list of tensors is over {LARGEST_PICKLE} bytes"
        return _names(BytesIO(archive.read(found[0])))


def _of_older(stream: BinaryIO) -> str:
    older = _first_number(stream) == MAGIC
    stream.seek(0)
    reason = _names(stream)
    if reason or not older:
        return reason or "it is no file of PyTorch's"
    for _ in range(OLDER_PARTS - 1):
        reason = _names(stream)
        if reason:
            return reason
    return ""


def _first_number(stream: BinaryIO) -> int | None:
    """The first long number of a pickle."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name in {"LONG1", "LONG", "LONG4"} and isinstance(argument, int):
            return argument
    return None


def _names(stream: BinaryIO) -> str:
    """What the next pickle would call that it must not; leaves the stream behind its end."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == "GLOBAL" and not HARMLESS.fullmatch(str(argument)):
            return f"it is a pickle that would run {str(argument).replace(' ', '.')[:100]}"
        if operation.name in OTHER_WAYS_TO_NAME:
            return "it is a pickle that would run code of its choice"
    return ""
