"""What stands behind the interval of the slide's count density."""

from __future__ import annotations

from tme.metrics.family import METRICS, Family
from tme.metrics.intervals import overdispersion
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

COLUMNS = (
    ColumnSpec(
        "phi",
        "",
        "qc",
        "overdispersion: how many times more the counts of blocks scatter than Poisson's law says; of the "
        "TILs where they are counted, else of the vessels",
        "max(1, 1 + κ (Σ(n_b − A_b λ)² / (A_b λ) / (B − 1) − 1)), κ ≥ 1 for clusters of σ = cluster_um on "
        "the borders of blocks; with fewer than 4 blocks at least overdispersion_prior",
        "McCullagh and Nelder 1989, Generalized Linear Models",
        ("Not told by a section without a single object: 1 is given there.",),
    ),
    ColumnSpec(
        "n_blocks",
        "",
        "count",
        "blocks of near-equal evaluable area behind φ and the intervals",
        "contiguous, compact parts of about block_mm2; smaller areas in up to 6 smaller ones",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    found = {"n_blocks": Estimate(scope.blocks.count)}
    stain = scope.context.stain
    tils = scope.til_counts if stain.kind == "he" or stain.til_marker else None
    counts = scope.vessel_counts if tils is None else tils
    if counts is not None:
        blocks, prior = scope.blocks, scope.settings.overdispersion_prior
        phi, note = overdispersion(counts, blocks.areas_mm2, prior, blocks.spill)
        found["phi"] = Estimate(max(phi, 1.0), n_blocks=blocks.count, note=note)
    return found


METRICS.add("overdispersion", Family(COLUMNS, measure, order=20))
