"""A pair whose slides are positive from different DAB densities on: says so, and counts again at both."""

from __future__ import annotations

from dataclasses import replace

from tme.change.compare import change_values
from tme.change.pairing import Match
from tme.change.pool import Side
from tme.change.types import SlideResult
from tme.config import ChangeSettings
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import ColumnSpec


def threshold_notes(
    together: Match, pre: Side, post: Side, compartment: str, metric: ColumnSpec, settings: ChangeSettings
) -> list[str]:
    """A sentence where the thresholds differ, and the change with one for all slides, the lowest and highest.

    Empty where they do not differ. Only densities of positive cells are counted again: vessels are
    outlined by their threshold, and the blocks' φ is taken as it was.
    """
    before, after = _told(together.pre), _told(together.post)
    thresholds = {_threshold(slide) for slide in (*together.pre, *together.post)} - {None}
    if len(thresholds) < 2 or not (before and after):
        return []
    notes = [f"thresholds differ: {before} OD before, {after} OD after"]
    if metric.kind != "count density" or metric.needs != "til":
        return notes
    known = sorted(value for value in thresholds if value is not None)
    for threshold in (known[0], known[-1]):
        counts = [_count(side, compartment, threshold) for side in (pre, post)]
        if None in counts:
            return notes
        sides = replace(pre, n=counts[0]), replace(post, n=counts[1])
        values = change_values(*sides, metric, together.pre[0].stain.name, settings)
        if values.get("log2fc") is not None:
            change = f"log2fc {values['log2fc']:+.2f}, {values['change_call']}"
            notes.append(f"at {threshold:.3g} OD for all: {change}")
    return notes


def _threshold(slide: SlideResult) -> float | None:
    estimates = slide.measurements.compartments[EVALUABLE].estimates if slide.measurements else {}
    found = estimates.get("dab_threshold_od")
    return float(found.value) if found is not None and isinstance(found.value, int | float) else None


def _told(slides: tuple[SlideResult, ...]) -> str:
    """The thresholds of one side with their sources."""
    texts = []
    for slide in slides:
        threshold = _threshold(slide)
        if threshold is not None and slide.measurements is not None:
            source = slide.measurements.compartments[EVALUABLE].estimates.get("threshold_source")
            texts.append(f"{threshold:.3g}" + (f" ({source.value})" if source is not None else ""))
    return ", ".join(dict.fromkeys(texts))


def _count(side: Side, compartment: str, threshold: float) -> int | None:
    """Positive cells of the slides behind ``side`` from ``threshold`` on; None where that cannot be told."""
    total = 0
    for slide in side.slides:
        if slide.positive_from is None:
            return None
        total += slide.positive_from(compartment, threshold)
    return total
