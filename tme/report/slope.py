"""A slope plot: one line per patient from before to after, as places for an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tme.overlay.palette import BLUE, VERMILLION
from tme.report.numbers import number_text

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 76, 330, 18, 300
LABEL_GAP = 14
LABEL_CHARACTERS = 18
GREY = "#7d8993"
CALL_COLOURS = {"increase": VERMILLION, "decrease": BLUE, "within_noise": GREY, "not_evaluable": GREY}


@dataclass(frozen=True)
class Line:
    """One patient's (or lesion's) values and what was called.

    Attributes
    ----------
    label, call : str
        ``call`` is empty for a metric that is never called.
    pre, post : float
        In the metric's unit; not negative.
    """

    label: str
    pre: float
    post: float
    call: str


@dataclass(frozen=True)
class Tick:
    """A value of the axis and where it stands."""

    y: float
    text: str


@dataclass(frozen=True)
class Stroke:
    """One line as it is drawn; ``dashed`` where nothing may be called."""

    y_pre: float
    y_post: float
    y_label: float
    colour: str
    dashed: bool
    label: str
    title: str


@dataclass(frozen=True)
class Slope:
    """A slope plot, ready for the template."""

    strokes: tuple[Stroke, ...]
    ticks: tuple[Tick, ...]
    zero_y: float | None


def slope_plot(lines: Sequence[Line]) -> Slope | None:
    """Place lines on a logarithmic axis; zeros stand on a line of their own below it.

    Returns
    -------
    Slope or None
        None without a line.
    """
    positive = [value for line in lines for value in (line.pre, line.post) if value > 0]
    if not lines:
        return None
    zeros = any(min(line.pre, line.post) <= 0 for line in lines)
    low, high = _span(positive)
    floor = BOTTOM - 24 if zeros else BOTTOM

    def place(value: float) -> float:
        if value <= 0:
            return float(BOTTOM)
        return round(floor - (math.log10(value) - low) / (high - low) * (floor - TOP), 1)

    ordered = sorted(lines, key=lambda line: (place(line.post), line.label))
    labels = _spread([place(line.post) for line in ordered])
    strokes = tuple(
        Stroke(
            place(line.pre),
            place(line.post),
            y_label,
            CALL_COLOURS.get(line.call, GREY),
            line.call == "not_evaluable",
            _short(line.label),
            _title(line),
        )
        for line, y_label in zip(ordered, labels, strict=True)
    )
    ticks = tuple(Tick(place(value), number_text(value, 1)) for value in _ticks(low, high))
    return Slope(strokes, ticks, float(BOTTOM) if zeros else None)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis as log10, at least a factor of four apart."""
    low = math.log10(min(values)) if values else 0.0
    high = math.log10(max(values)) if values else 1.0
    missing = max(0.0, math.log10(4) - (high - low))
    return low - missing / 2 - 0.06, high + missing / 2 + 0.06


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 within each decade; only whole decades where the axis is long."""
    steps = (1.0,) if high - low > 3 else (1.0, 2.0, 5.0)
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = [step * 10.0**decade for decade in decades for step in steps]
    return [value for value in values if low <= math.log10(value) <= high]


def _spread(places: Sequence[float]) -> list[float]:
    """Sorted places moved apart just enough for labels, then back up where they leave the plot."""
    out: list[float] = []
    for place in places:
        out.append(max(place, out[-1] + LABEL_GAP) if out else place)
    over = out[-1] - (HEIGHT - 10) if out else 0.0
    if over > 0:
        limit = float(HEIGHT - 10)
        for index in range(len(out) - 1, -1, -1):
            out[index] = min(out[index], limit)
            limit = out[index] - LABEL_GAP
    return [round(place, 1) for place in out]


def _title(line: Line) -> str:
    values = f"{number_text(line.pre)} to {number_text(line.post)}"
    return f"{line.label}: {values}" + (f", {line.call.replace('_', ' ')}" if line.call else "")


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else label[: LABEL_CHARACTERS - 1] + "…"
