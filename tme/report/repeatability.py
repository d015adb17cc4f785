"""The page beside a file of repeatability coefficients: a table and Bland-Altman plots, self-contained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tme.change.repeatability import Coefficient
from tme.overlay.frame import render_page
from tme.report.numbers import number_text
from tme.store import write_text

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 400, 16, 256
LEAST_REACH = 1.2
"""The axis of differences reaches at least so far: small scatter must look small."""
KIND_TITLES = {
    "block": "blocks of one lesion",
    "section": "sections of one block",
    "rescan": "scans of one section",
}


@dataclass(frozen=True)
class Line:
    """A horizontal line of the plot with its name."""

    y: float
    kind: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A Bland-Altman plot, ready for the template.

    Attributes
    ----------
    points : tuple of (x, y, title)
    lines : tuple of Line
    x_ticks, y_ticks : tuple of (place, text)
    """

    points: tuple[tuple[float, float, str], ...]
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def write_repeatability_page(path: Path, found: Sequence[Coefficient], sha256: str) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    found : sequence of Coefficient
    sha256 : str
        Hash of the file it belongs to.
    """
    sections = [(one, KIND_TITLES[one.kind], _row(one), bland_altman(one)) for one in found]
    write_text(path, render_page("tme.report", "repeatability.html", sections=sections, sha256=sha256))


def bland_altman(one: Coefficient) -> Plot | None:
    """Difference against mean of consecutive repeats, log2; None without a pair."""
    agreement = one.agreement
    if not agreement.pairs:
        return None
    means = [mean for mean, _ in agreement.pairs]
    ends = [abs(difference) for _, difference in agreement.pairs]
    ends += [abs(value) for value in (agreement.low, agreement.high, one.rc_log2) if value is not None]
    reach = 1.1 * max(LEAST_REACH, *ends)
    left, right = min(means) - 0.3, max(means) + 0.3

    def x_of(mean: float) -> float:
        return round(LEFT + (mean - left) / (right - left) * (RIGHT - LEFT), 1)

    def y_of(difference: float) -> float:
        return round((TOP + BOTTOM) / 2 - difference / reach * (BOTTOM - TOP) / 2, 1)

    drawn = [
        ("bias", agreement.bias, "bias"),
        ("limit", agreement.low, "limit"),
        ("limit", agreement.high, "limit"),
    ]
    if one.rc_log2 is not None:
        drawn += [("rc", -one.rc_log2, "−rc"), ("rc", one.rc_log2, "rc")]
    step = 1 if reach < 4 else 2
    whole = range(-step * int(reach // step), int(reach) + 1, step)
    return Plot(
        tuple(
            (x_of(mean), y_of(difference), f"{number_text(2**mean)}: {difference:+.2f}")
            for mean, difference in agreement.pairs
        ),
        tuple(Line(y_of(value), kind, text) for kind, value, text in drawn if value is not None),
        tuple((x_of(math.log2(value)), number_text(value)) for value in _ticks(left, right)),
        tuple((y_of(value), f"{value:+d}" if value else "0") for value in whole),
    )


def _ticks(left: float, right: float) -> list[float]:
    """1, 2, 5 of each decade within the log2 ends; every fourth power of two where none is."""
    decades = range(math.floor(left * math.log10(2)), math.ceil(right * math.log10(2)) + 1)
    values = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return [value for value in values if left <= math.log2(value) <= right]


def _row(one: Coefficient) -> list[tuple[str, str]]:
    """Label and text of each number."""
    agreement = one.agreement
    return [
        ("Lesions, repeats", f"{one.n_lesions}, {one.n_repeats}"),
        ("Left out", str(one.n_left_out)),
        ("SD within lesions, log2", number_text(one.observed_sd)),
        ("of counting alone", number_text(one.counting_sd)),
        ("Between-repeat SD s_b", _with_interval(one.s_b, one.s_b_low, one.s_b_high)),
        ("Coefficient rc_log2", _with_interval(one.rc_log2, one.rc_low, one.rc_high)),
        ("Bias", _with_interval(agreement.bias, agreement.bias_low, agreement.bias_high)),
        ("Limits of agreement", _range(agreement.low, agreement.high)),
        ("Used for calls", "yes" if one.used else f"no: {one.reason}"),
    ]


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ({_range(low, high)})"


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.2f} to {high:.2f}"
