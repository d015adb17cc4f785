"""One connected piece of a mask -> parts of near-equal area, each contiguous.

Works on coarse cells of ``step`` x ``step`` pixels, so that memory and time stay small on a whole
resection. Parts are halves of halves, each cut across the long axis of what it halves, so that they are
compact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from tme.tissue.types import Mask

Labels = NDArray[np.int32]
Window = tuple[slice, ...]
SMALLEST_PART = 0.5
"""A part under this share of the mean part is merged with a neighbour."""
LEAST_ELONGATION = 0.05
MAX_ROUNDS = 5
EIGHT = np.ones((3, 3), bool)
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def cut(piece: Mask, parts: int, step: int) -> Labels:
    """Cut a connected piece into at most ``parts`` contiguous parts.

    Parameters
    ----------
    piece : (h, w) bool
        8-connected.
    parts : int
        Wanted number, at least 1.
    step : int
        Side of a coarse cell, px.

    Returns
    -------
    (h, w) int32
        Part of each pixel, 0 upwards without gaps; -1 outside ``piece``.
    """
    if parts == 1:
        return np.where(piece, np.int32(0), np.int32(-1))
    weights = _coarse(piece, step)
    rows, columns = np.nonzero(weights)
    mass = weights[rows, columns]
    coarse = np.full(weights.shape, -1, np.int32)
    coarse[rows, columns] = _divide(columns.astype(float), rows.astype(float), mass, parts)
    coarse = _contiguous(coarse, weights, float(mass.sum()) / parts)
    height, width = piece.shape
    fine = np.repeat(np.repeat(coarse, step, axis=0), step, axis=1)[:height, :width]
    fine[~piece] = -1
    if step > 1:
        _settle_crumbs(fine)
    return fine


def _coarse(piece: Mask, step: int) -> NDArray[np.int64]:
    """Pixels of the piece in each coarse cell."""
    height, width = piece.shape
    padded = np.pad(piece, ((0, -height % step), (0, -width % step)))
    cells = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.asarray(cells.sum(axis=(1, 3), dtype=np.int64))


def _divide(x: NDArray[np.float64], y: NDArray[np.float64], mass: NDArray[np.int64], parts: int) -> Labels:
    """Part of each coarse cell, by equal mass along the long axis."""
    out = np.zeros(len(x), np.int32)
    if parts == 1:
        return out
    order = _along_axis(x, y, mass)
    reached = np.cumsum(mass[order]) - mass[order] / 2
    total = float(mass.sum())
    first = parts // 2
    split = int(np.searchsorted(reached, total * first / parts))
    low, high = order[:split], order[split:]
    out[low] = _divide(x[low], y[low], mass[low], first)
    out[high] = first + _divide(x[high], y[high], mass[high], parts - first)
    return out


def _along_axis(x: NDArray[np.float64], y: NDArray[np.float64], mass: NDArray[np.int64]) -> NDArray[np.intp]:
    """Order of the cells along the principal axis of their mass."""
    dx, dy = x - np.average(x, weights=mass), y - np.average(y, weights=mass)
    xx, yy, xy = (float((mass * product).sum()) for product in (dx * dx, dy * dy, dx * dy))
    # A square or round part has no long axis, and rounding must not choose one for it.
    long = np.hypot(2 * xy, xx - yy) > LEAST_ELONGATION * (xx + yy)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) if long else 0.0
    # Rounded, so that cells in one line across the axis keep a fixed order.
    along = np.round(dx * np.cos(angle) + dy * np.sin(angle), 6)
    return np.lexsort((x, y, along))


def _contiguous(coarse: Labels, weights: NDArray[np.int64], mean_mass: float) -> Labels:
    """Merge fragments cut off from their part, then parts that are too small, with a neighbour."""
    fragments: NDArray[np.int64] = label(coarse, background=-1, connectivity=2)
    count = int(fragments.max())
    mass = np.bincount(fragments.ravel(), weights.ravel(), count + 1).astype(np.float64)
    part_of = np.zeros(count + 1, np.int64)
    part_of[fragments.ravel()] = coarse.ravel()
    touching = _touching(fragments)
    size: dict[int, float] = {}
    home: dict[int, int] = {}
    # The largest fragment of a part is the part; the others look for a home.
    for fragment in sorted(range(1, count + 1), key=lambda number: (-mass[number], number)):
        part = int(part_of[fragment])
        if part not in size:
            size[part], home[fragment] = float(mass[fragment]), part
    _house(set(range(1, count + 1)) - set(home), home, size, mass, touching)
    _merge_small(home, size, touching, SMALLEST_PART * mean_mass)
    number = {part: index for index, part in enumerate(sorted(set(home.values())))}
    lookup = np.full(count + 1, -1, np.int32)
    for fragment, part in home.items():
        lookup[fragment] = number[part]
    return np.asarray(lookup[fragments])


def _settle_crumbs(fine: Labels) -> None:
    """Give pixels that only coarse cells held together to the part they touch, in place."""
    for _ in range(MAX_ROUNDS):
        boxes = ndimage.find_objects(fine + 1)
        if not any([_move_crumbs(fine, part, _grown(box, fine.shape)) for part, box in enumerate(boxes)]):
            return


def _move_crumbs(fine: Labels, part: int, window: Window) -> bool:
    """Move what hangs apart from the largest piece of one part; whether anything moved."""
    view = fine[window]
    found, count = ndimage.label(view == part, EIGHT)
    sizes = np.bincount(found.ravel())[1:]
    moved = False
    for crumb in range(1, count + 1):
        if crumb == int(sizes.argmax()) + 1:
            continue
        here = found == crumb
        around = view[ndimage.binary_dilation(here, EIGHT) & ~here]
        around = around[around >= 0]
        if len(around):
            view[here] = np.bincount(around).argmax()
            moved = True
    return moved


def _grown(box: Window, shape: tuple[int, ...]) -> Window:
    """The box with one pixel more on every side, inside the image."""
    return tuple(
        slice(max(0, side.start - 1), min(length, side.stop + 1))
        for side, length in zip(box, shape, strict=True)
    )


def _touching(fragments: NDArray[np.int64]) -> dict[int, set[int]]:
    """Fragments that share a border, corners included."""
    touching: dict[int, set[int]] = {}
    height, width = fragments.shape
    for down, right in NEIGHBOURS:
        a = fragments[: height - down, max(0, -right) : width - max(0, right)]
        b = fragments[down:, max(0, right) : width + min(0, right)]
        differ = (a != b) & (a > 0) & (b > 0)
        for one, other in np.unique(np.stack([a[differ], b[differ]], axis=1), axis=0).tolist():
            touching.setdefault(one, set()).add(other)
            touching.setdefault(other, set()).add(one)
    return touching


def _house(
    loose: set[int],
    home: dict[int, int],
    size: dict[int, float],
    mass: NDArray[np.float64],
    touching: dict[int, set[int]],
) -> None:
    """Give each loose fragment to the smallest part it touches, smallest fragment first."""
    while loose:
        ready = [one for one in loose if any(other in home for other in touching.get(one, ()))]
        if not ready:
            # Cannot happen for a connected piece; a part of its own is the safe answer.
            ready = [min(loose)]
        fragment = min(ready, key=lambda number: (mass[number], number))
        parts = {home[other] for other in touching.get(fragment, ()) if other in home}
        part = min(parts, key=lambda number: (size[number], number)) if parts else max(size) + 1
        home[fragment] = part
        size[part] = size.get(part, 0.0) + float(mass[fragment])
        loose.remove(fragment)


def _merge_small(
    home: dict[int, int], size: dict[int, float], touching: dict[int, set[int]], limit: float
) -> None:
    """Merge every part under ``limit`` with the smallest part it touches."""
    while len(size) > 1:
        part = min(size, key=lambda number: (size[number], number))
        if size[part] >= limit:
            return
        members = [fragment for fragment, owner in home.items() if owner == part]
        around = {home[other] for one in members for other in touching.get(one, ())} - {part}
        if not around:
            return
        target = min(around, key=lambda number: (size[number], number))
        for fragment in members:
            home[fragment] = target
        size[target] += size.pop(part)
