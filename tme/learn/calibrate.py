"""How answers are read, chosen on held fields: one set of thresholds, one curve of probability, for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tme.cells.engines._description import Calibration
from tme.cells.instances import Decoding, log_size, sureness
from tme.learn.network import WORK_MPP
from tme.learn.score import Answered, Matched, detection, match

CENTRE = (0.15, 0.2, 0.25, 0.3, 0.35)
APART_PX = (2, 3, 4)
SMOOTH_PX = (0.7, 1.0)
LEAST_UM2 = (4.0, 6.0, 8.0)
NEARLY = 0.001
"""Difference of worth that means nothing."""
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Called:
    """What was found in one set and is known to be a lymphocyte or not.

    Attributes
    ----------
    logit, sure, size : (n,) float64
        The network's logit of lymphocyte, that of the centre, and the logarithm of the size.
    truth, weight : (n,) float64
    """

    dataset: str
    logit: Values
    sure: Values
    size: Values
    truth: Values
    weight: Values


def called(matched: Iterable[Matched]) -> list[Called]:
    """Per set, the found nuclei whose class is known or was inferred.

    Where every nucleus is labelled, what was found beside the labels is no lymphocyte.
    """
    rows: dict[str, list[tuple[Values, ...]]] = {}
    for m in matched:
        crop, count = m.answered.crop, len(m.instances.peak)
        truth = np.full(count, 0.0 if crop.complete else np.nan)
        weight = np.ones(count)
        found, label = m.pairs.T if len(m.pairs) else np.zeros((2, 0), np.int64)
        truth[found], weight[found] = crop.lymphocyte[label], crop.certainty[label]
        known = np.isfinite(truth)
        logit = m.instances.lymphocyte.astype(np.float64)
        row = (logit, sureness(m.instances), log_size(m.instances, WORK_MPP), truth, weight)
        rows.setdefault(m.answered.field.dataset, []).append(tuple(values[known] for values in row))
    return [
        Called(name, *map(np.concatenate, zip(*parts, strict=True))) for name, parts in sorted(rows.items())
    ]


def fit_curve(rows: Sequence[Called], sizes: tuple[float, float] | None = None) -> Calibration:
    """The curve of probability by weighted maximum likelihood.

    Platt, Probabilistic outputs for support vector machines, 1999; his smoothed targets keep the slope
    finite where the classes part perfectly.

    Parameters
    ----------
    rows : sequence of Called
    sizes : (size, size_squared), optional
        What the size counts, where it is not to be found from these rows.
    """
    logit, sure, size, truth, weight = (
        np.concatenate([getattr(row, name) for row in rows])
        for name in ("logit", "sure", "size", "truth", "weight")
    )
    positive, negative = weight[truth == 1].sum(), weight[truth == 0].sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def cost(parameters: Values) -> float:
        slope, intercept, peak, first, second = parameters
        score = slope * logit + intercept + peak * sure + first * size + second * size**2
        return float((weight * (np.logaddexp(0, score) - target * score)).sum() / weight.sum())

    first, second = sizes or (0.0, 0.0)
    free = [(-20, 20), (-20, 0)] if sizes is None else [(first, first), (second, second)]
    bounds = [(0.05, 20), (-20, 20), (0, 20), *free]
    found = minimize(cost, np.array([1.0, 0.0, 0.0, first, second]), bounds=bounds).x
    names = ("slope", "intercept", "peak", "size", "size_squared")
    return Calibration(**{name: round(value, 4) for name, value in zip(names, found.tolist(), strict=True)})


def search_decoding(
    answered: Sequence[Answered], start: Decoding, worth: Callable[[Sequence[Matched]], float]
) -> Decoding:
    """The rule worth most on these fields: peaks, then size; ``start`` says what a nucleus pixel is.

    Of sizes worth nearly the same (`NEARLY`) the smallest: which one comes first there is chance, and what is
    left out is lost.
    """
    first = [
        replace(start, centre=c, smooth_px=s, apart_px=a) for c, s, a in product(CENTRE, SMOOTH_PX, APART_PX)
    ]
    best = max(first, key=lambda rule: worth([match(one, rule) for one in answered]))
    second = [replace(best, least_um2=least) for least in LEAST_UM2]
    worths = [worth([match(one, rule) for one in answered]) for rule in second]
    # A worth that is no number keeps nothing from being chosen.
    good = [rule for rule, found in zip(second, worths, strict=True) if not found < max(worths) - NEARLY]
    return min(good, key=lambda rule: rule.least_um2)


def mean_over_sets(matched: Sequence[Matched]) -> float:
    """Mean over sets of F1 of detection, with F1 and PQ of masks where there are masks."""
    names = sorted({m.answered.field.dataset for m in matched})
    worths = []
    for name in names:
        scores = detection([m for m in matched if m.answered.field.dataset == name])
        complete = all(m.answered.crop.complete for m in matched if m.answered.field.dataset == name)
        if complete:
            worths.append(np.mean([scores[key] for key in ("f1", "f1_mask", "pq") if key in scores]))
    return float(np.mean(worths))


def reliability(probability: Values, truth: Values, weight: Values, bins: int = 10) -> NDArray[np.float64]:
    """(k, 3): mean probability, share that are lymphocytes, number, of every bin that holds any."""
    place = np.clip((probability * bins).astype(int), 0, bins - 1)
    number = np.bincount(place, weight, bins)
    filled = number > 0
    mean = np.bincount(place, weight * probability, bins)[filled] / number[filled]
    share = np.bincount(place, weight * truth, bins)[filled] / number[filled]
    return np.column_stack([mean, share, number[filled]])


def expected_error(table: NDArray[np.float64]) -> float:
    """Expected calibration error of a reliability table (Naeini et al., 2015)."""
    return float((np.abs(table[:, 0] - table[:, 1]) * table[:, 2]).sum() / max(table[:, 2].sum(), 1e-9))
