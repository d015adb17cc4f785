"""Threshold of DAB from the slide itself.

In: colours at the dark points of the whole-slide sample, one per nucleus or stained cell. Out: the
threshold with its interval, its histogram and a note where it may not be trusted. Negative nuclei, which
every section has, make the mode; the cut stands above it by their spread, within bounds that keep a slide
without positive cells from being cut through its noise and a slide full of them from losing the weak ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 300
RANGE_OD = (-0.5, 2.5)
MODE_WITHIN_OD = 0.3
MOST_ABOVE_OD = 0.12
FINE_BINS, SMOOTH_BINS = 600, 7
FEWEST_POINTS = 100
REPLICATES = 200
FEWEST_WINDOWS = 4
"""Windows with points from which whole windows are drawn again; with fewer, single points are."""
MOST_GROUND_OD = 0.2
"""DAB density of half the tissue above which no cut can be defended. On 17 fields of Ki-67, 5 of CD31 and the
rendered slides it lies between -0.05 and 0.03, in the most crowded field of vessels at 0.12."""
UNSTAINED_OD = 0.1
LEAST_UNSTAINED = 0.1
"""Share of nuclei without DAB that makes a cut defensible in brown tissue too: lymphoid tissue packed with
positive cells still shows the negative ones (a third of them in a field of CD3), a section brown all over
shows none."""

PALE_PERCENT = 10
MOST_PALE_OD = 0.1
"""DAB density of the tenth percentile of the paler half of the tissue above which brown lies over everything
(docs/benchmarks.md). Asked of tissue and not of nuclei: where all is hazy, blue and brown together can pass
for the counterstain, and nuclei for unstained."""

LEAST_OVER_CUT, FEWEST_OVER_CUT = 1.8, 20
"""Median DAB of what is positive over the cut; less is a weak stain, where there are so many points. 2.4 to
13 on 20 fields of CD3, CD8, Ki-67 and CD31 with as many, 2.1 and more on rendered slides, 1.1 to 1.5 on such
with a third of the usual DAB."""


@dataclass(frozen=True)
class CutRule:
    """How high above the negative mode a cut stands.

    Attributes
    ----------
    spreads : float
        Spreads of the points below the mode.
    least_od : float
        Least height; `MOST_ABOVE_OD` is the most. Over 16 labelled Ki-67 fields the best cut of each lay 0.06
        to 0.19 above the mode, and any cut from 0.08 to 0.12 kept 97 % of nuclei right.
    kernel_od : float
        Spread of the Gaussian kernel whose density's top is the mode, found between bins. 0: the first of the
        bins that are highest in a mean of seven.
    """

    spreads: float
    least_od: float
    kernel_od: float


FOR_CELLS = CutRule(spreads=5.0, least_od=0.085, kernel_od=0.03)
"""A mode known to a bin jumps by three where the top is flat, and a twelfth of the positive cells with it."""
FOR_VESSELS = CutRule(spreads=4.0, least_od=0.08, kernel_od=0.0)
"""What the masks of vessels were tuned with: a cut 0.005 higher costs 4 % of their median area."""


@dataclass(frozen=True)
class DabThreshold:
    """A threshold, where it came from, and what it was read from.

    ``value`` is None where nothing tells positive from background; ``note`` says why. ``low`` and ``high``
    are the ends of its 95 % interval, None where nothing was estimated.
    """

    value: float | None
    source: str
    note: str = ""
    histogram: dict[str, list[float]] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None


def dab_threshold(
    windows: Sequence[NDArray[np.float32]],
    tissue: NDArray[np.float32],
    seed: int = 0,
    pale: NDArray[np.float32] | None = None,
    rule: CutRule = FOR_CELLS,
) -> DabThreshold:
    """Threshold from the DAB density of dark points.

    Parameters
    ----------
    windows : sequence of (n,) float32
        DAB optical density, one value per nucleus or stained cell, by window of the sample.
    tissue : (m,) float32
        The same of the sample's stained pixels, whatever they show.
    seed : int
        Of the bootstrap behind the interval.
    pale : (k,) float32, optional
        As ``tissue``, of its paler half.
    rule : CutRule
    """
    dab = np.concatenate([np.zeros(0, np.float32), *windows])
    counts, edges = np.histogram(np.clip(dab, RANGE_OD[0], RANGE_OD[1] - 1e-6), BINS, RANGE_OD)
    histogram = {
        "edges": [round(float(edge), 4) for edge in edges],
        "counts": [float(count) for count in counts],
    }
    ground = float(np.median(tissue)) if len(tissue) else 0.0
    unstained = float((dab < UNSTAINED_OD).mean()) if len(dab) else 0.0
    if ground > MOST_GROUND_OD and unstained < LEAST_UNSTAINED:
        why = (
            f"half of the tissue is brown (DAB {ground:.2f} OD or more): stained all over, or a field packed "
            "with positive cells; nothing tells them from background"
        )
        return DabThreshold(None, "", why, histogram)
    least = float(np.percentile(pale, PALE_PERCENT)) if pale is not None and len(pale) else 0.0
    if least > MOST_PALE_OD:
        why = (
            f"even the palest tissue is brown (DAB {least:.2f} OD or more in nine tenths of its paler half): "
            "nothing tells positive from background"
        )
        return DabThreshold(None, "", why, histogram)
    if len(dab) < FEWEST_POINTS:
        return DabThreshold(
            MOST_ABOVE_OD, "slide", "too few nuclei to read a threshold from; a fixed one is used", histogram
        )
    cut = _cut(dab, rule)
    low, high = _interval(windows, cut, seed, rule)
    return DabThreshold(cut, "slide", "", histogram, low, high)


def weak_caution(dab: NDArray[np.floating], cut: float | None) -> str:
    """A sentence where most of what is positive is hardly darker than the cut; else empty.

    Parameters
    ----------
    dab : (n,) float
        DAB optical density of the dark points.
    cut : float or None
        The threshold in use; None where there is none.
    """
    positive = dab[dab >= cut] if cut is not None else dab[:0]
    if cut is None or len(positive) < FEWEST_OVER_CUT or cut <= 0:
        return ""
    middle = float(np.median(positive))
    if middle >= LEAST_OVER_CUT * cut:
        return ""
    return (
        f"weak stain: what is positive is hardly darker (median DAB {middle:.2f} OD) than the threshold "
        f"({cut:.2f}); many positive cells may lie under it"
    )


def _cut(dab: NDArray[np.float32], rule: CutRule) -> float:
    """Where the cut stands over the negative mode of these points."""
    mode = _mode(dab, rule.kernel_od)
    below = dab[dab <= mode]
    spread = 1.4826 * float(np.median(mode - below)) if len(below) else 0.0
    return round(mode + float(np.clip(rule.spreads * spread, rule.least_od, MOST_ABOVE_OD)), 4)


def _mode(dab: NDArray[np.float32], kernel_od: float) -> float:
    """Where these points lie densest near 0; see `CutRule`."""
    bins = FINE_BINS if kernel_od else BINS
    step = (RANGE_OD[1] - RANGE_OD[0]) / bins
    counts, edges = np.histogram(np.clip(dab, RANGE_OD[0], RANGE_OD[1] - 1e-6), bins, RANGE_OD)
    reach = np.arange(-round(4 * kernel_od / step), round(4 * kernel_od / step) + 1) * step
    kernel = np.exp(-0.5 * (reach / kernel_od) ** 2) if kernel_od else np.ones(SMOOTH_BINS)
    density = np.convolve(counts, kernel, "same")
    centres = 0.5 * (edges[1:] + edges[:-1])
    near = np.flatnonzero(np.abs(centres) <= MODE_WITHIN_OD)
    top = int(near[np.argmax(density[near])])
    left, middle, right = density[top - 1 : top + 2]
    # At the end of what is near 0 the flank of a higher top may be highest, which has no middle.
    is_top = kernel_od > 0 and middle > min(left, right) and middle >= max(left, right)
    between = 0.5 * (left - right) / (left - 2 * middle + right) if is_top else 0.0
    return float(centres[top] + between * step)


def _interval(
    windows: Sequence[NDArray[np.float32]], cut: float, seed: int, rule: CutRule
) -> tuple[float, float]:
    """95 % interval: percentiles of the cuts of bootstrap samples, and a bin more on either side.

    A mode found between bins is no surer than that either, which the percentiles do not see.
    """
    low, high = np.percentile([_cut(sample, rule) for sample in _resamples(windows, seed)], [2.5, 97.5])
    wide = (RANGE_OD[1] - RANGE_OD[0]) / BINS
    return round(min(float(low), cut) - wide, 4), round(max(float(high), cut) + wide, 4)


def _resamples(windows: Sequence[NDArray[np.float32]], seed: int) -> Iterator[NDArray[np.float32]]:
    """Bootstrap samples of all points: by whole windows, as cells of one place are alike, where there are
    `FEWEST_WINDOWS`, else point by point."""
    generator = np.random.default_rng(seed)
    filled = [points for points in windows if len(points)]
    points = np.sort(np.concatenate(filled))
    for _ in range(REPLICATES):
        if len(filled) < FEWEST_WINDOWS:
            yield points[generator.integers(0, len(points), len(points))]
        else:
            yield np.concatenate([filled[index] for index in generator.integers(0, len(filled), len(filled))])
