"""``report/batches.html``: colour of every slide beside the others of its batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme.overlay.frame import render_page
from tme.report.drift import LIMIT, MIN_SLIDES, QUANTITIES, Place, Profile, Quantity, places
from tme.report.numbers import number_text, signed_number_text
from tme.store import read_json, write_text
from tme.tables import read_csv

PAGE = "report/batches.html"
LEFT, RIGHT, TOP, LANE = 140, 540, 8, 24
TICKS = 6
NAME_CHARACTERS = 16
NO_BATCH = "no batch named"


@dataclass(frozen=True)
class Dot:
    """One slide in a strip."""

    x: float
    y: float
    slide_id: str
    value: str
    strays: bool


@dataclass(frozen=True)
class Strip:
    """One quantity of one stain: a lane per batch, a dot per slide, a line at each batch's median."""

    title: str
    unit: str
    height: float
    lanes: tuple[tuple[float, str, float], ...]
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]


def write_batches(results: Path) -> None:
    """Write ``results/report/batches.html`` from ``slide_metrics.csv`` and the slides' ``qc.json``.

    Raises
    ------
    ArtefactError
        If the table or a ``qc.json`` cannot be read.
    """
    stains: dict[str, dict[str, list[tuple[str, Profile]]]] = {}
    without = []
    for slide_id, row in _one_per_slide(read_csv(results / "slide_metrics.csv")).items():
        profile = _profile(results / "slides" / slide_id / "qc.json")
        if profile is None:
            without.append(slide_id)
            continue
        batches = stains.setdefault(row.get("stain", ""), {})
        batches.setdefault(row.get("batch", "") or NO_BATCH, []).append((slide_id, profile))
    sections = [_section(stain, batches) for stain, batches in sorted(stains.items())]
    text = render_page(
        "tme.report",
        "batches.html",
        sections=sections,
        n_stray=len({stray["slide_id"] for section in sections for stray in section["strays"]}),
        without=without,
        limit=LIMIT,
        min_slides=MIN_SLIDES,
        left=LEFT,
        right=RIGHT,
    )
    write_text(results / PAGE, text)


def _one_per_slide(rows: Sequence[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    first: dict[str, Mapping[str, str]] = {}
    for row in rows:
        first.setdefault(row.get("slide_id", ""), row)
    return first


def _profile(path: Path) -> Profile | None:
    """The stain profile a slide's job saved; None for a slide that came to none."""
    return read_json(path).get("stain") if path.is_file() else None


def _section(stain: str, batches: Mapping[str, list[tuple[str, Profile]]]) -> dict[str, Any]:
    strips, strays = [], []
    for quantity in QUANTITIES:
        found = {batch: places(slides, quantity) for batch, slides in batches.items()}
        found = {batch: there for batch, there in found.items() if there}
        values = [place.value for there in found.values() for place in there]
        # What is the same on every slide was not measured: the reference direction of haematoxylin on H&E.
        if not values or min(values) == max(values):
            continue
        strips.append(_strip(quantity, found))
        strays += [
            _stray(quantity, batch, place)
            for batch, there in found.items()
            for place in there
            if place.strays
        ]
    return {
        "stain": stain,
        "strips": strips,
        "strays": strays,
        "small": [batch for batch, slides in batches.items() if len(slides) < MIN_SLIDES],
        "n_slides": sum(len(slides) for slides in batches.values()),
    }


def _stray(quantity: Quantity, batch: str, place: Place) -> dict[str, str]:
    score = place.score
    return {
        "slide_id": place.slide_id,
        "batch": batch,
        "quantity": quantity.title,
        "value": number_text(place.value),
        "median": number_text(place.median),
        "unit": quantity.unit,
        "score": signed_number_text(score)
        if score is not None and math.isfinite(score)
        else "all others equal",
    }


def _strip(quantity: Quantity, found: Mapping[str, list[Place]]) -> Strip:
    values = [place.value for there in found.values() for place in there]
    low, high = min(values), max(values)
    middle, half = (low + high) / 2, max((high - low) / 2, quantity.least) * 1.08

    def across(value: float) -> float:
        return round(LEFT + (value - middle + half) / (2 * half) * (RIGHT - LEFT), 1)

    lanes, dots = [], []
    for number, (batch, there) in enumerate(found.items()):
        y = TOP + (number + 0.5) * LANE
        lanes.append((y, _short(batch), across(there[0].median)))
        dots += [
            Dot(across(place.value), y, place.slide_id, number_text(place.value), place.strays)
            for place in sorted(there, key=lambda place: place.strays)
        ]
    step = _round_step(2 * half / TICKS)
    first, last = math.ceil((middle - half) / step), math.floor((middle + half) / step)
    ticks = [number * step for number in range(first, last + 1)]
    return Strip(
        quantity.title,
        quantity.unit,
        TOP + len(lanes) * LANE + 20,
        tuple(lanes),
        tuple((across(value), number_text(value)) for value in ticks),
        tuple(dots),
    )


def _round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below ``at_least``."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= at_least * (1 - 1e-9))


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 1] + "…"
