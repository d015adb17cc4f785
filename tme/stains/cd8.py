"""CD8: cytotoxic T lymphocytes, stained on the membrane."""

from __future__ import annotations

from tme.stains import STAINS, Stain

CD8 = STAINS.add(
    "CD8",
    Stain(
        name="CD8",
        title="CD8 (cytotoxic T lymphocytes)",
        kind="dab",
        targets=("cells",),
        marker_site="membrane",
        til_marker=True,
        synonyms=("CD8a", "CD8 alpha"),
        note="Some natural killer cells and, in spleen, sinus endothelium carry CD8.",
    ),
)
