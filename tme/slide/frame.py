"""A black frame around a picture: how many pixels of it on each side.

Images that were cut out of a viewer or of a larger scan often carry one, a few pixels wide. No glass and no
tissue is that black; on a DAB section its pieces look like stained nuclei.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tme.errors import TileError
from tme.geometry import Box
from tme.slide.types import RGB, Frame

BLACKEST = 64
"""Grey level of every channel up to which a pixel is black; compression lightens some of a black line."""
LEAST_SHARE = 0.75
"""Of a line's pixels that are black in it."""
PLACES, ALONG_PX = 9, 32
"""Where a side is looked at, spread evenly, and how many pixels of it each time."""
LEAST_PLACES = 5
"""Of these that can be read."""
DEEPEST_PX = 256
LARGEST_SHARE = 0.05
"""Of a side, up to which black beside the picture is a frame; more is a part of the picture."""
SOFT_PX = 3
"""Beyond the last black line: grey where the picture was resampled, and of the line's colour as far as JPEG,
which stores colour for two by two pixels, carries it."""


def black_frame(read: Callable[[Box], RGB], width: int, height: int) -> Frame:
    """The frame of a picture.

    Parameters
    ----------
    read : callable
        Pixels of a box inside the picture; may raise `TileError` where it is damaged.
    width, height : int
        Of the picture, px.
    """

    def side(length: int, depth: int, box: Callable[[int, int, int], Box], turn: Callable[[RGB], RGB]) -> int:
        deepest = min(DEEPEST_PX, int(LARGEST_SHARE * depth))
        along = min(ALONG_PX, length)
        starts = np.linspace(0, length - along, PLACES).astype(int)
        first = [_black_lines(read, box(at, along, 1), turn) for at in starts]
        # Nearly every picture is told here, by its first line.
        seen = [at for at, black in zip(starts, first, strict=True) if black is not None]
        if len(seen) < LEAST_PLACES or 0 in first:
            return 0
        deep = (_black_lines(read, box(at, along, deepest + 1), turn) for at in seen)
        found = [black for black in deep if black is not None]
        black = int(np.median(found)) if len(found) >= LEAST_PLACES else 0
        return black + SOFT_PX if 0 < black <= deepest else 0

    if min(width, height) * LARGEST_SHARE < 1:
        return Frame()
    return Frame(
        top=side(width, height, lambda at, n, k: Box(0, at, k, at + n), lambda a: a),
        right=side(
            height,
            width,
            lambda at, n, k: Box(at, width - k, at + n, width),
            lambda a: a.transpose(1, 0, 2)[::-1],
        ),
        bottom=side(width, height, lambda at, n, k: Box(height - k, at, height, at + n), lambda a: a[::-1]),
        left=side(height, width, lambda at, n, k: Box(at, 0, at + n, k), lambda a: a.transpose(1, 0, 2)),
    )


def _black_lines(read: Callable[[Box], RGB], box: Box, turn: Callable[[RGB], RGB]) -> int | None:
    """How many of the first lines of a box are black; None where it cannot be read."""
    try:
        lines = turn(read(box))
    except TileError:
        return None
    black = (lines.max(axis=2) <= BLACKEST).mean(axis=1) >= LEAST_SHARE
    return len(black) if black.all() else int(np.argmin(black))
