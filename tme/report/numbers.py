"""Numbers as people read them, from the text of a CSV cell on; what is missing is a dash."""

from __future__ import annotations

import math

MISSING = "–"
LEAST_LOW = 0.001


def value_of(cell: str | None) -> float | None:
    """The number in a cell, or None where there is none."""
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number_text(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits with thousands separators; whole numbers above them keep all digits."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text and abs(value) >= 1 else text


def interval_text(low: float | None, high: float | None) -> str:
    """``low – high`` by `low_text`, or empty where an end is missing."""
    if low is None or high is None:
        return ""
    return f"{low_text(low, high)} – {number_text(high)}"


def low_text(low: float, high: float) -> str:
    """The low end of an interval; under a thousandth, where the high end is not, no more is said of it."""
    return f"<{LEAST_LOW:g}" if 0 < low < LEAST_LOW <= high else number_text(low)


def signed_text(value: float | None) -> str:
    """Two decimals with a sign; U+2212 for minus, so that it cannot be taken for a dash."""
    if value is None:
        return MISSING
    return f"{value:+.2f}".replace("-", "\u2212")


def signed_number_text(value: float | None) -> str:
    """`number_text` with a sign; U+2212 for minus."""
    if value is None:
        return MISSING
    return ("+" if value >= 0 else "\u2212") + number_text(abs(value))


def fold_text(log2fc: float | None) -> str:
    """A log2 fold change as a factor of at least 1: ``× 2.5``, or ``÷ 2.5`` for a decrease."""
    if log2fc is None:
        return MISSING
    return f"{'×' if log2fc >= 0 else '÷'} {number_text(2 ** min(abs(log2fc), 60.0), 2)}"


def plain_number(value: float | None) -> str:
    """Two significant digits below 10, with U+2212 for minus: effects and their intervals."""
    if value is None:
        return MISSING
    if value and not 1e-3 <= abs(value) < 1e4:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")
    digits = 2 if abs(value) < 10 else 0
    text = f"{value:.{digits}f}" if abs(value) >= 0.095 or value == 0 else f"{value:.2g}"
    return text.replace("-", "\u2212")


def p_text(p: float | None) -> str:
    """``0.012``; below one in a thousand only that."""
    if p is None:
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
