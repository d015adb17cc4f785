"""Stained pixels of all windows -> the pieces that are positive: hysteresis over the whole slide.

In: `WindowMask` of every window. Out: `KeptWindow` of every window. A piece is connected across all
windows it reaches before it is asked whether it holds enough pixels above the threshold, and whether they
have the colour of pigment: a grain of carbon is no endothelium, a vessel with one on its wall is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box
from tme.units import um2_to_px
from tme.vessels.connect import Pieces, SlideLabels, label_pieces
from tme.vessels.mask import OD_STEPS
from tme.vessels.packed import HUE_PARTS, WindowMask, pack, unpack
from tme.vessels.windows import CORE_PX

Bits = NDArray[np.bool_]

MIN_SEED_UM2 = 2.0
"""Area above the threshold that a connected piece must hold."""
MIN_PIECE_UM2 = 4.0
"""Smaller pieces are noise: they neither are vessels nor bridge two."""


@dataclass(frozen=True)
class KeptWindow:
    """Pieces of one window that are kept.

    Attributes
    ----------
    core : Box
    bits : bytes
        Packed mask of the core.
    first : tuple of int
        First pixel of each piece, as a flat index.
    density : tuple of int
        Sum of DAB levels over each piece.
    """

    core: Box
    bits: bytes
    first: tuple[int, ...]
    density: tuple[int, ...]


def keep_supported(
    parts: Sequence[WindowMask], mpp: float, is_pigment: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
) -> list[KeptWindow]:
    """Pieces, connected over the slide, that hold enough seeds and are neither specks nor pigment.

    Parameters
    ----------
    parts : sequence of WindowMask
    mpp : float
    is_pigment : callable
        (n, 3) optical densities -> (n,) bool; see `tme.stains.pigment.is_pigment`.
    """
    labels = SlideLabels(CORE_PX)
    offsets, sizes, seeds = [], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    colours = [np.zeros((1, 4), np.int64)]
    for part in parts:
        pieces = _pieces(part)
        offsets.append(labels.add(part.core, pieces))
        sizes.append(np.bincount(pieces.label_of, minlength=pieces.count + 1)[1:])
        seeds.append(np.asarray(part.seeds, np.int64))
        colours.append(np.asarray(part.colour, np.int64).reshape(-1, 4))
    joined = labels.joined()
    total = joined.max(initial=0) + 1
    size = np.bincount(joined, weights=np.concatenate(sizes), minlength=total)
    seed = np.bincount(joined, weights=np.concatenate(seeds), minlength=total)
    good = (seed >= um2_to_px(MIN_SEED_UM2, mpp)) & (size >= um2_to_px(MIN_PIECE_UM2, mpp))
    *hue, dark = (np.bincount(joined, weights=each, minlength=total) for each in np.concatenate(colours).T)
    count = np.maximum(seed, 1)
    # The mean hue at the mean darkness: a colour.
    mean_dark = dark / (OD_STEPS * count)
    good &= ~is_pigment(np.stack(hue, axis=1) / (HUE_PARTS * count)[:, None] * mean_dark[:, None])
    kept = []
    for part, offset in zip(parts, offsets, strict=True):
        keep = np.concatenate([[False], good[joined[offset + 1 : offset + 1 + len(part.seeds)]]])
        kept.append(_kept_window(part, keep))
    return kept


def _pieces(part: WindowMask) -> Pieces:
    return label_pieces(unpack(part.stained, (part.core.height, part.core.width)))


def _kept_window(part: WindowMask, keep: Bits) -> KeptWindow:
    if not keep.any():
        return KeptWindow(part.core, b"", (), ())
    pieces = _pieces(part)
    _, first = np.unique(pieces.label_of, return_index=True)
    density = np.asarray(part.density, np.int64)
    return KeptWindow(
        part.core,
        pack(keep[pieces.labels]),
        tuple(pieces.pixels[first][keep[1:]].tolist()),
        tuple(density[keep[1:]].tolist()),
    )
