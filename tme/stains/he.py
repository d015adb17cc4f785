"""Haematoxylin and eosin: the section on which lymphocytes are told from other nuclei by shape."""

from __future__ import annotations

from tme.stains import STAINS, Stain

HE = STAINS.add(
    "HE",
    Stain(
        name="HE",
        title="Haematoxylin and eosin",
        kind="he",
        targets=("cells",),
        synonyms=("H&E", "H+E", "HES", "haematoxylin eosin", "hematoxylin eosin"),
        # QuPath's default H&E vectors, which suit most scanners better than Ruifrok's original.
        vectors=((0.651, 0.701, 0.290), (0.216, 0.801, 0.558)),
        note="Plasma cells and small round tumour cells can look like lymphocytes.",
    ),
)
