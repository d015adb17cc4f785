"""Refusals every format shares: what is no file, what is too large, what a decoder cannot take."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tme.errors import SlideError
from tme.safety import error_text
from tme.slide.source import RawLevel

MAX_PIXELS = 4 * 10**11
MAX_TILES = 5 * 10**6
# Decoded and composited this is about 0.7 GB at its worst.
MAX_SEGMENT_PIXELS = 100_000_000

# What readers and codecs raise on a file that is not what it claims to be. `OpenSlideError` is
# added by the backend that can raise it.
DECODER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def shown(path: Path) -> str:
    """A file's name as it may stand in a message: nothing in it moves the cursor or ends the line."""
    return "".join(char if char.isprintable() else "\ufffd" for char in path.name) or str(path)


@contextlib.contextmanager
def decoding(
    path: Path, what: str = "the file cannot be read", kind: type[SlideError] = SlideError
) -> Iterator[None]:
    """Turn what a decoder raises into a `SlideError`, or a kind of it, that names the file."""
    try:
        yield
    except SlideError:
        raise
    except DECODER_ERRORS as error:
        detail = error_text(error)
        raise kind(
            what,
            where=shown(path),
            why=f"{type(error).__name__}: {detail}" if detail else type(error).__name__,
            fix="copy the slide from the scanner again and compare file sizes",
        ) from error


def check_path(path: Path) -> None:
    """Refuse what is not a readable, non-empty file or folder, without opening it.

    Raises
    ------
    SlideError
        Nothing there, a pipe, socket or device, an empty file, no permission.
    """
    where = shown(path)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise SlideError(
            "there is no such file",
            where=where,
            fix="check the path in the column slide; it is relative to the sheet",
        ) from error
    except (OSError, ValueError) as error:
        raise SlideError(
            "the path cannot be followed", where=where, why=error_text(error), fix="check the path"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise SlideError(
            "this is a pipe, socket or device, not a file", where=where, fix="give the path of a slide file"
        )
    if status.st_size == 0:
        raise SlideError(
            "the file is empty (0 bytes)", where=where, fix="copy the slide from the scanner again"
        )
    if not os.access(path, os.R_OK):
        raise SlideError(
            "the file may not be read", where=where, why="no permission", fix="ask for read permission"
        )


def check_size(path: Path, levels: tuple[RawLevel, ...]) -> None:
    """Refuse sizes no slide has, from the header alone.

    Raises
    ------
    SlideError
        Beyond 4·10^11 pixels or 5·10^6 tiles in a level, tiles too large to decode, or no pixels.
    """
    for level in levels:
        if min(level.width, level.height, level.tile_width, level.tile_height) < 1:
            raise SlideError(
                "the header gives a size of 0 pixels", where=shown(path), fix="export the slide again"
            )
        tiles = -(-level.width // level.tile_width) * -(-level.height // level.tile_height)
        if level.width * level.height > MAX_PIXELS or tiles > MAX_TILES:
            raise SlideError(
                f"the header claims {level.width} x {level.height} pixels in {tiles} tiles",
                where=shown(path),
                why="no slide is that large; the header is damaged or hostile",
                fix="export the slide again",
            )
        if level.tile_width * level.tile_height > MAX_SEGMENT_PIXELS:
            raise SlideError(
                f"{level.tile_width} x {level.tile_height} pixels are stored in one piece",
                where=shown(path),
                why="they would have to be decoded whole, which takes more memory than planned for",
                fix="convert it to a tiled pyramid, e.g. with `vips tiffsave --tile --pyramid`",
            )
