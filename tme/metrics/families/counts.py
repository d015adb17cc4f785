"""Cells counted, and the density of TILs."""

from __future__ import annotations

import numpy as np

from tme.metrics.family import METRICS, Family
from tme.metrics.intervals import count_density
from tme.metrics.scope import Scope
from tme.metrics.types import BlockSums, ColumnSpec, Estimate

PIGMENT = (
    "On sections with DAB, grains of pigment as large as a cell can pass for positive cells. On CD3 and CD8 "
    "black ones, all channels nearly alike (carbon, dark melanin), brown ones that take less green than the "
    "slide's own stain (melanin), and golden ones without haematoxylin under them (haemosiderin) count as "
    "negative, and brown in which the network sees no nucleus (crumbs of stain, smears) is no cell. All of "
    "these count as positive on KI67, black ones where the counterstain is very blue, brown and golden ones "
    "where the scanner shows DAB itself in their colours or hardly anything is positive: see the cautions "
    "and the overlay, and draw what is pigment as Exclude."
)

COLUMNS = (
    ColumnSpec(
        "n_nuclei",
        "",
        "count",
        "nuclei whose centroid lies inside the compartment",
        "rows of cells.parquet; a cluster that cannot be parted counts as its cluster_count",
        needs="cells",
        caveats=("Counts depend on the engine and its µm/px; compare slides of one engine only.",),
    ),
    ColumnSpec(
        "n_til",
        "",
        "count",
        "TILs whose centroid lies inside the compartment: on H&E lymphocytes and plasma cells, on CD3 "
        "and CD8 positive cells",
        "rows of cells.parquet with is_til; a cluster counts as its cluster_count",
        "Salgado 2015, Ann Oncol 26:259",
        (
            "On H&E small round tumour cells and apoptotic bodies can pass for lymphocytes, and plasma cells "
            "are not told from them.",
            PIGMENT,
        ),
        "til",
    ),
    ColumnSpec(
        "n_positive",
        "",
        "count",
        "cells whose marker is at or above the DAB threshold, but for pigment, and whose centroid lies "
        "inside the compartment",
        "rows of cells.parquet with positive; a cluster counts as its cluster_count",
        caveats=("Positive depends on dab_threshold_od: compare slides with one threshold.", PIGMENT),
        needs="positive",
    ),
    ColumnSpec(
        "til_density_per_mm2",
        "/mm²",
        "count density",
        "TILs per mm² of evaluable area",
        "n_til / evaluable_area_mm2",
        "Salgado 2015, Ann Oncol 26:259; Amgad 2020, npj Breast Cancer 6:16",
        (
            "Mean of the whole evaluable area: a hotspot in an empty section gives a low density.",
            "There is no validated TIL score for samples taken on treatment.",
            "A CD8 cell may be an NK cell, a CD3 cell of any T lineage; neither marks tumour reactivity.",
            PIGMENT,
        ),
        "til",
        ("til_density_ci_low", "til_density_ci_high"),
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    cells = scope.cells
    if cells is None:
        return {}
    weights = cells.weight
    found = {"n_nuclei": _count(weights, scope)}
    stain = scope.context.stain
    if stain.kind == "dab":
        found["n_positive"] = _count(weights * cells.flags("positive"), scope)
    if stain.kind == "he" or stain.til_marker:
        found["n_til"] = _count(weights * cells.flags("is_til"), scope)
        if scope.til_counts is not None:
            found["til_density_per_mm2"] = density_estimate(scope.til_counts, scope)
    return found


def density_estimate(counts: np.ndarray, scope: Scope) -> Estimate:
    """Density of objects counted by block, (B,) float64, with φ and interval."""
    areas = scope.blocks.areas_mm2
    density = count_density(counts, areas, scope.settings.overdispersion_prior, scope.blocks.spill)
    return Estimate(
        density.value,
        density.low,
        density.high,
        int(counts.sum()),
        density.phi,
        scope.blocks.count,
        None,
        density.note,
        BlockSums(tuple(counts.tolist()), tuple(areas.tolist()), shares=scope.blocks.shares),
    )


def _count(weights: np.ndarray, scope: Scope) -> Estimate:
    number = int(weights.sum())
    return Estimate(number, n=number, n_blocks=scope.blocks.count)


METRICS.add("counts", Family(COLUMNS, measure, order=10))
