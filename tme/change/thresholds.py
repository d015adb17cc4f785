"""A pair whose slides are positive from different DAB densities on: says so, and counts again at both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tme.change.compare import change_values
from tme.change.pairing import Match
from tme.change.pool import Side
from tme.change.types import Recount, SlideResult
from tme.config import ChangeSettings
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import ColumnSpec
from tme.units import um2_to_mm2

DEPENDS = "the call depends on the threshold: "
FOR_ALL = " OD for all: "
OF_NUCLEI, OF_AREA = ("positive_pct", "til_fraction_pct"), ("til_area_pct",)


@dataclass(frozen=True)
class Again:
    """A pair counted again with one threshold for all its slides: the result in words, and what is called."""

    threshold_od: float
    text: str
    call: str = ""


def threshold_notes(
    together: Match, pre: Side, post: Side, compartment: str, metric: ColumnSpec, settings: ChangeSettings
) -> list[str]:
    """A sentence where the thresholds differ, and the change with one for all slides, the lowest and highest.

    Empty where they do not differ. Counted again are the density of positive cells, with its call, and their
    shares; vessels are outlined by their threshold, and what needs more than a count is not told. The
    blocks' φ is taken as it was.
    """
    before, after = _told(together.pre), _told(together.post)
    thresholds = {_threshold(slide) for slide in (*together.pre, *together.post)} - {None}
    if len(thresholds) < 2 or not (before and after):
        return []
    notes = [f"thresholds differ: {before} OD before, {after} OD after"]
    known = sorted(value for value in thresholds if value is not None)
    again = [_again(pre, post, compartment, metric, od, settings) for od in (known[0], known[-1])]
    found = [one for one in again if one is not None]
    if metric.target == "vessels":
        notes.append("vessels are outlined by them and not counted again")
    if len(found) < len(again):
        return notes
    own = change_values(pre, post, metric, _stain(pre), settings).get("change_call", "")
    if {one.call for one in found} != {own}:
        calls = [f"{own} at each slide's own", *(f"{one.call} at {one.threshold_od:.3g} OD" for one in found)]
        notes.append(DEPENDS + ", ".join(calls))
    return [*notes, *(f"at {one.threshold_od:.3g}{FOR_ALL}{one.text}" for one in found)]


def _again(
    pre: Side, post: Side, compartment: str, metric: ColumnSpec, threshold: float, settings: ChangeSettings
) -> Again | None:
    """The pair at one threshold; None where that cannot be told from cells alone."""
    before, after = (_count(side, compartment, threshold) for side in (pre, post))
    if before is None or after is None:
        return None
    if metric.kind == "count density" and metric.needs == "til":
        sides = replace(pre, n=before.cells), replace(post, n=after.cells)
        values = change_values(*sides, metric, _stain(pre), settings)
        if values.get("log2fc") is None:
            return None
        low, high = values.get("log2fc_ci_low"), values.get("log2fc_ci_high")
        interval = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
        call = str(values["change_call"])
        counts = f"({before.cells} cells before, {after.cells} after)"
        return Again(threshold, f"log2fc {values['log2fc']:+.2f}{interval}, {call} {counts}", call)
    share_pre, share_post = _share(pre, before, metric), _share(post, after, metric)
    if share_pre is None or share_post is None:
        return None
    text = f"{share_pre:.3g} % before, {share_post:.3g} % after, difference {share_post - share_pre:+.3g}"
    return Again(threshold, text)


def _share(side: Side, count: Recount, metric: ColumnSpec) -> float | None:
    """The share of nuclei that are positive, or of the area they cover, %; None for other metrics."""
    if metric.name in OF_NUCLEI and side.n:
        return 100 * count.cells / side.n
    if metric.name in OF_AREA and side.area_mm2:
        return 100 * um2_to_mm2(count.area_um2) / side.area_mm2
    return None


def _stain(side: Side) -> str:
    return side.slides[0].stain.name if side.slides else ""


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


def _count(side: Side, compartment: str, threshold: float) -> Recount | None:
    """Positive cells of the slides behind ``side`` from ``threshold`` on; None where that cannot be told."""
    found = []
    for slide in side.slides:
        if slide.positive_from is None:
            return None
        found.append(slide.positive_from(compartment, threshold))
    return Recount(sum(one.cells for one in found), sum(one.area_um2 for one in found)) if found else None
