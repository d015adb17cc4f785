"""Ki67: nuclei in the cell cycle."""

from __future__ import annotations

from tme.stains import STAINS, Stain

KI67 = STAINS.add(
    "KI67",
    Stain(
        name="KI67",
        title="Ki67 (proliferating nuclei)",
        kind="dab",
        targets=("cells",),
        marker_site="nucleus",
        til_marker=False,
        synonyms=("Ki-67", "MIB1", "MIB-1"),
        note="Weak nuclear staining is counted from the threshold on; edge artefacts stain too.",
    ),
)
