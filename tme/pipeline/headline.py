"""The few numbers a pathologist reads first, with their intervals, as text."""

from __future__ import annotations

from typing import Any

from tme.metrics import Estimate, Measurements

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
            lines.append((label, _number(estimate, unit)))
    for name, label in COUNTS:
        estimate = compartment.estimates.get(name)
        if estimate is not None and estimate.value is not None:
            lines.append((label, str(estimate.value)))
    reasons: list[Any] = sorted({reason for found in compartment.reasons.values() for reason in found})
    lines.append(("Evaluable", "no: " + "; ".join(reasons) if reasons else "yes"))
    return lines


def _number(estimate: Estimate, unit: str) -> str:
    text = f"{estimate.value:.3g} {unit}"
    if estimate.ci_low is None or estimate.ci_high is None:
        return text
    return f"{text} (95 % interval {estimate.ci_low:.3g} to {estimate.ci_high:.3g})"
