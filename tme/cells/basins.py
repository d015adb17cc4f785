"""A hill map -> one label per hill: steepest ascent, then minor summits merged.

In: a response that rises towards the middle of each nucleus, and the mask of nuclear pixels. Out:
labels. Every pixel climbs to the summit it leads to, by pointer jumping; two hills become one where
the saddle between them is hardly lower than the lesser summit, or is not much lower and the two
together are nearly an ellipse. Ties go to the pixel further down the scan, so the result is the same
on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

Moments = list[float]


@dataclass(frozen=True)
class MergeRule:
    """When two hills are one nucleus.

    Attributes
    ----------
    always : float
        Depth of the saddle below the lesser summit up to which hills always merge.
    elliptic : float
        Depth up to which they merge if together they fill an ellipse.
    fill : float
        Share of the ellipse of equal moments that counts as filled, 0-1.
    largest_px : float
        Largest area of an elliptic merger, px.
    """

    always: float
    elliptic: float
    fill: float
    largest_px: float


def hills(response: NDArray[np.float32], mask: NDArray[np.uint8], rule: MergeRule) -> NDArray[np.int32]:
    """(H, W) int32 labels 1..n of the hills of ``response`` within a 0/1 ``mask``."""
    height, width = mask.shape
    values = np.full((height + 2, width + 2), -np.inf, np.float32)
    inner = values[1:-1, 1:-1]
    np.copyto(inner, response, where=mask > 0)
    labels, summits = _climb(values)
    if not len(summits):
        return np.zeros(mask.shape, np.int32)
    final = _merged(labels, values, summits, rule)
    return np.ascontiguousarray(final[labels][1:-1, 1:-1])


def _climb(values: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels 1..n by the summit each pixel climbs to, and the summits' heights."""
    flat = values.ravel()
    width = values.shape[1]
    inside = np.flatnonzero(flat > -np.inf).astype(np.int32)
    best = np.full(len(inside), -np.inf, np.float32)
    target = inside.copy()
    # Ascending offsets with >=: of equal heights the one further down the scan wins.
    for offset in (-width - 1, -width, -width + 1, -1, 0, 1, width - 1, width, width + 1):
        height = flat[inside + offset]
        higher = height >= best
        best[higher] = height[higher]
        target[higher] = inside[higher] + offset
    place = np.zeros(flat.size, np.int32)
    place[inside] = np.arange(len(inside), dtype=np.int32)
    up = place[target]
    while True:
        further = up[up]
        if np.array_equal(further, up):
            break
        up = further
    is_summit = up == np.arange(len(up), dtype=np.int32)
    number = np.cumsum(is_summit, dtype=np.int32)
    labels = np.zeros(flat.size, np.int32)
    labels[inside] = number[up]
    return labels.reshape(values.shape), flat[inside[is_summit]]


def _saddles(
    labels: NDArray[np.int32], values: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of neighbouring hills and the height of the pass between them, highest pass first."""
    lower, upper, height = [], [], []
    for first, second in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        one, two = labels[first], labels[second]
        border = (one != two) & (one > 0) & (two > 0)
        one, two = one[border], two[border]
        lower.append(np.minimum(one, two))
        upper.append(np.maximum(one, two))
        height.append(np.minimum(values[first][border], values[second][border]))
    low, high = np.concatenate(lower).astype(np.int64), np.concatenate(upper).astype(np.int64)
    passes = np.concatenate(height)
    key = low * (count + 1) + high
    order = np.lexsort((-passes, key))
    first_of_pair = order[np.diff(key[order], prepend=-1) != 0]
    low, high, passes = low[first_of_pair], high[first_of_pair], passes[first_of_pair]
    order = np.lexsort((high, low, -passes))
    return low[order], high[order], passes[order]


def label_moments(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """(n + 1, 6): area and sums of x, y, x², y², xy per label 0..n, pixels taken as unit squares.

    The row of label 0 is zero.
    """
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    y, x = np.divmod(inside, labels.shape[1])
    x, y = x.astype(np.float64), y.astype(np.float64)
    count = int(owner.max()) + 1 if len(owner) else 1
    area = np.bincount(owner, minlength=count).astype(np.float64)
    sums = [np.bincount(owner, values, count) for values in (x, y, x * x, y * y, x * y)]
    # A pixel is a square, not a point: its own second moment.
    own = area / 12
    return np.column_stack([area, sums[0], sums[1], sums[2] + own, sums[3] + own, sums[4]])


def fills(moments: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`ellipse_fill` and squared eccentricity of every row of `label_moments`; 0 for empty rows."""
    area = np.maximum(moments[:, 0], 1e-9)
    x, y = moments[:, 1] / area, moments[:, 2] / area
    xx, yy = moments[:, 3] / area - x * x, moments[:, 4] / area - y * y
    xy = moments[:, 5] / area - x * y
    fill = moments[:, 0] / (4 * pi * np.sqrt(np.maximum(xx * yy - xy * xy, 1e-9)))
    half = np.hypot((xx - yy) / 2, xy)
    return fill, 2 * half / np.maximum((xx + yy) / 2 + half, 1e-9)


def ellipse_fill(moments: Moments) -> float:
    """Area over the area of the ellipse with the same second moments: 1 for ellipses, less for others."""
    area, x, y, xx, yy, xy = moments
    x, y = x / area, y / area
    spread = (xx / area - x * x) * (yy / area - y * y) - (xy / area - x * y) ** 2
    return area / (4 * pi * max(spread, 1e-9) ** 0.5)


def _merged(
    labels: NDArray[np.int32], values: NDArray[np.float32], summits: NDArray[np.float32], rule: MergeRule
) -> NDArray[np.int32]:
    """Final label of each hill 0..n; 0 stays 0."""
    count = len(summits)
    parent = list(range(count + 1))
    top = [0.0, *summits.tolist()]
    moments: list[Moments] = label_moments(labels).tolist()

    def root(hill: int) -> int:
        while parent[hill] != hill:
            parent[hill] = parent[parent[hill]]
            hill = parent[hill]
        return hill

    low, high, passes = _saddles(labels, values, count)
    for one, two, height in zip(low.tolist(), high.tolist(), passes.tolist(), strict=True):
        one, two = root(one), root(two)
        if one == two:
            continue
        if top[one] < top[two]:
            one, two = two, one
        depth = top[two] - height
        if depth > rule.elliptic:
            continue
        together = [left + right for left, right in zip(moments[one], moments[two], strict=True)]
        if depth > rule.always and (together[0] > rule.largest_px or ellipse_fill(together) < rule.fill):
            continue
        parent[two] = one
        moments[one] = together
    roots = np.array([root(hill) for hill in range(count + 1)])
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)
