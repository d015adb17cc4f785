"""CD34: endothelium of blood vessels, and the cells of several sarcomas."""

from __future__ import annotations

from tme.stains import STAINS, Stain

CD34 = STAINS.add(
    "CD34",
    Stain(
        name="CD34",
        title="CD34 (endothelium)",
        kind="dab",
        targets=("vessels",),
        marker_site="endothelium",
        til_marker=False,
        synonyms=("QBEnd10", "QBEnd/10"),
        note="Many soft-tissue tumours and stromal fibroblasts carry CD34 themselves.",
    ),
)
