"""Cells, vessels, tissue and regions -> Measurements: every metric of one slide in every compartment.

In: a `SlideContext`. Out: `Measurements`. What is measured is what the registry holds; this file knows
no metric by name but the two counts that make a slide evaluable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from tme.config import MetricSettings
from tme.metrics.family import METRICS, families
from tme.metrics.scope import Scope, SlideContext, make_scope
from tme.metrics.spill import Shares
from tme.metrics.types import Compartment, Estimate, Measurements
from tme.tables import significant
from tme.tissue.types import Mask

EVALUABLE = "evaluable"


def measure_slide(context: SlideContext, settings: MetricSettings) -> Measurements:
    """Measure one slide.

    Parameters
    ----------
    context : SlideContext
    settings : MetricSettings

    Returns
    -------
    Measurements
        One `Compartment` per compartment of the context, in its order. The same for the same
        context and settings, to the last bit.
    """
    compartments = {}
    for name in context.compartments:
        compartments[name] = _measure(make_scope(context, name, settings))
    return Measurements(
        context.stain.name,
        context.stain.targets,
        dict(context.keys),
        _areas(context),
        compartments,
        settings.model_dump(mode="json"),
    )


def measure_again(
    measurements: Measurements, context: SlideContext, family: str, settings: MetricSettings
) -> Measurements:
    """The same numbers but for one family, measured in a context that knows more than the slide did."""
    found = {
        name: METRICS.get(family).measure(make_scope(context, name, settings))
        for name in measurements.compartments
    }
    return replaced(measurements, family, found)


def replaced(
    measurements: Measurements, family: str, found: Mapping[str, Mapping[str, Estimate]]
) -> Measurements:
    """The same numbers but for a family's columns, which become what was found by compartment."""
    columns = {column.name for column in METRICS.get(family).columns}
    compartments = {}
    for name, compartment in measurements.compartments.items():
        kept = {column: value for column, value in compartment.estimates.items() if column not in columns}
        own = {column: _rounded(estimate) for column, estimate in found.get(name, {}).items()}
        compartments[name] = replace(compartment, estimates={**kept, **own})
    return replace(measurements, compartments=compartments)


def _measure(scope: Scope) -> Compartment:
    estimates: dict[str, Estimate] = {}
    withheld: dict[str, list[str]] = {}
    for _, family in families():
        wanted = [column for column in family.columns if column.applies(scope.context.stain)]
        if not wanted:
            continue
        found = family.measure(scope)
        for column in wanted:
            if column.name in found:
                estimates[column.name] = _rounded(found[column.name])
        if family.withhold is not None and found:
            reason = family.withhold(scope, found)
            if reason:
                withheld.setdefault(wanted[0].target, []).append(reason)
    nuclei = estimates.get("n_nuclei")
    number = nuclei.value if nuclei is not None and isinstance(nuclei.value, int) else None
    reasons = _reasons(scope, number)
    for target, texts in withheld.items():
        reasons[target] = (*reasons.get(target, ()), *texts)
    return Compartment(significant(scope.area_mm2), number, reasons, estimates)


def _reasons(scope: Scope, n_nuclei: int | None) -> dict[str, tuple[str, ...]]:
    """Target -> why its changes are withheld; the empty target stands for all."""
    reasons: dict[str, tuple[str, ...]] = {}
    for target in scope.context.stain.targets:
        reason = scope.context.missing.get(target)
        if reason:
            reasons[target] = (reason,)
        elif (scope.cells if target == "cells" else scope.vessels) is None:
            reasons[target] = (f"{target} were not segmented",)
    area = area_reason(scope.area_mm2, scope.settings.min_area_mm2)
    if area:
        reasons[""] = (area,)
    if "cells" not in reasons and "cells" in scope.context.stain.targets and n_nuclei is not None:
        nuclei = nuclei_reason(n_nuclei, scope.settings.min_nuclei)
        if nuclei:
            reasons["cells"] = (nuclei,)
    return reasons


def area_reason(area_mm2: float, least_mm2: float) -> str:
    """Why this evaluable area is too small to judge a change; empty where it is not."""
    return "" if area_mm2 >= least_mm2 else f"evaluable area {area_mm2:.3g} mm² is under {least_mm2:g} mm²"


def nuclei_reason(n_nuclei: float, least: int) -> str:
    """Why these are too few nuclei to judge a change; empty where they are not."""
    return "" if n_nuclei >= least else f"{n_nuclei:.0f} nuclei are fewer than {least}"


def _areas(context: SlideContext) -> dict[str, Any]:
    """The tissue columns of the slide's rows."""
    tissue = context.tissue
    total = tissue.area_mm2(tissue.tissue)

    def share_pct(mask: Mask) -> float | None:
        return significant(100 * tissue.area_mm2(mask & tissue.tissue) / total) if total > 0 else None

    return {
        "tissue_area_mm2": significant(total),
        "artefact_area_mm2": significant(tissue.area_mm2(tissue.tissue & ~tissue.usable)),
        "excluded_area_mm2": significant(tissue.area_mm2(tissue.usable & context.excluded)),
        "pen_pct": share_pct(tissue.artefact("pen")),
        "fold_pct": share_pct(tissue.artefact("fold")),
        "blur_pct": share_pct(tissue.artefact("blur")),
        "n_tissue_pieces": tissue.n_pieces,
    }


def _rounded(estimate: Estimate) -> Estimate:
    """The estimate with every number as it will be saved, so that reading it back changes nothing."""
    changed: Mapping[str, Any] = {
        item.name: significant(value)
        for item in fields(estimate)
        if isinstance(value := getattr(estimate, item.name), float)
    }
    sums = estimate.sums
    if sums is not None:
        sums = replace(
            sums,
            numerator=tuple(significant(value) for value in sums.numerator),
            denominator=tuple(significant(value) for value in sums.denominator),
            shares=Shares(significant(sums.shares.block), significant(sums.shares.tissue)),
        )
    return replace(
        estimate,
        **changed,
        sums=sums,
        parts={
            name: tuple(significant(value) for value in values) for name, values in estimate.parts.items()
        },
        fields=tuple((significant(x), significant(y), significant(r)) for x, y, r in estimate.fields),
    )
