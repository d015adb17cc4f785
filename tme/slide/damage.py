"""Which tiles of a slide cannot be decoded, when it is known that one cannot."""

from __future__ import annotations

import math

from tme.errors import TileError
from tme.slide.reader import TiledSlide, TileKey

MOST_SHARE = 0.01
"""Share of a level's tiles above which the file is damaged as a whole, and not in a spot."""


def damaged_tiles(slide: TiledSlide) -> frozenset[TileKey]:
    """Every tile that cannot be decoded; all tiles are tried.

    Raises
    ------
    TileError
        More than `MOST_SHARE` of the tiles of a level cannot; the message names the first of them.
    """
    bad: dict[int, list[TileKey]] = {}
    allowed = {level: math.floor(MOST_SHARE * count) for level, count in _per_level(slide).items()}
    for key in slide.tiles():
        try:
            slide.decode(key)
        except TileError:
            found = bad.setdefault(key[0], [])
            found.append(key)
            if len(found) > allowed[key[0]]:
                slide.decode(found[0])
    return frozenset(key for keys in bad.values() for key in keys)


def spares(slide: TiledSlide) -> bool:
    """Whether the slide is large enough for a single damaged tile to be left out."""
    return MOST_SHARE * _per_level(slide)[0] >= 1


def _per_level(slide: TiledSlide) -> dict[int, int]:
    count: dict[int, int] = {}
    for level, _, _ in slide.tiles():
        count[level] = count.get(level, 0) + 1
    return count
