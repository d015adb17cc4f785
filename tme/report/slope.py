"""A slope plot: one line per patient (or lesion) from before to after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tme.report.scale import Axis, linear_axis, log_axis

MOST_LABELS = 24
LABEL_GAP = 0.047
"""Least distance of two labels, as a share of the axis: a line of text in a chart of 300 px."""


@dataclass(frozen=True)
class Line:
    """One patient's (or lesion's) values and what was called.

    Attributes
    ----------
    label, call, text : str
        ``call`` is empty for a metric that is never called; ``text`` is the values as read.
    pre, post : float
        In the metric's unit.
    """

    label: str
    pre: float
    post: float
    call: str
    text: str = ""


@dataclass(frozen=True)
class Stroke:
    """One line as it is drawn: places on the axis, that of its label among them."""

    pre: float
    post: float
    label_at: float
    call: str
    label: str
    text: str


@dataclass(frozen=True)
class Slope:
    """A slope plot; ``labelled`` where there is room for the names."""

    axis: Axis
    strokes: tuple[Stroke, ...]
    labelled: bool


def slope_plot(lines: Sequence[Line], log: bool = True) -> Slope | None:
    """Place lines on an axis, logarithmic for densities and sizes, linear for shares and indices.

    Returns
    -------
    Slope or None
        None without a line.
    """
    if not lines:
        return None
    values = [value for line in lines for value in (line.pre, line.post)]
    axis = log_axis(values) if log and min(values) >= 0 else linear_axis(values)
    ordered = sorted(lines, key=lambda line: (axis.place(line.post), line.label))
    places = _spread([axis.place(line.post) for line in ordered], axis.low, axis.high)
    strokes = tuple(
        Stroke(axis.place(line.pre), axis.place(line.post), at, line.call, line.label, line.text)
        for line, at in zip(ordered, places, strict=True)
    )
    return Slope(axis, strokes, len(lines) <= MOST_LABELS)


def _spread(places: Sequence[float], low: float, high: float) -> list[float]:
    """Ascending places moved apart just enough for labels, and back down where they leave the axis.

    More labels than the axis has room for stay at their values.
    """
    gap = LABEL_GAP * (high - low)
    if len(places) * gap > (high - low):
        return list(places)
    out: list[float] = []
    for place in places:
        out.append(max(place, out[-1] + gap) if out else max(place, low))
    limit = high
    for index in range(len(out) - 1, -1, -1):
        out[index] = min(out[index], limit)
        limit = out[index] - gap
    return out
