"""An axis: values -> places on it, and the ticks that say what stands where.

Charts on the page and figures for a paper are drawn by different libraries from the same places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tme.report.numbers import number_text

MARGIN = 0.04
SHORTEST = 1e-12
"""Length below which a linear axis is that of zeros: no measurement is so small."""
ZERO_GAP = 0.09
LONGEST_FACTOR = 13
FEWEST_TICKS = 3


@dataclass(frozen=True)
class Axis:
    """One axis in places, which are linear.

    Attributes
    ----------
    low, high : float
        Its ends.
    ticks : tuple of (place, text)
    zero : float or None
        Place of the value 0 on a logarithmic axis that has one, below all others.
    log : bool
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    zero: float | None = None
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value stands; on a logarithmic axis all that is not positive at ``zero``."""
        if not self.log:
            return value
        return math.log10(value) if value > 0 else (self.low if self.zero is None else self.zero)


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis, at least a factor of four long; zeros get a place of their own below it."""
    positive = [value for value in values if value > 0]
    if not positive:
        return Axis(-1.0, 1.0, ((0.0, "0"),), 0.0, log=True)
    low, high = math.log10(min(positive)), math.log10(max(positive))
    missing = max(0.0, math.log10(4) - (high - low))
    low, high = low - missing / 2, high + missing / 2
    length = high - low
    ticks = [(math.log10(value), number_text(value, 1)) for value in _log_ticks(low, high)]
    low, high = low - MARGIN * length, high + MARGIN * length
    zero = None
    if len(positive) < len(values):
        zero = low - ZERO_GAP * length
        ticks.insert(0, (zero, "0"))
        low = zero - MARGIN * length
    return Axis(low, high, tuple(ticks), zero, log=True)


def linear_axis(values: Sequence[float], signed: bool = False) -> Axis:
    """A linear axis over the values and 0; where there is nothing else, 0 alone."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if high - low < SHORTEST:
        return Axis(-1.0, 1.0, ((0.0, "0"),))
    step = _step(high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [(index * step, _tick_text(index * step, step, signed)) for index in range(first, last + 1)]
    margin = MARGIN * (high - low)
    low, high = low - margin, high + margin
    return Axis(low, high, tuple(tick for tick in ticks if low <= tick[0] <= high))


def fold_axis(values: Sequence[float]) -> Axis:
    """An axis of log2 fold changes, with ticks that say the factor."""
    low, high = min([-1.0, *values]), max([1.0, *values])
    step = max(1, math.ceil((high - low) / 8))
    first, last = math.ceil(low / step), math.floor(high / step)
    ticks = [(float(index * step), factor_text(index * step)) for index in range(first, last + 1)]
    margin = MARGIN * (high - low)
    return Axis(low - margin, high + margin, tuple(ticks))


def ratio_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis of ratios about 1."""
    low, high = math.log10(min([0.5, *values])), math.log10(max([2.0, *values]))
    ticks = [(math.log10(value), f"{value:g}") for value in _log_ticks(low, high)]
    margin = MARGIN * (high - low)
    return Axis(low - margin, high + margin, tuple(ticks), log=True)


def factor_text(log2fc: int) -> str:
    """``×4``, ``÷4`` or ``1`` for a whole log2 fold change."""
    if log2fc == 0:
        return "1"
    factor = f"{2 ** abs(log2fc):,}" if abs(log2fc) <= LONGEST_FACTOR else f"2^{abs(log2fc)}"
    return f"{'×' if log2fc > 0 else '÷'}{factor}"


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 within each decade, all digits where these are fewer than three; decades on a long axis."""
    length = high - low
    if length > 3:
        return _ticks_at((1.0,), low, high)
    few = _ticks_at((1.0, 2.0, 5.0), low, high)
    return few if len(few) >= FEWEST_TICKS else _ticks_at(tuple(map(float, range(1, 10))), low, high)


def _ticks_at(steps: Sequence[float], low: float, high: float) -> list[float]:
    """The steps within each decade; of a very long axis every second decade, or third."""
    length = high - low
    every = max(1, math.ceil(length / 7))
    decades = [
        decade for decade in range(math.floor(low), math.ceil(high) + 1) if decade % every == 0 or every == 1
    ]
    values = [step * 10.0**decade for decade in decades for step in steps]
    return [value for value in values if low - 1e-9 <= math.log10(value) <= high + 1e-9]


def _step(length: float) -> float:
    """1, 2 or 5 times a power of ten that divides the length into four to nine."""
    rough = length / 6
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _tick_text(value: float, step: float, signed: bool) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{abs(value):,.{decimals}f}"
    if abs(value) < step / 2:
        return f"{0:.{decimals}f}" if decimals else "0"
    sign = "\u2212" if value < 0 else ("+" if signed else "")
    return sign + text
