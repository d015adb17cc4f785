"""Masks of a slide's windows, packed to bits and compressed, and read back as any box.

A slide of 80,000 x 80,000 pixels is never held as an array: its masks are mostly empty and take a
few kilobytes a window.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box

Bits = NDArray[np.bool_]

RECENT = 4
"""Windows of a plane kept unpacked, one MB each."""
HUE_PARTS = 1000.0
"""A channel's part in a pixel's density is held in so many parts."""


def pack(mask: Bits) -> bytes:
    """(H, W) bool -> compressed bits; an empty mask is an empty string."""
    return zlib.compress(np.packbits(mask).tobytes(), 1) if mask.any() else b""


def unpack(data: bytes, shape: tuple[int, int]) -> Bits:
    """The (H, W) bool mask that `pack` was given."""
    if not data:
        return np.zeros(shape, bool)
    bits = np.frombuffer(zlib.decompress(data), np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)


@dataclass(frozen=True)
class WindowMask:
    """What one window says, in pixels at the working µm/px.

    Attributes
    ----------
    core : Box
    stained, pale, dark : bytes
        Packed masks of the core (`tme.vessels.mask.StainMasks`).
    seeds, density : tuple of int
        Per piece of ``stained`` (8-connected, in the order of their first pixel): seed pixels, and
        the sum of DAB levels over the pixels.
    colour : tuple of (int, int, int, int)
        Per piece, summed over its seeds: parts in a thousand that red, green and blue have in a seed's
        density, and that density in levels.
    """

    core: Box
    stained: bytes
    pale: bytes
    dark: bytes
    seeds: tuple[int, ...] = ()
    density: tuple[int, ...] = ()
    colour: tuple[tuple[int, int, int, int], ...] = ()


class PackedPlane:
    """One bit per pixel of a slide, kept by window.

    Parameters
    ----------
    core_px : int
        Side of the grid of cores.
    parts : iterable of (Box, bytes)
        Cores on that grid (the last ones cut at the slide's edge) with their packed masks.
    """

    def __init__(self, core_px: int, parts: Iterable[tuple[Box, bytes]]) -> None:
        self.core_px = core_px
        self._recent: dict[tuple[int, int], Bits] = {}
        self._parts = {(core.y0 // core_px, core.x0 // core_px): (core, data) for core, data in parts if data}

    def read(self, box: Box) -> Bits:
        """(H, W) bool of a box; what lies outside all windows is False."""
        out = np.zeros((box.height, box.width), bool)
        for row in range(box.y0 // self.core_px, (box.y1 - 1) // self.core_px + 1):
            for column in range(box.x0 // self.core_px, (box.x1 - 1) // self.core_px + 1):
                if (row, column) in self._parts:
                    _paste(out, box, self._parts[row, column][0], self._unpacked((row, column)))
        return out

    def _unpacked(self, key: tuple[int, int]) -> Bits:
        # Boxes are asked for one vessel after the other, many of them from the same window.
        mask = self._recent.pop(key, None)
        if mask is None:
            core, data = self._parts[key]
            mask = unpack(data, (core.height, core.width))
            if len(self._recent) >= RECENT:
                self._recent.pop(next(iter(self._recent)))
        self._recent[key] = mask
        return mask

    def united(self, pieces: Iterable[tuple[Box, Bits]]) -> PackedPlane:
        """This plane and the pixels of some boxes, kept by the same grid of cores."""
        side = self.core_px
        added: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        for box, mask in pieces:
            at = np.argwhere(mask) + np.array([box.y0, box.x0])
            keys = at // side
            for row, column in np.unique(keys, axis=0).tolist():
                added.setdefault((row, column), []).append(at[(keys == (row, column)).all(axis=1)])
        parts = dict(self._parts)
        for (row, column), places in added.items():
            core = Box(row * side, column * side, (row + 1) * side, (column + 1) * side)
            whole = self.read(core)
            for at in places:
                whole[at[:, 0] - core.y0, at[:, 1] - core.x0] = True
            parts[row, column] = (core, pack(whole))
        return PackedPlane(side, parts.values())

    def neighbourhood(self) -> set[tuple[int, int]]:
        """(row, column) of the cores that hold anything, and of the eight around each of them."""
        around = (-1, 0, 1)
        return {(row + dy, column + dx) for row, column in self._parts for dy in around for dx in around}


def _paste(out: Bits, box: Box, core: Box, mask: Bits) -> None:
    common = box.intersect(core)
    if common.empty:
        return
    target = out[common.y0 - box.y0 : common.y1 - box.y0, common.x0 - box.x0 : common.x1 - box.x0]
    target |= mask[common.y0 - core.y0 : common.y1 - core.y0, common.x0 - core.x0 : common.x1 - core.x0]
