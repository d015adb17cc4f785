"""What a slide backend supplies: a header, and decoded tiles on white.

Everything else (resolution, refusal of levels, cache, resampling) happens once, in
`tme.slide.reader`, whatever the format. Adding a format is adding one file to
``tme/slide/backends``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tme.registry import Registry
from tme.slide.types import RGB


@dataclass(frozen=True)
class RawLevel:
    """One level as the file lays it out: pixels of the level and of its tiles.

    Attributes
    ----------
    downsample : float or None
        Level-0 pixels per pixel where the format states it; None: from the sizes.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    downsample: float | None = None


@dataclass(frozen=True)
class Header:
    """What a file says of itself, unchecked.

    Attributes
    ----------
    levels : tuple of RawLevel
        Level 0 first.
    mpp_x, mpp_y : float or None
        µm/px of level 0; None where the file does not say.
    cautions : tuple of str
        Plain sentences that belong beside the slide's numbers.
    """

    levels: tuple[RawLevel, ...]
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    vendor: str = ""
    cautions: tuple[str, ...] = ()


class Source(Protocol):
    """An open file. ``tile`` is called from several threads at once."""

    header: Header

    def tile(self, level: int, column: int, row: int) -> RGB | None:
        """One decoded tile on white; None if the file holds none there (it is white).

        Returns
        -------
        (height, width, 3) uint8 RGB, at least the part of the tile that is inside the level
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Backend(Protocol):
    """One way of reading slides.

    Attributes
    ----------
    rank : int
        Backends are asked in this order; the first that claims a file reads it.
    """

    rank: int

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether this backend reads ``path``; ``head`` holds a file's first bytes, empty for a folder."""
        ...

    def open(self, path: Path) -> Source:
        """Open the file and check its header; raises `SlideError` for what must be refused."""
        ...


BACKENDS: Registry[Backend] = Registry("slide backend", "tme.slide.backends", "tme.slide_backends")
