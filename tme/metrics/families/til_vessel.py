"""TILs and vessels together: how near TILs lie to vessels, on one section or on two registered ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tme.config import MetricSettings
from tme.metrics.blocks import make_blocks, pixels_by_label
from tme.metrics.bootstrap import (
    FEW_BLOCKS,
    bounded_estimate,
    draws,
    median_estimate,
    positive_interval,
    standard_error,
)
from tme.metrics.distance import distance_at
from tme.metrics.family import METRICS, Family, joined_parts
from tme.metrics.intervals import MIN_BLOCKS_FOR_OWN_PHI, Information
from tme.metrics.scope import NearVessels, Objects, Scope
from tme.metrics.types import ColumnSpec, Estimate
from tme.units import px_to_mm2

Numbers = NDArray[np.float64]
NEAR_UM = 30.0
"""Up to here a TIL is perivascular; two sections must lie on each other as exactly."""
MIN_TILS = 20
"""With fewer, a third of random patterns has no TIL on one side, and the ratio no interval."""
ROWS = 256

MEDIAN = "til_to_vessel_um_median"
WITHIN = "til_within_30um_pct"
RATIO = "til_perivascular_ratio"
SLIDE_ID, ERROR, AREA, REASON = (
    "til_vessel_slide_id",
    "til_vessel_error_um",
    "til_vessel_area_mm2",
    "til_vessel_reason",
)
METRIC_NAMES = (MEDIAN, WITHIN, RATIO)
WHERE = "TILs whose centroid lies where til_vessel_area_mm2 does; a cluster counts as its cluster_count"
TWO_SECTIONS = (
    "From two sections of one block what lay together lies apart by til_vessel_error_um and what the knife "
    "took: a ratio of 5 becomes 3 at 15 µm and 2 at 30 µm. Compare biopsies with like errors."
)
UNSEEN = "Vessels beyond the section's edge, or just above or below it, are not seen."

COLUMNS = (
    ColumnSpec(
        MEDIAN,
        "µm",
        "positive",
        "median distance from a TIL to the nearest vessel",
        "median over TILs of the distance from the centroid, read between the pixels of the tissue grid, to "
        f"the nearest filled vessel outline; 0 inside one; {WHERE}; fewer than {MIN_TILS} TILs: empty",
        "",
        (
            "Shorter wherever vessels are denser, whether TILs keep to them or not: read it beside "
            f"tissue_to_vessel_um_median and {RATIO}.",
            TWO_SECTIONS,
            UNSEEN,
        ),
        "til",
    ),
    ColumnSpec(
        WITHIN,
        "%",
        "bounded",
        "share of TILs within 30 µm of a vessel, or in one",
        f"100 · TILs at most {NEAR_UM:g} µm from the nearest filled vessel outline / TILs; {WHERE}; fewer "
        f"than {MIN_TILS} TILs: empty",
        "",
        (
            f"Higher wherever vessels are denser, whether TILs keep to them or not: read it beside {RATIO}.",
            TWO_SECTIONS,
            UNSEEN,
        ),
        "til",
    ),
    ColumnSpec(
        RATIO,
        "",
        "index",
        "density of TILs within 30 µm of a vessel over their density elsewhere: 1 for TILs strewn at random",
        f"(n_near / A_near) / (n_far / A_far); near: at most {NEAR_UM:g} µm from the nearest filled vessel "
        f"outline, the vessel included; far: the rest of {AREA}. Interval on the log scale, ± t(.975, B − 1) "
        "· √max(s², 1/n_near + 1/n_far), s the standard error of a seeded bootstrap of whole blocks. Fewer "
        f"than {MIN_TILS} TILs, or none far: empty. Several slides: of the sums of TILs and areas",
        "intensity against distance: Baddeley, Rubak and Turner 2015, Spatial Point Patterns, ch. 6; blocks: "
        "Künsch 1989, Ann Stat 17:1217",
        (
            "The number of vessels alone does not change it, what lies between them does: TILs and vessels "
            "that both keep to the stroma give over 1 without any tie. Read it in the compartment stroma.",
            "Wide vessels without TILs in their lumen count as near, and lower it.",
            TWO_SECTIONS,
            "With the TILs near vessels in three clusters or fewer the interval is too narrow: look at them.",
        ),
        "til",
        (f"{RATIO}_ci_low", f"{RATIO}_ci_high"),
    ),
    ColumnSpec(
        SLIDE_ID,
        "",
        "qc",
        f"slide whose vessels {MEDIAN}, {WITHIN} and {RATIO} are measured to: this one, or one registered to "
        "it",
        needs="til",
    ),
    ColumnSpec(
        ERROR,
        "µm",
        "qc",
        "how far the two sections lie apart after registration; 0 on one section",
        "90th percentile of the displacements left between patches of the two sections",
        needs="til",
    ),
    ColumnSpec(
        AREA,
        "mm²",
        "qc",
        "evaluable area of the compartment where the vessels' section is evaluable too",
        needs="til",
    ),
    ColumnSpec(
        REASON, "", "qc", f"why {MEDIAN}, {WITHIN} and {RATIO} are empty, where all of them are", needs="til"
    ),
)


@dataclass(frozen=True, eq=False)
class Tils:
    """TILs of a compartment.

    Attributes
    ----------
    distance_um : (N,) float64
        To the nearest vessel; infinite without one.
    block : (N,) int32
    weight : (N,) float64
        Cells the row stands for.
    """

    distance_um: Numbers
    block: NDArray[np.int32]
    weight: Numbers


@dataclass(frozen=True, eq=False)
class Sides:
    """TILs and area near vessels and far from them, by block.

    Attributes
    ----------
    near, far : (B,) float64
        TILs.
    near_mm2, far_mm2 : (B,) float64
        Area.
    """

    near: Numbers
    far: Numbers
    near_mm2: Numbers
    far_mm2: Numbers


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    stain = scope.context.stain
    vessels = scope.context.near_vessels
    shared = scope if vessels is None else _shared(scope, vessels)
    cells = shared.cells
    if cells is None or scope.area_mm2 <= 0 or not (stain.kind == "he" or stain.til_marker):
        return {}
    if vessels is None:
        return nothing(scope.context.missing.get("vessels") or "no vessels were looked for on this section")
    found = {
        SLIDE_ID: Estimate(vessels.slide_id),
        ERROR: Estimate(vessels.error_um),
        AREA: Estimate(shared.area_mm2),
    }
    least, two_sections = scope.settings.min_area_mm2, scope.context.vessels is None
    if two_sections and shared.area_mm2 < least:
        note = f"the two sections share {shared.area_mm2:.3g} mm² of evaluable area, under {least:g} mm²"
        return {**nothing(note), **found}
    tils = _tils(shared, cells, vessels)
    if tils.weight.sum() < MIN_TILS:
        return {**nothing(f"only {tils.weight.sum():.0f} TILs; {MIN_TILS} are needed"), **found}
    measured = _metrics(shared, tils, vessels)
    if two_sections:
        measured = {name: _told(estimate, vessels) for name, estimate in measured.items()}
    return {**measured, **found}


def nothing(reason: str) -> dict[str, Estimate]:
    """The family's columns where there is nothing to measure, with the reason."""
    return {**dict.fromkeys(METRIC_NAMES, Estimate(None, note=reason)), REASON: Estimate(reason)}


