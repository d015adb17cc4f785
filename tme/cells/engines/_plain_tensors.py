"""Whether a file of PyTorch's holds tensors and nothing else, told without PyTorch and running none of it.

Such a file is a pickle, alone or in a zip, and a pickle is a program. Torch's own reader for untrusted files
(``weights_only``) runs none of it but a few names; the same names are let pass here, read from the list of
operations.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tme.cells.engines._archive import content, opened
from tme.safety import printable

ZIP_START = b"PK\x03\x04"
"""By its first bytes, as torch does; others look at a file's end, where anything may have been put."""
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First pickle of a file in torch's older format."""
OLDER_PARTS = 5
"""Pickles of the older format: magic, protocol, machine, tensors, keys; then numbers alone."""
LARGEST_PICKLE = 64_000_000
"""Bytes. Networks have some thousand tensors, of which a pickle lists names and shapes."""
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
            # No more than may be a list of tensors: a pickle says how much of the rest it wants in memory.
            return _of_older(stream.read(LARGEST_PICKLE))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return f"it cannot be read: {error}"


def _of_zip(path: Path) -> str:
    with opened(path) as archive:
        # To torch capitals are no difference.
        infos = [(PurePosixPath(info.filename.lower()), info) for info in archive.infolist()]
        if any("code" in name.parts for name, _ in infos):
            return "it holds a program (TorchScript)"
        found = [(name, info) for name, info in infos if name.suffix == ".pkl"]
        if len(found) != 1 or found[0][0].name != "data.pkl":
            return "it is an archive, but not PyTorch's of one set of tensors"
        if found[0][1].file_size > LARGEST_PICKLE:
            return f"its list of tensors is over {LARGEST_PICKLE} bytes"
        return _names(BytesIO(content(archive, found[0][1])))


def _of_older(start: bytes) -> str:
    stream = BytesIO(start)
    parts = OLDER_PARTS if start.startswith(MAGIC) else 1
    for _ in range(parts):
        reason = _names(stream)
        if reason:
            return reason
    return "" if parts > 1 else "it is no file of PyTorch's"


def _names(stream: BinaryIO) -> str:
    """What the next pickle would call that it must not; leaves the stream behind its end."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == "GLOBAL" and not HARMLESS.fullmatch(str(argument)):
            name = printable(str(argument).replace(" ", ".")[:100])
            return f"it is a pickle that would run {name}"
        if operation.name in OTHER_WAYS_TO_NAME:
            return "it is a pickle that would run code of its choice"
    return ""
