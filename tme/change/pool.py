"""Several slides of one time point -> one value with its uncertainty.

Counts and areas are summed, never averaged. Slides of different blocks add information; serial
sections of one block show the same cells again, so φ is multiplied by their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tme.change.types import SlideResult
from tme.config import MetricSettings
from tme.metrics.bootstrap import (
    bounded_interval,
    draws,
    mixture_quantile,
    positive_interval,
    ratio,
    ratio_error,
)
from tme.metrics.family import family_of
from tme.metrics.intervals import Information, density_interval, overdispersion
from tme.metrics.measure import area_reason, nuclei_reason
from tme.metrics.spill import spill
from tme.metrics.types import BlockSums, ColumnSpec, Compartment, Estimate, Measurements

SECTIONS = "serial sections of one block taken once"
Block = tuple[str, str, str]
NOT_POOLED = "not defined for several slides together"


@dataclass(frozen=True)
class Side:
    """One metric at one time point.

    Attributes
    ----------
    value, low, high : float or None
        With the ends of the 95 % interval, in the metric's unit.
    n : int or None
    area_mm2 : float or None
    phi : float or None
        May be under 1, where blocks scatter less than Poisson's law says.
    least_phi : float
        φ of a Poisson pattern: above 1 where serial sections show the same cells again.
    blocks : float
        Blocks that add information.
    se : float or None
        log2 for positive metrics, else in the metric's unit.
    reasons : tuple of str
        Why changes are withheld; empty where they are not.
    notes : tuple of str
    slides : tuple of SlideResult
        Those whose numbers are in it.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    area_mm2: float | None = None
    phi: float | None = None
    least_phi: float = 1.0
    blocks: float = 0.0
    se: float | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    slides: tuple[SlideResult, ...] = ()


@dataclass(frozen=True)
class Part:
    """One slide's share of a pool."""

    slide: SlideResult
    measurements: Measurements
    compartment: Compartment
    estimate: Estimate

    @property
    def block(self) -> Block:
        """What makes slides serial sections of one block; a block of a lesion that is not named is one."""
        return self.slide.key("lesion_id"), self.slide.key("specimen_id"), self.slide.key("block_id")

    def hard_reasons(self, target: str) -> tuple[str, ...]:
        """Why the slide cannot be judged, whatever it is pooled with."""
        least = self.measurements.settings
        soft = {area_reason(self.compartment.area_mm2, least["min_area_mm2"])}
        if self.compartment.n_nuclei is not None:
            soft.add(nuclei_reason(self.compartment.n_nuclei, least["min_nuclei"]))
        return tuple(reason for reason in self.compartment.reasons_for(target) if reason not in soft)


def pool(slides: Sequence[SlideResult], compartment: str, metric: ColumnSpec) -> Side:
    """Pool one metric over slides of one patient, time point and stain; at least one slide."""
    parts, missing = _parts(slides, compartment, metric)
    cautions = tuple(
        f"caution on {slide.key('slide_id')}: {slide.key('caution')}"
        for slide in slides
        if slide.key("caution")
    )
    if not parts:
        return Side(reasons=tuple(missing), notes=cautions)
    sound = [part for part in parts if not part.hard_reasons(metric.target)]
    dropped = [
        f"{part.slide.key('slide_id')} left out: {'; '.join(part.hard_reasons(metric.target))}"
        for part in parts
        if sound and part not in sound
    ]
    used = sound or parts
    side = _one(used[0], metric) if len(used) == 1 else _several(used, metric)
    reasons = _reasons(used, metric.target)
    return replace(
        side,
        reasons=reasons,
        notes=(*side.notes, *missing, *dropped, *cautions),
        slides=tuple(part.slide for part in used),
    )


