"""How much carries the marker where, whatever it is: by squares, few enough for a stage's record.

What is no vessel by its shape has no row in the table; of a tumour that carries the marker itself nothing
else is left to see it by.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.tissue.types import Mask, TissueMask
from tme.units import px_to_um, px_to_um2
from tme.vessels.packed import unpack
from tme.vessels.supported import KeptWindow

SQUARE_PX = 128
"""Side of a square in working pixels; a window's core holds whole ones, but at the slide's end."""


@dataclass(frozen=True, eq=False)
class Stained:
    """Stained area by square.

    Attributes
    ----------
    square_um : float
        Side of a square; the first begins at the top-left corner of level 0.
    um2 : (R, C) float32
        Stained area in each.
    """

    square_um: float
    um2: NDArray[np.float32]

    @property
    def total_um2(self) -> float:
        """Of the whole slide."""
        return float(self.um2.sum(dtype=np.float64))

    def within(self, mask: Mask, tissue: TissueMask) -> float:
        """Stained area, µm², inside ``mask``; of a square it cuts the share of its tissue that lies there.

        Parameters
        ----------
        mask : (H, W) bool
            On the tissue grid.
        tissue : TissueMask
        """
        rows, columns = (
            np.minimum(((np.arange(count) + 0.5) * tissue.mpp / self.square_um).astype(np.int64), last - 1)
            for count, last in zip(mask.shape, self.um2.shape, strict=True)
        )
        square = rows[:, None] * self.um2.shape[1] + columns
        size = self.um2.size
        all_px, mask_px = (np.bincount(square[chosen], minlength=size) for chosen in (tissue.tissue, mask))
        share = np.minimum(mask_px / np.maximum(all_px, 1), 1.0)
        return float((share * self.um2.ravel()).sum())

    def to_json(self) -> dict[str, Any]:
        """For a stage's record; see `stained_from_json`."""
        packed = base64.b64encode(zlib.compress(self.um2.astype("<f4").tobytes(), 6)).decode("ascii")
        return {"square_um": self.square_um, "shape": list(self.um2.shape), "um2": packed}


def stained_from_json(value: dict[str, Any]) -> Stained:
    """Undo `Stained.to_json`."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(value["um2"])), "<f4")
    return Stained(float(value["square_um"]), data.astype(np.float32).reshape(value["shape"]))


def stained_area(windows: Iterable[KeptWindow], mpp: float) -> Stained:
    """Stained area of kept pieces by square.

    Parameters
    ----------
    windows : iterable of KeptWindow
    mpp : float
        Working µm/px.
    """
    held = [window for window in windows if window.bits]
    last_y, last_x = (max((getattr(window.core, end) for window in held), default=1) for end in ("y1", "x1"))
    pixels = np.zeros((-(-last_y // SQUARE_PX), -(-last_x // SQUARE_PX)), np.float32)
    for window in held:
        core = window.core
        bits = unpack(window.bits, (core.height, core.width))
        starts = [np.arange(0, side, SQUARE_PX) for side in bits.shape]
        counts = np.add.reduceat(np.add.reduceat(bits, starts[0], 0, np.int64), starts[1], 1)
        y, x = core.y0 // SQUARE_PX, core.x0 // SQUARE_PX
        pixels[y : y + counts.shape[0], x : x + counts.shape[1]] += counts
    return Stained(px_to_um(SQUARE_PX, mpp), np.asarray(px_to_um2(1, mpp) * pixels, np.float32))
