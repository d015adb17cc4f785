"""Slides of one lesion -> its repeats: second blocks, next sections, re-scans, on the log2 scale.

Which error of counting two repeats have each for itself depends on what was repeated, and only that may be
taken off their scatter: blocks share no cell, so all of it (φ/n); sections of one block share its clusters,
so Poisson's part alone (1/n), and nothing of a bootstrap over shared tissue; scans of one section share every
cell, so nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from tme.change.pool import Side, pool
from tme.change.types import SlideResult
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import ColumnSpec

BLOCK, SECTION, RESCAN = "block", "section", "rescan"
KINDS = (BLOCK, SECTION, RESCAN)
SECTION_ID = "section_id"
Key = Callable[[SlideResult], Hashable]


@dataclass(frozen=True)
class Repeat:
    """One repeat of a lesion.

    Attributes
    ----------
    value : float
        log2 of the metric; of (n + .5)/A for a count density.
    variance : float
        Counting error that it does not share with the lesion's other repeats, log2².
    """

    value: float
    variance: float


@dataclass(frozen=True)
class Repeats:
    """The repeats of one kind of one metric.

    Attributes
    ----------
    lesions : tuple of tuple of Repeat
        At least two repeats each, in the order of the sheet. For sections a "lesion" is one block of one, for
        re-scans one section.
    left_out : int
        Repeats without a value that can be judged.
    """

    lesions: tuple[tuple[Repeat, ...], ...]
    left_out: int


def _lesion(slide: SlideResult) -> Hashable:
    return tuple(slide.key(name) for name in ("patient_id", "lesion_id", "timepoint"))


def _block(slide: SlideResult) -> Hashable:
    return _lesion(slide), slide.key("specimen_id"), slide.key("block_id")


def _section(slide: SlideResult) -> Hashable:
    """A section that is not named is one of its own: only named ones can be known to be scanned twice."""
    return _block(slide), slide.key(SECTION_ID) or ("slide", slide.key("slide_id"))


def _scan(slide: SlideResult) -> Hashable:
    return slide.key("slide_id")


LEVELS: dict[str, tuple[Key, Key]] = {
    BLOCK: (_lesion, _block),
    SECTION: (_block, _section),
    RESCAN: (_section, _scan),
}


def repeats(slides: Sequence[SlideResult], metric: ColumnSpec, kind: str) -> Repeats:
    """Repeats of one kind.

    Parameters
    ----------
    slides : sequence of SlideResult
        Of one stain, in the order of the sheet.
    metric : ColumnSpec
        A count density or a positive metric.
    kind : {"block", "section", "rescan"}
        Slides of the same block, or section, are pooled as in a change.
    """
    whole, part = LEVELS[kind]
    lesions, left_out = [], 0
    for together in _grouped(slides, whole):
        units = _grouped(together, part)
        if len(units) < 2:
            continue
        found = [repeat(pool(unit, EVALUABLE, metric), metric, kind) for unit in units]
        good = tuple(one for one in found if one is not None)
        left_out += len(found) - len(good)
        if len(good) > 1:
            lesions.append(good)
    return Repeats(tuple(lesions), left_out)


def _grouped(slides: Iterable[SlideResult], key: Key) -> list[list[SlideResult]]:
    groups: dict[Hashable, list[SlideResult]] = {}
    for slide in slides:
        groups.setdefault(key(slide), []).append(slide)
    return list(groups.values())


def repeat(side: Side, metric: ColumnSpec, kind: str) -> Repeat | None:
    """A pooled side as a repeat of this kind; None where it cannot be judged."""
    if side.reasons or side.value is None:
        return None
    if metric.kind == "count density":
        if side.n is None or not side.area_mm2:
            return None
        phi = {BLOCK: 1.0 if side.phi is None else side.phi, SECTION: side.least_phi, RESCAN: 0.0}[kind]
        n = side.n + 0.5
        return Repeat(math.log2(n / side.area_mm2), phi / n / math.log(2) ** 2)
    if side.value <= 0 or (kind == BLOCK and side.se is None):
        return None
    return Repeat(math.log2(side.value), (side.se or 0.0) ** 2 if kind == BLOCK else 0.0)
