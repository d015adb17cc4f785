"""What the nucleus network answers -> instances: pixels whose arrows end at the same centre.

In: five planes of logits and arrows of one window. Out: labels, how far above the border's level each pixel
is and, per label, how sure the network is of it and of its class. No loop over nuclei: centres are the peaks
of a smoothed map, every nucleus pixel looks up the centre nearest to where its arrow ends (after
Panoptic-DeepLab, Cheng et al., CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.cells.nearest import nearest_within
from tme.cells.nuclei import TYPICAL_UM2
from tme.units import um2_to_px

OFFSET_PX = 8.0
"""Arrows are answered in units of this many pixels."""
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Decoding:
    """How answers are read; part of the weights' description.

    Attributes
    ----------
    nucleus, centre : float
        Least probability of a nucleus pixel and of a centre's peak.
    smooth_px : float
        Spread of the blur laid on the logits of the centre: it joins double peaks.
    apart_px : int
        Two peaks are at least this many pixels apart.
    reach_px : float
        An arrow that ends farther than this from every centre belongs to none.
    least_um2 : float
        Smaller instances are no nuclei; for who uses the instances, `decode` drops none.
    """

    nucleus: float = 0.5
    centre: float = 0.25
    smooth_px: float = 0.7
    apart_px: int = 3
    reach_px: float = 6.0
    least_um2: float = 4.0


@dataclass(frozen=True, eq=False)
class Instances:
    """Instances of one window.

    Attributes
    ----------
    labels : (H, W) int32
        0 background, 1..n; one may have crumbs beside its largest part, which outlines leave out.
    level : (H, W) float32
        Logit of nucleus over the least that is one: above 0 in a nucleus, 0 on its border.
    peak : (n,) float32
        Probability of each centre.
    lymphocyte : (n,) float32
        Mean logit of lymphocyte, not calibrated.
    """

    labels: NDArray[np.int32]
    level: NDArray[np.float32]
    peak: NDArray[np.float32]
    lymphocyte: NDArray[np.float32]


def sureness(found: Instances) -> NDArray[np.float64]:
    """(n,) logit of the centres' probability, kept finite."""
    peak = np.clip(found.peak.astype(np.float64), 0.01, 0.99)
    return np.log(peak / (1 - peak))


def log_size(found: Instances, mpp: float) -> NDArray[np.float64]:
    """(n,) logarithm of the areas over `tme.cells.nuclei.TYPICAL_UM2`.

    Parameters
    ----------
    found : Instances
    mpp : float
        µm/px of the window.
    """
    area = np.bincount(found.labels.ravel(), minlength=len(found.peak) + 1)[1:]
    return np.log(np.maximum(area, 1) / um2_to_px(TYPICAL_UM2, mpp))


def decode(answer: NDArray[np.float32], rule: Decoding) -> Instances:
    """Instances from (5, H, W) float32: nucleus, centre, arrow x, arrow y, lymphocyte."""
    height, width = answer.shape[1:]
    rows, columns, peak = peaks(answer[1], rule)
    level = answer[0] - np.float32(_logit(rule.nucleus))
    inside = np.flatnonzero(level.ravel() > 0)
    owner = _owners(answer[2:4].reshape(2, -1)[:, inside], inside, rows, columns, (height, width), rule)
    inside, owner = inside[owner > 0], owner[owner > 0]
    count = np.bincount(owner, minlength=len(rows) + 1)
    present = np.flatnonzero(count)
    number = np.zeros(len(count), np.int32)
    number[present] = np.arange(1, len(present) + 1)
    labels = np.zeros(height * width, np.int32)
    labels[inside] = number[owner]
    lymphocyte = np.bincount(owner, answer[4].ravel()[inside], len(count))[present] / count[present]
    return Instances(labels.reshape(height, width), level, peak[present - 1], lymphocyte.astype(np.float32))


def peaks(logit: Plane, rule: Decoding) -> tuple[NDArray[np.int64], NDArray[np.int64], Plane]:
    """Rows, columns and probability of the centres, by row, then column.

    A plateau is one centre: its first pixel.
    """
    blurred = cv2.GaussianBlur(logit, (0, 0), rule.smooth_px) if rule.smooth_px > 0 else logit
    smooth = np.asarray(blurred, np.float32)
    rows, columns = _highest(smooth, np.flatnonzero(smooth > _logit(rule.centre)), rule.apart_px)
    if _any_adjacent(rows, columns, smooth.shape[1]):
        top = np.zeros(smooth.shape, np.uint8)
        top[rows, columns] = 1
        plateau = cv2.connectedComponents(top, connectivity=8)[1]
        _, first = np.unique(plateau[rows, columns], return_index=True)
        rows, columns = rows[np.sort(first)], columns[np.sort(first)]
    probability = 1 / (1 + np.exp(-smooth[rows, columns]))
    return rows, columns, probability.astype(np.float32)


def _highest(
    values: Plane, places: NDArray[np.int64], reach_px: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of those of some places above which nothing stands within a disc.

    Few places are asked about and most lose against a neighbour at once: far cheaper than a dilation.
    """
    height, width = values.shape
    rows, columns = np.divmod(places, width)
    side = 2 * reach_px + 1
    disc = np.argwhere(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) - reach_px
    for down, right in disc[np.argsort(np.abs(disc).sum(1), kind="stable")]:
        row, column = rows + down, columns + right
        there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        beside = values[np.where(there, row, rows), np.where(there, column, columns)]
        stays = values[rows, columns] >= beside
        rows, columns = rows[stays], columns[stays]
    return rows, columns


def _any_adjacent(rows: NDArray[np.int64], columns: NDArray[np.int64], width: int) -> bool:
    """Whether any two of some places, by row, then column, touch, by a corner at least."""
    # A column more than there are: the last of a row does not touch the first of the next.
    place = rows * (width + 1) + columns
    return any(bool(np.isin(place + step, place).any()) for step in (1, width, width + 1, width + 2))


def _owners(
    arrows: NDArray[np.float32],
    inside: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    shape: tuple[int, int],
    rule: Decoding,
) -> NDArray[np.int32]:
    """1-based centre of every nucleus pixel, 0 where its arrow ends near none."""
    numbers = np.arange(1, len(rows) + 1, dtype=np.int32)
    centre_of = nearest_within(shape, rows, columns, numbers, rule.reach_px)
    row, column = np.divmod(inside, shape[1])
    end_x = np.clip((column + np.rint(arrows[0] * OFFSET_PX)).astype(np.int64), 0, shape[1] - 1)
    end_y = np.clip((row + np.rint(arrows[1] * OFFSET_PX)).astype(np.int64), 0, shape[0] - 1)
    return np.asarray(centre_of[end_y, end_x], np.int32)


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