def _parts(
    slides: Sequence[SlideResult], compartment: str, metric: ColumnSpec
) -> tuple[list[Part], list[str]]:
    """Slides that have a value, and for each of the others why it has none."""
    parts, missing = [], []
    for slide in slides:
        name = slide.key("slide_id")
        found = None if slide.measurements is None else slide.measurements.compartments.get(compartment)
        if slide.measurements is None:
            missing.append(
                f"{name} {slide.status}: {slide.reason}" if slide.reason else f"{name} {slide.status}"
            )
        elif found is None:
            missing.append(f"{name} has no {compartment} area")
        else:
            estimate = found.estimates.get(metric.name)
            if estimate is None or not isinstance(estimate.value, int | float):
                why = (estimate.note if estimate is not None else "") or "; ".join(
                    found.reasons_for(metric.target)
                )
                missing.append(f"{name}: {why}" if why else f"{name} has no {metric.name}")
            else:
                parts.append(Part(slide, slide.measurements, found, estimate))
    return parts, missing


def _reasons(parts: Sequence[Part], target: str) -> tuple[str, ...]:
    """Why the pool cannot be judged: its own area and nuclei, sections of one block counted once."""
    hard = [reason for part in parts for reason in part.hard_reasons(target)]
    settings = parts[0].measurements.settings
    area = area_reason(_once(parts, [part.compartment.area_mm2 for part in parts]), settings["min_area_mm2"])
    nuclei = ""
    if target == "cells":
        counts = [float(part.compartment.n_nuclei or 0) for part in parts]
        nuclei = nuclei_reason(_once(parts, counts), settings["min_nuclei"])
    return tuple(dict.fromkeys(reason for reason in (area, nuclei, *hard) if reason))


def _once(parts: Sequence[Part], values: Sequence[float]) -> float:
    """Sum of values where sections of one block count as their mean."""
    sections = _sections(parts)
    return math.fsum(value / sections[part.block] for part, value in zip(parts, values, strict=True))


def _sections(parts: Sequence[Part]) -> dict[Block, int]:
    sections: dict[Block, int] = {}
    for part in parts:
        sections[part.block] = sections.get(part.block, 0) + 1
    return sections


def _inflation(parts: Sequence[Part], weights: Sequence[float]) -> float:
    """Σ m_g N_g / ΣN: how much serial sections inflate φ; m_g where all are of one block."""
    sections, total = _sections(parts), math.fsum(weights)
    if total == 0:
        return float(max(sections.values()))
    return math.fsum(sections[part.block] * w for part, w in zip(parts, weights, strict=True)) / total


def _one(part: Part, metric: ColumnSpec) -> Side:
    estimate = part.estimate
    value = estimate.value
    side = Side(
        float(value) if isinstance(value, int | float) else None,
        estimate.ci_low,
        estimate.ci_high,
        estimate.n,
        part.compartment.area_mm2,
        estimate.phi,
        blocks=float(estimate.n_blocks or 0),
        se=estimate.se,
        notes=(estimate.note,) if estimate.note else (),
    )
    if metric.kind != "count density" or estimate.sums is None:
        return side
    return replace(side, phi=_overdispersion([part], side.blocks)[0])


def _several(parts: Sequence[Part], metric: ColumnSpec) -> Side:
    blocks = _once(parts, [float(part.estimate.n_blocks or 0) for part in parts])
    plain = Side(
        n=sum(part.estimate.n or 0 for part in parts),
        area_mm2=math.fsum(part.compartment.area_mm2 for part in parts),
        blocks=blocks,
        notes=(SECTIONS,) if max(_sections(parts).values()) > 1 else (),
    )
    sums = [part.estimate.sums for part in parts if part.estimate.sums is not None]
    if len(sums) == len(parts):
        if metric.kind == "count density":
            return _count_density(parts, plain)
        return _share(parts, plain, metric.name)
    if all(part.estimate.spread is not None for part in parts):
        return _quantile(parts, plain)
    return _by_family(parts, plain, metric)


def _joined(parts: Sequence[Part]) -> BlockSums:
    """The blocks of all parts, one after the other."""
    sums = [part.estimate.sums for part in parts if part.estimate.sums is not None]
    return BlockSums(
        tuple(value for item in sums for value in item.numerator),
        tuple(value for item in sums for value in item.denominator),
        sums[0].scale,
    )


