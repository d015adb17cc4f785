"""Kept pieces of all windows -> which of them belong together, and any of these groups as a picture.

In: kept endothelium and lumens, packed by window. Out: `Group`: the packed parts of one vessel. Two
pieces belong together where they meet when widened by a radius, or line the same lumen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from scipy.ndimage import find_objects

from tme.geometry import Box
from tme.vessels.connect import Pieces, SlideLabels, label_pieces
from tme.vessels.fill import Surroundings
from tme.vessels.morphology import Bits, Bytes, Place, widened
from tme.vessels.packed import PackedPlane, pack, unpack
from tme.vessels.supported import KeptWindow

MAX_BOX_PX = 36_000_000
"""Pixels of a box above which a group is looked at in coarser pixels (3 mm x 3 mm at 0.5 µm/px)."""


@dataclass(frozen=True)
class Part:
    """Packed stained pixels and lumen pixels of a group inside one box; DAB levels summed."""

    box: Box
    stained: bytes
    lumen: bytes
    density: int


@dataclass(frozen=True)
class Group:
    """Parts that belong together; no pixel is in two."""

    parts: tuple[Part, ...]

    @property
    def box(self) -> Box:
        """Around all parts, working pixels."""
        boxes = [part.box for part in self.parts]
        return Box(
            min(box.y0 for box in boxes),
            min(box.x0 for box in boxes),
            max(box.y1 for box in boxes),
            max(box.x1 for box in boxes),
        )

    @property
    def density(self) -> int:
        """Sum of DAB levels over the stained pixels."""
        return sum(part.density for part in self.parts)

    def step(self) -> int:
        """Side of a coarse pixel, a power of two that depends on the box alone; 1 unless it is huge."""
        box, step = self.box, 1
        while (box.height // step + 1) * (box.width // step + 1) > MAX_BOX_PX:
            step *= 2
        return step


@dataclass(frozen=True, eq=False)
class Picture:
    """A group in its own box with a margin, in pixels of ``step`` x ``step`` working pixels.

    Attributes
    ----------
    x0, y0 : int
        Top-left corner, working pixels.
    step : int
    stained, lumen : (H, W) bool
    stained_px : int
        Stained working pixels, exact whatever the step.
    """

    x0: int
    y0: int
    step: int
    stained: Bits
    lumen: Bits
    stained_px: int

    @property
    def box(self) -> Box:
        """In working pixels."""
        height, width = self.stained.shape
        return Box(self.y0, self.x0, self.y0 + height * self.step, self.x0 + width * self.step)

    def surroundings(self, pale: PackedPlane, dark: PackedPlane) -> Surroundings:
        """What the pixels of the box look like."""
        return Surroundings(_coarse(pale, self.box, self.step), _coarse(dark, self.box, self.step))


def group_parts(
    kept: Sequence[KeptWindow], stained: PackedPlane, lumens: PackedPlane, radius: int, contact: int
) -> Iterator[Group]:
    """Groups of everything kept.

    Parameters
    ----------
    kept : sequence of KeptWindow
        In the order of the grid.
    stained, lumens : PackedPlane
        Of all of them.
    radius, contact : int
        Pixels by which endothelium and lumens are widened.
    """
    labels = SlideLabels(stained.core_px)
    margin = max(radius, contact) + 1
    numbered: list[tuple[int, Part]] = []
    for window in kept:
        outer = window.core.grow(margin)
        wall, lumen = stained.read(outer).view(np.uint8), lumens.read(outer).view(np.uint8)
        if not (wall.any() or lumen.any()):
            continue
        reached = widened(wall, radius) | widened(lumen, contact)
        wall, lumen, reached = (
            np.ascontiguousarray(each[margin:-margin, margin:-margin]) for each in (wall, lumen, reached)
        )
        pieces = label_pieces(reached.view(bool))
        offset = labels.add(window.core, pieces)
        numbered += [(offset + label, part) for label, part in _parts(window, wall, lumen, pieces)]
    joined = labels.joined()
    groups: dict[int, list[Part]] = {}
    for number, part in numbered:
        groups.setdefault(int(joined[number]), []).append(part)
    for parts in groups.values():
        yield Group(tuple(parts))


def _parts(window: KeptWindow, wall: Bytes, lumen: Bytes, pieces: Pieces) -> Iterator[tuple[int, Part]]:
    owners = pieces.labels.ravel()[list(window.first)] if window.first else np.zeros(0, np.int32)
    density = np.bincount(owners, weights=np.asarray(window.density, float), minlength=pieces.count + 1)
    labelled = np.where(wall | lumen, pieces.labels, 0)
    # A label without pixels has no place, which the stubs do not know.
    places = cast("list[Place | None]", find_objects(labelled, max_label=pieces.count))
    for index, place in enumerate(places):
        if place is None:
            continue
        own = labelled[place] == index + 1
        y0, x0 = window.core.y0 + place[0].start, window.core.x0 + place[1].start
        box = Box(y0, x0, y0 + own.shape[0], x0 + own.shape[1])
        stained, empty = pack(own & (wall[place] > 0)), pack(own & (lumen[place] > 0))
        yield index + 1, Part(box, stained, empty, int(density[index + 1]))


def picture(group: Group, margin: int) -> Picture:
    """Put a group together in its own box, with ``margin`` empty (coarse) pixels around it."""
    box, step = group.box, group.step()
    shape = (math.ceil(box.height / step) + 2 * margin, math.ceil(box.width / step) + 2 * margin)
    stained, lumen, count = np.zeros(shape, bool), np.zeros(shape, bool), 0
    for part in group.parts:
        for mask, data in ((stained, part.stained), (lumen, part.lumen)):
            rows, columns = np.nonzero(unpack(data, (part.box.height, part.box.width)))
            rows, columns = rows + (part.box.y0 - box.y0), columns + (part.box.x0 - box.x0)
            mask[rows // step + margin, columns // step + margin] = True
            count += len(rows) if mask is stained else 0
    return Picture(box.x0 - margin * step, box.y0 - margin * step, step, stained, lumen, count)


def _coarse(plane: PackedPlane, box: Box, step: int) -> Bits:
    if step == 1:
        return plane.read(box)
    rows = []
    # A strip of coarse rows at a time: the fine box may be the whole slide.
    for y0 in range(box.y0, box.y1, 64 * step):
        strip = plane.read(Box(y0, box.x0, min(y0 + 64 * step, box.y1), box.x1)).view(np.uint8)
        size = (strip.shape[1] // step, strip.shape[0] // step)
        rows.append(cv2.resize(strip * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128)
    return np.concatenate(rows)
