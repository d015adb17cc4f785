"""CD31: endothelium of blood vessels."""

from __future__ import annotations

from tme.stains import STAINS, Stain

CD31 = STAINS.add(
    "CD31",
    Stain(
        name="CD31",
        title="CD31 (endothelium)",
        kind="dab",
        targets=("vessels",),
        marker_site="endothelium",
        til_marker=False,
        synonyms=("PECAM1", "PECAM-1"),
        note="Macrophages, platelets and some leucocytes carry CD31; lymphatics stain weakly.",
    ),
)
