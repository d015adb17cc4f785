"""A slide that can travel to another process: it carries a path, and opens a handle where it is read.

Handles are never shared between processes; each opens its own, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tme.slide.open import open_slide
from tme.slide.types import RGB, Slide, SlideInfo


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
    """

    path: Path
    mpp: float | None
    content: str


@lru_cache(maxsize=2)
def opened(source: SlideSource) -> Slide:
    """This process's handle of a slide."""
    return open_slide(source.path, source.mpp)


@dataclass(frozen=True)
class TravellingSlide:
    """A `Slide` that pickles; reads go to the handle of the process that reads."""

    source: SlideSource
    info: SlideInfo

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """See `tme.slide.types.Slide.read`."""
        return opened(self.source).read(x, y, width, height, mpp)

    def close(self) -> None:
        """Nothing of its own to release."""