def _shared(scope: Scope, vessels: NearVessels) -> Scope:
    """The part of the compartment where vessels would have been seen, cut into blocks of its own."""
    mask = scope.mask & vessels.known
    if np.array_equal(mask, scope.mask):
        return scope
    settings = scope.settings
    blocks = make_blocks(mask, scope.context.tissue, settings.block_mm2, settings.cluster_um)
    return replace(scope, mask=mask, blocks=blocks)


def _metrics(scope: Scope, tils: Tils, vessels: NearVessels) -> dict[str, Estimate]:
    number, blocks, settings = int(tils.weight.sum()), scope.blocks.count, scope.settings
    sides = _sides(scope, tils, vessels)
    within = bounded_estimate(WITHIN, sides.near, sides.near + sides.far, number, settings)
    if vessels.distance_um is None:
        note = "no vessel on the section"
        return {MEDIAN: Estimate(None, n=number, note=note), WITHIN: within, RATIO: Estimate(None, note=note)}
    median = median_estimate(MEDIAN, tils.distance_um, tils.block, blocks, settings, tils.weight)
    return {MEDIAN: median, WITHIN: within, RATIO: perivascular_ratio(sides, settings)}


def _told(estimate: Estimate, vessels: NearVessels) -> Estimate:
    """The estimate with a note on the two sections, which a change carries with it."""
    note = f"vessels of {vessels.slide_id}, registered to within {vessels.error_um:.0f} µm"
    return replace(estimate, note="; ".join(filter(None, [estimate.note, note])))


