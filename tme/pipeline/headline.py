"""The few numbers a pathologist reads first, with their intervals, as text."""

from __future__ import annotations

from typing import Any

from tme.metrics import Measurements
from tme.report.numbers import low_text, number_text

LINES = (
    ("til_density_per_mm2", "TIL density", "/mm²"),
    ("positive_pct", "Positive", "%"),
    ("mvd_per_mm2", "Vessel density", "/mm²"),
    ("vessel_area_pct", "Vessel area", "%"),
)
COUNTS = (("n_nuclei", "Nuclei"), ("n_til", "TILs"), ("n_vessels", "Vessels"))


def headline(measurements: Measurements) -> list[tuple[str, str]]:
    """(label, text) of the compartment ``evaluable``; what the stain does not give is left out."""
    compartment = measurements.compartments["evaluable"]
    lines = [("Evaluable area", f"{compartment.area_mm2:.2f} mm²")]
    for name, label, unit in LINES:
        estimate = compartment.estimates.get(name)
        if estimate is not None and isinstance(estimate.value, (int, float)):
            lines.append((label, with_interval(estimate.value, estimate.ci_low, estimate.ci_high, unit)))
    for name, label in COUNTS:
        estimate = compartment.estimates.get(name)
        if estimate is not None and estimate.value is not None:
            lines.append((label, str(estimate.value)))
    reasons: list[Any] = sorted({reason for found in compartment.reasons.values() for reason in found})
    lines.append(("Evaluable", "no: " + "; ".join(reasons) if reasons else "yes"))
    return lines


def with_interval(value: float, low: float | None, high: float | None, unit: str) -> str:
    """A value with its unit and 95 % interval, as the report writes them."""
    text = f"{number_text(value)} {unit}"
    if low is None or high is None:
        return text
    return f"{text} (95 % interval {low_text(low, high)} to {number_text(high)})"
