"""Measures -> class, probability, is_til, positive: what a cell is said to be.

In: numbers of cells, the stain and the slide's profile. Out: `Calls`. One threshold for the whole
slide; nothing is learned from the cells at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.cells.lymphocyte import lymphocyte_probability
from tme.cells.measure import Measures, Values
from tme.stains.types import Stain, StainProfile

LYMPHOCYTE, OTHER, POSITIVE, NEGATIVE = "lymphocyte", "other", "positive", "negative"
MARGIN_OD = 0.05
LEAST_CHANCE = 1e-6
"""Of being positive, for all but pigment, so that `never_positive` holds in float32."""


@dataclass(frozen=True, eq=False)
class Calls:
    """What each cell is said to be.

    Attributes
    ----------
    name : (n,) object
        ``class``.
    probability : (n,) float64
        Probability of the class named.
    is_til : (n,) bool or None
        None where the stain says nothing about lymphocytes.
    positive : (n,) bool or None
        None on H&E.
    """

    name: NDArray[np.object_]
    probability: Values
    is_til: NDArray[np.bool_] | None
    positive: NDArray[np.bool_] | None


def classify(
    measures: Measures,
    stain: Stain,
    profile: StainProfile,
    til_prob: NDArray[np.float32] | None = None,
    til_least: float = 0.5,
    pigment: NDArray[np.bool_] | None = None,
) -> Calls:
    """Class of every cell.

    Parameters
    ----------
    measures : Measures
    stain : Stain
    profile : StainProfile
    til_prob : (n,) float32, optional
        The engine's own probability of lymphocyte, used on H&E in place of the rule.
    til_least : float
        Probability from which on a cell is called a lymphocyte.
    pigment : (n,) bool, optional
        Cells that are pigment on a DAB section (`tme.cells.pigment`): never positive.
    """
    if stain.kind == "he":
        return _he(measures, profile, til_prob, til_least)
    return _dab(measures, stain, profile, np.zeros(len(measures.x), bool) if pigment is None else pigment)


def _he(
    measures: Measures, profile: StainProfile, til_prob: NDArray[np.float32] | None, til_least: float
) -> Calls:
    probability = (
        lymphocyte_probability(measures, profile) if til_prob is None else til_prob.astype(np.float64)
    )
    is_til = probability >= til_least
    name = np.where(is_til, LYMPHOCYTE, OTHER).astype(object)
    return Calls(name, np.where(is_til, probability, 1 - probability), is_til, None)


def _dab(measures: Measures, stain: Stain, profile: StainProfile, pigment: NDArray[np.bool_]) -> Calls:
    threshold = profile.dab_threshold_od
    marker = marker_od(measures.second_od, measures.ring_od, stain)
    if threshold is None:
        threshold = float("inf")
    probability = np.where(
        pigment, 0.0, np.maximum(_logistic((marker - threshold) / MARGIN_OD), LEAST_CHANCE)
    )
    positive = (marker >= threshold) & ~pigment
    name = np.where(positive, POSITIVE, NEGATIVE).astype(object)
    shown = np.where(positive, probability, 1 - probability)
    return Calls(name, shown, positive if stain.til_marker else None, positive)


def never_positive(positive: NDArray[np.bool_], probability: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(n,) Cells of a DAB section that no threshold makes positive, by their columns in the table.

    Pigment is negative with ``class_prob`` 1, which no other negative cell has.
    """
    return ~positive & (probability >= 1)


def marker_od(nucleus_od: Values, ring_od: Values, stain: Stain) -> Values:
    """(n,) DAB density of the marker where it sits: in the nucleus, else the higher of nucleus and ring."""
    return nucleus_od if stain.marker_site == "nucleus" else np.maximum(nucleus_od, ring_od)


def _logistic(score: Values) -> Values:
    return 1 / (1 + np.exp(-np.clip(score, -30, 30)))
