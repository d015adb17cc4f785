"""TissueMask -> TileGrid: fixed windows with core and halo, and the tasks they are grouped into.

In: a `TissueMask` and the slide's size at the working µm/px. Out: the windows whose core touches
tissue. Assumes nothing of the engine but its window. The windows' grid is anchored at the slide's
corner and never depends on the task size, so neither do the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box, grid
from tme.tissue.types import TissueMask


@dataclass(frozen=True)
class Window:
    """One engine input, in pixels at the working µm/px.

    Attributes
    ----------
    core : Box
        Half-open; an object belongs to the window whose core holds its centroid.
    outer : Box
        What the engine sees: the core, or the part of it that holds tissue, with the halo on all sides.
    """

    core: Box
    outer: Box


Part = TypeVar("Part")
Task: TypeAlias = tuple[Window, ...]
Runner: TypeAlias = Callable[[Callable[[Task], Part], Sequence[Task]], Iterator[Part]]
"""``runner(function, tasks)``: the results in the order of the tasks, one by one, whoever computes them."""
DEFAULT_TASK_PX = 2048
STEP_PX = 64
"""Windows cut to their tissue begin at a multiple of this: a multiple of every network's stride."""


def one_by_one(function: Callable[[Task], Part], tasks: Sequence[Task]) -> Iterator[Part]:
    """The simplest `Runner`: here, one task after another."""
    return map(function, tasks)


@dataclass(frozen=True)
class TileGrid:
    """The windows of one slide, ordered by row, then column.

    Attributes
    ----------
    mpp : float
        Working µm/px.
    core_px, halo_px : int
    windows : tuple of Window
    """

    mpp: float
    core_px: int
    halo_px: int
    windows: tuple[Window, ...]

    def tasks(self, task_px: int) -> list[Task]:
        """Windows grouped into tasks of about ``task_px`` x ``task_px`` working pixels.

        Every window is in exactly one task; tasks and the windows in them keep the grid's order
        within a task, so results sorted by window are the same for any ``task_px``.
        """
        side = max(1, task_px // self.core_px) * self.core_px
        groups: dict[tuple[int, int], list[Window]] = {}
        for window in self.windows:
            groups.setdefault((window.core.y0 // side, window.core.x0 // side), []).append(window)
        return [tuple(groups[key]) for key in sorted(groups)]


def make_grid(
    tissue: TissueMask,
    size: tuple[int, int],
    mpp: float,
    core_px: int,
    halo_px: int,
    fixed: bool = True,
) -> TileGrid:
    """Windows whose core touches tissue.

    Parameters
    ----------
    tissue : TissueMask
    size : (int, int)
        Width and height of the slide in pixels at ``mpp``.
    mpp : float
        Working µm/px.
    core_px, halo_px : int
        Side of a core and width of the halo, px.
    fixed : bool
        All outer boxes have one size and may reach outside the slide, where pixels are white. Else they
        are cut to the tissue in their core, in steps of `STEP_PX` from the core's corner, and to the
        slide: a thin biopsy touches many windows and fills none.
    """
    width, height = size
    scale = mpp / tissue.mpp
    windows = []
    for core in grid(width, height, core_px):
        y0, x0 = int(core.y0 * scale), int(core.x0 * scale)
        y1, x1 = int(np.ceil(core.y1 * scale)), int(np.ceil(core.x1 * scale))
        part = tissue.tissue[y0:y1, x0:x1]
        if not part.any():
            continue
        outer = Box(core.y0, core.x0, core.y0 + core_px, core.x0 + core_px).grow(halo_px)
        if not fixed:
            down, across = (_reach(np.asarray(part.any(axis)), scale, core_px) for axis in (1, 0))
            held = Box(core.y0 + down[0], core.x0 + across[0], core.y0 + down[1], core.x0 + across[1])
            outer = held.grow(halo_px).clip(width, height)
        windows.append(Window(core, outer))
    return TileGrid(mpp, core_px, halo_px, tuple(windows))


def _reach(holds: NDArray[np.bool_], scale: float, core_px: int) -> tuple[int, int]:
    """First and last working pixel, in steps, of a core of which some rows of the mask hold tissue."""
    index = np.flatnonzero(holds)
    # A mask's pixel begins before the core's corner by less than itself.
    first, last = (index[0] - 1) / scale, (index[-1] + 1) / scale
    low = max(0, int(first // STEP_PX) * STEP_PX)
    return low, min(core_px, -(int(-last // STEP_PX)) * STEP_PX)
