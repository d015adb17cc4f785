"""Boxes and grids of whole pixels. Pixel (i, j) covers [i, i+1) x [j, j+1); its centre is at +0.5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Box:
    """A half-open box of whole pixels: x0 <= x < x1, y0 <= y < y1.

    Ordered by its top-left corner, y first, which is the order objects are numbered in.
    """

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def empty(self) -> bool:
        return self.x1 <= self.x0 or self.y1 <= self.y0

    def clip(self, width: int, height: int) -> Box:
        """The part inside an image of ``width`` x ``height`` pixels."""
        return Box(max(self.y0, 0), max(self.x0, 0), min(self.y1, height), min(self.x1, width))

    def grow(self, margin: int) -> Box:
        """The box enlarged by ``margin`` pixels on every side."""
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def intersect(self, other: Box) -> Box:
        """The common part; may be `empty`."""
        return Box(
            max(self.y0, other.y0),
            max(self.x0, other.x0),
            min(self.y1, other.y1),
            min(self.x1, other.x1),
        )


def grid(width: int, height: int, step: int) -> Iterator[Box]:
    """Boxes of ``step`` x ``step`` pixels anchored at (0, 0) that cover an image exactly once.

    Yields row by row; the last row and column are cut at the image's edge.
    """
    for y0 in range(0, height, step):
        for x0 in range(0, width, step):
            yield Box(y0, x0, min(y0 + step, height), min(x0 + step, width))
