"""A slide that can travel to another process: it carries a path, and opens a handle where it is read.

Handles are never shared between processes; each opens its own, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tme.slide.open import open_slide
from tme.slide.reader import TiledSlide, TileKey
from tme.slide.types import RGB, SlideInfo


@dataclass(frozen=True)
class SlideSource:
    """What a process needs to open a slide.

    Attributes
    ----------
    path : Path
    mpp : float or None
        µm/px from the sheet.
    content : str
        sha256 of the slide, so that a handle is never reused for other bytes.
    left_out : frozenset of (level, column, row)
        Damaged tiles, read as white.
    """

    path: Path
    mpp: float | None
    content: str
    left_out: frozenset[TileKey] = frozenset()


@lru_cache(maxsize=2)
def opened(source: SlideSource) -> TiledSlide:
    """This process's handle of a slide."""
    return open_slide(source.path, source.mpp, source.left_out)


@dataclass(frozen=True)
class TravellingSlide:
    """A `Slide` that pickles; reads go to the handle of the process that reads."""

    source: SlideSource
    info: SlideInfo

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """See `tme.slide.types.Slide.read`."""
        return opened(self.source).read(x, y, width, height, mpp)

    def unreadable_um(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right, bottom of the damaged tiles, µm from the slide's corner."""
        slide = opened(self.source)
        return [slide.tile_um(key) for key in sorted(self.source.left_out)]

    def close(self) -> None:
        """Nothing of its own to release."""