def _tils(scope: Scope, cells: Objects, vessels: NearVessels) -> Tils:
    til = cells.flags("is_til")
    weight, block = cells.weight[til], cells.block[til]
    if vessels.distance_um is None:
        return Tils(np.full(len(weight), np.inf), block, weight)
    x, y = cells.x_um[til], cells.y_um[til]
    return Tils(distance_at(x, y, vessels.distance_um, scope.context.tissue), block, weight)


def _sides(scope: Scope, tils: Tils, vessels: NearVessels) -> Sides:
    blocks = scope.blocks
    near = tils.distance_um <= NEAR_UM
    tils_near, tils_far = (
        np.bincount(tils.block, tils.weight * chosen, blocks.count).astype(np.float64)
        for chosen in (near, ~near)
    )
    near_px = np.zeros(blocks.count)
    if vessels.distance_um is not None:
        labels = np.where(vessels.distance_um <= NEAR_UM, blocks.labels, np.int32(-1))
        near_px = pixels_by_label(labels, blocks.count)
    pixel_mm2 = px_to_mm2(1.0, scope.context.tissue.mpp)
    return Sides(tils_near, tils_far, near_px * pixel_mm2, (blocks.pixels - near_px) * pixel_mm2)


def perivascular_ratio(
    sides: Sides, settings: MetricSettings, information: Information | None = None
) -> Estimate:
    """(n_near / A_near) / (n_far / A_far) with its interval on the log scale; see `COLUMNS`.

    ``information`` says how much the blocks tell, where they are of several slides.
    """
    sums = np.stack([sides.near, sides.far, sides.near_mm2, sides.far_mm2])
    near, far, near_mm2, far_mm2 = sums.sum(axis=1)
    number, blocks = int(near + far), sums.shape[1]
    if min(near_mm2, far_mm2) <= 0:
        side = "farther than" if far_mm2 <= 0 else "within"
        return Estimate(None, n=number, note=f"no tissue {side} {NEAR_UM:g} µm of a vessel")
    if far == 0:
        return Estimate(None, n=number, note=f"no TIL farther than {NEAR_UM:g} µm from a vessel")
    value = float(near / near_mm2 / (far / far_mm2))
    parts = {key: tuple(values.tolist()) for key, values in vars(sides).items()}
    plain = Estimate(value, n=number, n_blocks=blocks, parts=parts)
    information = information or Information(blocks)
    if near == 0:
        return replace(plain, note="no TIL near a vessel: no interval")
    if information.blocks < MIN_BLOCKS_FOR_OWN_PHI:
        return replace(plain, note=FEW_BLOCKS)
    drawn = draws(blocks, settings.bootstrap, settings.seed, RATIO)
    a, b, a_mm2, b_mm2 = sums @ drawn.T
    good = (a > 0) & (b > 0) & (a_mm2 > 0) & (b_mm2 > 0)
    scatter = standard_error(np.log2(a[good] * b_mm2[good] / (b[good] * a_mm2[good])), blocks) or 0.0
    # Never surer than Poisson counts are, as with densities, where φ is at least 1.
    error = max(scatter, math.sqrt(1 / near + 1 / far) / math.log(2)) * math.sqrt(information.repeats)
    low, high = positive_interval(value, error, information.blocks)
    return replace(plain, ci_low=low, ci_high=high, se=value * math.log(2) * error)


def pool(
    name: str, estimates: Sequence[Estimate], settings: MetricSettings, information: Information
) -> Estimate:
    """The ratio of the sums of TILs and areas of all slides."""
    return perivascular_ratio(Sides(**joined_parts(estimates)), settings, information)


METRICS.add("til_vessel", Family(COLUMNS, measure, order=120, pool=pool))
