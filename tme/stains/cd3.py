"""CD3: all T lymphocytes, stained on the membrane and in the cytoplasm."""

from __future__ import annotations

from tme.stains import STAINS, Stain

CD3 = STAINS.add(
    "CD3",
    Stain(
        name="CD3",
        title="CD3 (T lymphocytes)",
        kind="dab",
        targets=("cells",),
        marker_site="membrane",
        til_marker=True,
        synonyms=("CD3e", "CD3 epsilon"),
        note="Natural killer cells may carry cytoplasmic CD3.",
    ),
)
