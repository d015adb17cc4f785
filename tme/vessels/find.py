"""Windows of a slide -> packed endothelium masks; and the whole way to `Vessels` in one call.

In: windows of a `TileGrid`, a way to read pixels, the slide's `StainProfile`. Out: one `WindowMask`
per window. Windows are independent of each other and can be computed anywhere, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.slide.types import Read, Slide
from tme.stains.types import Stain, StainProfile
from tme.tiles import DEFAULT_TASK_PX, Runner, Window, make_grid, one_by_one
from tme.tissue.types import TissueMask
from tme.vessels.connect import Pieces, label_pieces
from tme.vessels.join import join_masks
from tme.vessels.mask import OD_STEPS, stain_masks
from tme.vessels.packed import HUE_PARTS, WindowMask, pack
from tme.vessels.types import Vessels
from tme.vessels.windows import vessel_mpp, vessel_window_px


def mask_task(
    windows: Sequence[Window],
    read: Read,
    profile: StainProfile,
    stain: Stain,
    settings: VesselSettings,
    mpp: float,
) -> list[WindowMask]:
    """Masks of some windows of the grid that `vessel_window_px` describes.

    Parameters
    ----------
    windows : sequence of Window
    read : callable
        ``read(x, y, width, height, mpp)`` as `Slide.read`.
    profile : StainProfile
    stain : Stain
        Only an endothelial marker is looked for; on any other stain all masks are empty.
    settings : VesselSettings
    mpp : float
        `vessel_mpp` of the slide.

    Returns
    -------
    list of WindowMask, in the order of ``windows``
    """
    if "vessels" not in stain.targets:
        return [WindowMask(window.core, b"", b"", b"") for window in windows]
    return [_window_mask(window, read, profile, settings, mpp) for window in windows]


def _window_mask(
    window: Window, read: Read, profile: StainProfile, settings: VesselSettings, mpp: float
) -> WindowMask:
    core, outer = window.core, window.outer
    rgb = read(outer.x0, outer.y0, outer.width, outer.height, mpp)
    found = stain_masks(rgb, core.x0 - outer.x0, profile, settings, mpp)
    inside = (slice(0, core.height), slice(0, core.width))
    stained = np.ascontiguousarray(found.stained[inside])
    pieces = label_pieces(stained)
    return WindowMask(
        core,
        pack(stained),
        pack(found.pale[inside]),
        pack(found.dark[inside]),
        tuple(pieces.totals(found.seed[inside]).tolist()),
        tuple(pieces.totals(found.dab[inside]).tolist()),
        _colours(pieces, found.seed[inside], found.density[inside]),
    )


def _colours(
    pieces: Pieces, seed: NDArray[np.bool_], density: NDArray[np.float32]
) -> tuple[tuple[int, int, int, int], ...]:
    """Hue and darkness of each piece's seeds, summed in whole numbers.

    Only seeds say what colour a piece is, as its rim is half section; and every one says as much as
    another: a black grain is darker than all of the wall it lies on.
    """
    rows, columns = np.nonzero(seed)
    owner = pieces.labels[rows, columns]
    channels = np.maximum(density[rows, columns].astype(np.float64), 0)
    dark = channels.sum(axis=1)
    values = (*np.rint(HUE_PARTS * channels / np.maximum(dark, 1e-6)[:, None]).T, np.rint(OD_STEPS * dark))
    sums = [np.bincount(owner, each, pieces.count + 1)[1:].astype(int).tolist() for each in values]
    return tuple(zip(*sums, strict=True))


def find_vessels(
    slide: Slide,
    tissue: TissueMask,
    profile: StainProfile,
    stain: Stain,
    settings: VesselSettings,
    runner: Runner[list[WindowMask]] = one_by_one,
    task_px: int = DEFAULT_TASK_PX,
) -> Vessels:
    """All vessels of a slide.

    Parameters
    ----------
    slide : Slide
        ``slide.read`` must be able to travel if the runner uses other processes.
    tissue : TissueMask
    profile : StainProfile
    stain : Stain
    settings : VesselSettings
    runner : Runner
        Who computes the tasks.
    task_px : int
        Side of a task in working pixels; changes nothing but the bookkeeping.

    Returns
    -------
    Vessels
    """
    mpp = vessel_mpp(slide.info, settings)
    tiles = make_grid(tissue, slide.info.size_at(mpp), mpp, *vessel_window_px(mpp))
    function = partial(mask_task, read=slide.read, profile=profile, stain=stain, settings=settings, mpp=mpp)
    parts = runner(function, tiles.tasks(task_px))
    # The grid's own order, whatever the tasks were, so that the join sees one sequence of windows.
    masks = sorted((mask for part in parts for mask in part), key=lambda mask: mask.core)
    return join_masks(masks, slide.info, profile, stain, settings)
