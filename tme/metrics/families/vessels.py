"""Microvessel density: separate stained objects per mm² of the whole evaluable area."""

from __future__ import annotations

from tme.metrics.families.counts import density_estimate
from tme.metrics.family import METRICS, Family
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

CONFOUNDERS = (
    "CD31 also marks macrophages and plasma cells; single round cells are left out by size and shape.",
    "Lymphatics stain too; telling them apart needs D2-40.",
    "CD34 marks the tumour cells of several sarcomas themselves and stromal fibroblasts.",
    "A vessel cut twice by the section is two objects, unless they lie end to end (vessels.line_um).",
    "Vessels whose walls touch are parted where each has a lumen and a wall of its own and a notch lies "
    "between them; solid ones that touch, and nets, count as one.",
    "Black grains of pigment are left out by their colour, with vessels they mostly cover, unless the "
    "counterstain is very blue (see the cautions), and so are brown ones that take less green than the "
    "slide's own stain; golden ones as large as a capillary can pass for vessels.",
)

COLUMNS = (
    ColumnSpec(
        "n_vessels",
        "",
        "count",
        "separate CD31+ or CD34+ objects with most of their outline inside the compartment; no lumen is "
        "needed, and single positive leucocytes are left out",
        "rows of vessels.parquet; of what of the outline lies on tissue more than half is inside",
        "Weidner 1991, N Engl J Med 324:1; Marien 2016, PLoS ONE e0161496",
        CONFOUNDERS,
        "vessels",
    ),
    ColumnSpec(
        "mvd_per_mm2",
        "/mm²",
        "count density",
        "microvessel density: vessels per mm² of evaluable area",
        "n_vessels / evaluable_area_mm2",
        "Weidner 1991, N Engl J Med 324:1; Marien 2016, PLoS ONE e0161496",
        (
            *CONFOUNDERS,
            "The mean of the whole evaluable area, lower than the hotspot values most papers report.",
            "Anti-angiogenic treatment may lower or raise it: read both directions.",
        ),
        "vessels",
        ("mvd_ci_low", "mvd_ci_high"),
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    if scope.vessels is None:
        return {}
    number = len(scope.vessels)
    found = {"n_vessels": Estimate(number, n=number, n_blocks=scope.blocks.count)}
    if scope.vessel_counts is not None:
        found["mvd_per_mm2"] = density_estimate(scope.vessel_counts, scope)
    return found


METRICS.add("vessels", Family(COLUMNS, measure, order=60))
