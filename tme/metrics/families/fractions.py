"""Shares of cells, and of area covered by TILs."""

from __future__ import annotations

import numpy as np

from tme.metrics.bootstrap import bounded_estimate
from tme.metrics.families.counts import PIGMENT
from tme.metrics.family import METRICS, Family
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate
from tme.units import um2_to_mm2

OVERCOUNT = (
    "On immunohistochemistry cells.engine: watershed takes grey, textured stroma for unstained nuclei; on"
    " rendered slides it finds up to two and a half times as many as there are, and the share is too low."
    " The default engine does not, but misses some pale ones. Densities are not touched by this."
)

COLUMNS = (
    ColumnSpec(
        "til_fraction_pct",
        "%",
        "bounded",
        "share of nuclei that are TILs",
        "100 n_til / n_nuclei",
        "etTILs, Bai 2021, Clin Cancer Res 27:5557",
        (
            "Falls when tumour cells multiply though no TIL has left: read it beside the density.",
            OVERCOUNT,
            PIGMENT,
        ),
        "til",
    ),
    ColumnSpec(
        "positive_pct",
        "%",
        "bounded",
        "share of nuclei whose marker is at or above the DAB threshold",
        "100 n_positive / n_nuclei",
        caveats=(
            "Depends on dab_threshold_od, and on unstained nuclei being found as well as stained ones.",
            OVERCOUNT,
            PIGMENT,
        ),
        needs="positive",
    ),
    ColumnSpec(
        "til_area_pct",
        "%",
        "bounded",
        "share of the evaluable area covered by nuclei (H&E) or cells of TILs",
        "100 Σ area of TILs / evaluable area",
        "easTILs, PMC10182981",
        ("Not the stromal TIL score of a pathologist, whose denominator is stroma.", PIGMENT),
        "til",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    cells = scope.cells
    if cells is None or scope.area_mm2 <= 0:
        return {}
    stain = scope.context.stain
    nuclei = scope.by_block(cells, cells.weight)
    total = int(nuclei.sum())
    found = {}
    if stain.kind == "dab":
        positive = scope.by_block(cells, cells.weight * cells.flags("positive"))
        found["positive_pct"] = bounded_estimate("positive_pct", positive, nuclei, total, scope.settings)
    if scope.til_counts is not None and (stain.kind == "he" or stain.til_marker):
        tils = scope.til_counts
        found["til_fraction_pct"] = bounded_estimate("til_fraction_pct", tils, nuclei, total, scope.settings)
        area_um2 = np.nan_to_num(cells.numbers("area_um2")) * cells.flags("is_til")
        covered = um2_to_mm2(1.0) * scope.by_block(cells, area_um2)
        found["til_area_pct"] = bounded_estimate(
            "til_area_pct", covered, scope.blocks.areas_mm2, int(tils.sum()), scope.settings
        )
    return found


METRICS.add("fractions", Family(COLUMNS, measure, order=30))
