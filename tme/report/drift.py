"""Which slides stray from their batch in colour: stain direction, white, nuclei, threshold.

In: each slide's stain profile, as saved in ``qc.json``. Out: scores by quantity. Nothing is corrected and
no other number depends on it: a slide that strays is one to look at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Profile = Mapping[str, Any]
MIN_SLIDES = 8
LIMIT = 5.0
"""Modified z-score from which a slide strays (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers).
In a batch of eight their 3.5 names one normal value in 45, this limit one in 140."""
TO_SIGMA = 0.6745
"""MAD of a normal distribution in standard deviations."""


@dataclass(frozen=True)
class Quantity:
    """Something of a stain profile that should be alike within a batch.

    Attributes
    ----------
    title, unit : str
    least : float
        Differences up to this are nothing to look at, however alike the batch is otherwise.
    read : callable
        Its value in a profile; None where the profile has none.
    """

    title: str
    unit: str
    least: float
    read: Callable[[Profile], float | None]


def _channel(number: int) -> Callable[[Profile], float | None]:
    return lambda profile: float(profile["background"][number])


def _direction(number: int) -> Callable[[Profile], float | None]:
    return lambda profile: float(profile["vectors"][0][number])


def _threshold(profile: Profile) -> float | None:
    value = profile["dab_threshold_od"]
    return None if value is None else float(value)


def _nuclei(profile: Profile) -> float | None:
    value = profile["levels"].get("nucleus")
    return None if value is None else float(value)


QUANTITIES = (
    Quantity("White, red", "grey level", 3.0, _channel(0)),
    Quantity("White, green", "grey level", 3.0, _channel(1)),
    Quantity("White, blue", "grey level", 3.0, _channel(2)),
    Quantity("Haematoxylin, red part of its direction", "", 0.02, _direction(0)),
    Quantity("Haematoxylin, blue part of its direction", "", 0.02, _direction(2)),
    Quantity("Nuclei, median signal", "", 0.03, _nuclei),
    Quantity("DAB threshold", "OD", 0.01, _threshold),
)


@dataclass(frozen=True)
class Place:
    """One slide's value of one quantity.

    Attributes
    ----------
    slide_id : str
    value : float
    median : float
        Of its batch.
    score : float or None
        How many standard deviations it lies from the median, signed; None in a batch too small to tell.
    strays : bool
    """

    slide_id: str
    value: float
    median: float
    score: float | None
    strays: bool


def places(slides: Sequence[tuple[str, Profile]], quantity: Quantity) -> list[Place]:
    """Where the slides of one batch stand in one quantity, in their order.

    score = 0.6745 (x − median) / MAD. A slide strays from a score of `LIMIT` on if it also differs by more
    than `Quantity.least`. With fewer than `MIN_SLIDES` slides nobody is judged.
    """
    known = [(slide_id, quantity.read(profile)) for slide_id, profile in slides]
    values = [(slide_id, value) for slide_id, value in known if value is not None]
    if not values:
        return []
    numbers = np.array([value for _, value in values])
    median = float(np.median(numbers))
    spread = float(np.median(np.abs(numbers - median)))
    out = []
    for slide_id, value in values:
        away = value - median
        score = None
        if len(values) >= MIN_SLIDES:
            score = TO_SIGMA * away / spread if spread > 0 else math.copysign(math.inf, away) if away else 0.0
        strays = score is not None and abs(score) > LIMIT and abs(away) > quantity.least
        out.append(Place(slide_id, value, median, score, strays))
    return out
