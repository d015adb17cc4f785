"""A waterfall: each patient's change as a bar, the largest rise first, by response where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tme.change.types import NOT_EVALUABLE
from tme.report.scale import Axis, fold_axis, linear_axis

RESPONDED, NOT_RESPONDED, NO_RESPONSE = "responder", "non_responder", "unknown"
GROUPS = {"CR": RESPONDED, "PR": RESPONDED, "SD": NOT_RESPONDED, "PD": NOT_RESPONDED}
LONGEST_INTERVAL = 1.5
"""How far beyond the largest change the axis goes to show intervals whole."""


@dataclass(frozen=True)
class Change:
    """One patient's (or lesion's) change.

    Attributes
    ----------
    value, low, high : float or None
        log2fc or delta_abs with its interval; None where there is none.
    call : str
    response : str
        CR, PR, SD, PD, NE or empty.
    rc : float or None
        Repeatability coefficient the change was held against.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    call: str
    response: str
    text: str = ""
    rc: float | None = None


@dataclass(frozen=True)
class Bar:
    """One bar; ``value`` is None for a patient without a change, who keeps a place."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    call: str
    group: str
    response: str
    text: str


@dataclass(frozen=True)
class Waterfall:
    """A waterfall.

    Attributes
    ----------
    by_response : bool
        Else bars are coloured by what was called.
    rc : float or None
        Half the height of the band of noise, where all changes share one.
    """

    axis: Axis
    bars: tuple[Bar, ...]
    by_response: bool
    rc: float | None
    log2: bool


def waterfall(changes: Sequence[Change], log2: bool) -> Waterfall | None:
    """Sort and place; None where nobody has a change."""
    values = [change.value for change in changes if change.value is not None]
    if not values:
        return None
    reach = LONGEST_INTERVAL * max(1.0 if log2 else 0.0, *map(abs, values))
    ends = [end for change in changes for end in (change.low, change.high) if end is not None]
    coefficients = {change.rc for change in changes if change.rc is not None}
    rc = coefficients.pop() if len(coefficients) == 1 else None
    shown = [*values, *(max(-reach, min(reach, end)) for end in ends), *([rc, -rc] if rc and log2 else [])]
    ordered = sorted(changes, key=lambda one: (one.value is None, -(one.value or 0.0), one.label))
    bars = tuple(
        Bar(
            one.label,
            one.value,
            one.low,
            one.high,
            one.call or ("" if one.value is not None else NOT_EVALUABLE),
            GROUPS.get(one.response, NO_RESPONSE),
            one.response,
            one.text,
        )
        for one in ordered
    )
    axis = fold_axis(shown) if log2 else linear_axis(shown, signed=True)
    return Waterfall(axis, bars, any(one.response for one in changes), rc if log2 else None, log2)
