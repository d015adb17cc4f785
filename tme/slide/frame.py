"""A black frame around a picture: how many pixels of it on each side.

Images that were cut out of a viewer or of a larger scan often carry one, a few pixels wide. No glass and no
tissue is that black; on a DAB section its pieces look like stained nuclei.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box
from tme.slide.types import RGB

BLACKEST = 64
"""Grey level of every channel up to which a pixel is black; compression lightens some of a black line."""
LEAST_SHARE = 0.75
"""Of a line's pixels that are black in it."""
PLACES, ALONG_PX = 9, 32
"""Where a side is looked at, spread evenly, and how many pixels of it each time."""
DEEPEST_PX = 256
LARGEST_SHARE = 0.05
"""Of a side, up to which black beside the picture is a frame; more is a part of the picture."""
SOFT_PX = 3
"""Beyond the last black line: grey where the picture was resampled, and of the line's colour as far as JPEG,
which stores colour for two by two pixels, carries it."""


@dataclass(frozen=True)
class Frame:
    """Width of the frame on each side, px of level 0."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self != Frame()

    @property
    def text(self) -> str:
        """A caution."""
        sides = ", ".join(f"{px} px {side}" for side, px in vars(self).items() if px)
        return f"a black frame around the picture is left out ({sides})"

    def at(self, downsample: float) -> Frame:
        """The frame in pixels of a level; parts of a pixel count whole."""
        top, right, bottom, left = (int(np.ceil(px / downsample)) for px in vars(self).values())
        return Frame(top, right, bottom, left)


def black_frame(read: Callable[[Box], RGB], width: int, height: int) -> Frame:
    """The frame of a picture.

    Parameters
    ----------
    read : callable
        Pixels of a box inside the picture.
    width, height : int
        Of the picture, px.
    """

    def side(length: int, depth: int, box: Callable[[int, int, int], Box], turn: Callable[[RGB], RGB]) -> int:
        deepest = min(DEEPEST_PX, int(LARGEST_SHARE * depth))
        along = min(ALONG_PX, length)
        starts = np.linspace(0, length - along, PLACES).astype(int)
        for start in starts:
            # Nearly every picture is told here, by its first line.
            if not _black_lines(turn(read(box(start, along, 1)))):
                return 0
        found = [_black_lines(turn(read(box(start, along, deepest + 1)))) for start in starts]
        black = int(np.median(found))
        return black + SOFT_PX if black <= deepest else 0

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


def _black_lines(lines: NDArray[np.uint8]) -> int:
    """How many of the first lines of (n, along, 3) are black."""
    black = (lines.max(axis=2) <= BLACKEST).mean(axis=1) >= LEAST_SHARE
    return len(black) if black.all() else int(np.argmin(black))
