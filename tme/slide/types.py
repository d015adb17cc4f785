"""The values of the slide room: what a slide is, and how its pixels are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Read = Callable[[int, int, int, int, float], RGB]
"""`Slide.read`, or something that stands for it where the slide itself cannot go."""
SNAP_TOLERANCE = 0.03


@dataclass(frozen=True)
class Level:
    """One level of the pyramid: pixels and µm/px (mean of x and y)."""

    width: int
    height: int
    mpp: float


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


@dataclass(frozen=True)
class SlideInfo:
    """What the header says, checked.

    Attributes
    ----------
    path : str
        Where the slide was opened from; never written to a table.
    backend : str
        Name of the registered backend that reads it.
    levels : tuple of Level
        Level 0 first, coarser ones after it. At least one.
    mpp_source : {"sheet", "metadata"}
    objective_power : float or None
    vendor : str
        Empty if unknown.
    cautions : tuple of str
        Plain sentences that belong beside the slide's numbers.
    frame : Frame
        Around the picture; no part of it is tissue.
    """

    path: str
    backend: str
    levels: tuple[Level, ...]
    mpp_source: str
    objective_power: float | None = None
    vendor: str = ""
    cautions: tuple[str, ...] = ()
    frame: Frame = Frame()

    @property
    def width(self) -> int:
        """Level-0 width, px."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Level-0 height, px."""
        return self.levels[0].height

    @property
    def mpp(self) -> float:
        """Level-0 resolution, µm/px."""
        return self.levels[0].mpp

    def working_mpp(self, requested: float, tolerance: float = SNAP_TOLERANCE) -> float:
        """The resolution to work at when ``requested`` µm/px is wanted.

        A level within ``tolerance`` (relative) of the request is used as it is, without resampling;
        otherwise the request itself is the answer and `Slide.read` resamples to it.
        """
        near = [level.mpp for level in self.levels if abs(level.mpp / requested - 1) <= tolerance]
        return min(near, key=lambda mpp: (abs(mpp / requested - 1), mpp)) if near else requested

    def size_at(self, mpp: float) -> tuple[int, int]:
        """(width, height) in whole pixels of the grid at ``mpp`` µm/px that covers the slide."""
        for level in self.levels:
            if level.mpp == mpp:
                return level.width, level.height
        scale = self.mpp / mpp
        return (
            max(1, int(np.ceil(self.width * scale - 1e-6))),
            max(1, int(np.ceil(self.height * scale - 1e-6))),
        )


class Slide(Protocol):
    """An open slide. Handles are never shared between processes: workers open their own."""

    @property
    def info(self) -> SlideInfo:
        """What the header says."""
        ...

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """Pixels of a box on the grid at ``mpp`` µm/px, anchored at the slide's top-left corner.

        Output pixel (i, j) covers [i·mpp, (i+1)·mpp) x [j·mpp, (j+1)·mpp) µm, whatever box is asked
        for, so a pixel's value never depends on the box. Missing tiles, alpha and everything
        outside the slide are white.

        Returns
        -------
        (height, width, 3) uint8 RGB
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...