def _overdispersion(parts: Sequence[Part], blocks: float) -> tuple[float, str]:
    """(φ, note) over the blocks of all parts; serial sections not yet made good."""
    joined = _joined(parts)
    sums = [part.estimate.sums for part in parts if part.estimate.sums is not None]
    factor = spill(
        [item.shares for item in sums],
        [len(item.denominator) for item in sums],
        [math.fsum(item.denominator) for item in sums],
    )
    prior = parts[0].measurements.settings["overdispersion_prior"]
    return overdispersion(np.asarray(joined.numerator), np.asarray(joined.denominator), prior, factor, blocks)


def _count_density(parts: Sequence[Part], plain: Side) -> Side:
    phi, note = _overdispersion(parts, plain.blocks)
    least = _inflation(parts, [float(part.estimate.n or 0) for part in parts])
    phi *= least
    joined = _joined(parts)
    n, area = math.fsum(joined.numerator), math.fsum(joined.denominator)
    low, high = density_interval(n, area, phi, plain.blocks, least)
    notes = (*plain.notes, note) if note else plain.notes
    return replace(plain, value=n / area, low=low, high=high, phi=phi, least_phi=least, notes=notes)


def _share(parts: Sequence[Part], plain: Side, name: str) -> Side:
    sums = _joined(parts)
    value = ratio(sums)
    if value is None:
        return plain
    settings = parts[0].measurements.settings
    error = ratio_error(sums, draws(len(sums.numerator), settings["bootstrap"], settings["seed"], name))
    weights = [math.fsum(part.estimate.sums.denominator) for part in parts if part.estimate.sums is not None]
    error = _information(parts, weights, plain.blocks).error(error)
    low, high = bounded_interval(value, error, plain.blocks)
    return replace(plain, value=value, low=low, high=high, se=error)


def _quantile(parts: Sequence[Part], plain: Side) -> Side:
    """The quantile of the mixture of the slides' distributions."""
    spreads = [part.estimate.spread for part in parts if part.estimate.spread is not None]
    total = math.fsum(spread.weight for spread in spreads)
    value = mixture_quantile(spreads)
    error = _combined_error(parts, [spread.weight / total for spread in spreads], plain.blocks)
    low, high = positive_interval(value, error, plain.blocks)
    return replace(plain, value=value, low=low, high=high, se=error)


def _by_family(parts: Sequence[Part], plain: Side, metric: ColumnSpec) -> Side:
    """An index as its own family pools it: of all squares, fields, vessels or areas together.

    Never a mean of slides weighted by their area: a maximum or a ratio of two densities is none. Empty, with
    the reason, where the family does not say how.
    """
    how = family_of(metric.name).pool
    if how is None:
        return replace(plain, notes=(*plain.notes, f"{metric.name} is {NOT_POOLED}"))
    settings = MetricSettings.model_validate(parts[0].measurements.settings)
    information = _information(parts, [float(part.estimate.n or 0) for part in parts], plain.blocks)
    found = how(metric.name, [part.estimate for part in parts], settings, information)
    return replace(
        plain,
        value=found.value if isinstance(found.value, int | float) else None,
        low=found.ci_low,
        high=found.ci_high,
        n=found.n,
        se=found.se,
        notes=(*plain.notes, found.note) if found.note else plain.notes,
    )


def _information(parts: Sequence[Part], weights: Sequence[float], blocks: float) -> Information:
    numbers = {block: number for number, block in enumerate(_sections(parts))}
    return Information(blocks, _inflation(parts, weights), tuple(numbers[part.block] for part in parts))


def _combined_error(parts: Sequence[Part], weights: Sequence[float], blocks: float) -> float | None:
    errors = [part.estimate.se for part in parts]
    if any(error is None for error in errors):
        return None
    variance = math.fsum((w * error) ** 2 for w, error in zip(weights, errors, strict=True) if error)
    return _information(parts, weights, blocks).error(math.sqrt(variance))
