"""A slide's cells counted again as if another DAB density were the threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tme.cells.classify import marker_od, never_positive
from tme.change import Recount
from tme.metrics.measure import EVALUABLE
from tme.stains import Stain
from tme.tables import read_parquet

COLUMNS = ("compartment", "area_um2", "dab_od", "dab_ring_od", "positive", "class_prob", "cluster_count")


def positive_cells(table: Path, stain: Stain, compartment: str, threshold_od: float) -> Recount:
    """Cells of a compartment whose marker is at or above a density.

    They are the cells found with the slide's own threshold; one it did not find is not among them, nor is
    one that is pigment, negative at any threshold.

    Parameters
    ----------
    table : Path
        ``cells.parquet`` of a slide.
    stain : Stain
        Its stain, with a DAB marker of cells.
    compartment : str
    threshold_od : float

    Raises
    ------
    ArtefactError
        If the table cannot be read.
    """
    cells = read_parquet(table, COLUMNS)
    names = cells["compartment"]
    # What is not evaluable has no compartment, and is dropped by either condition.
    cells = cells.filter(names.is_valid() if compartment == EVALUABLE else pc.equal(names, compartment))
    nucleus, ring = (np.asarray(cells[name].to_numpy(), np.float64) for name in ("dab_od", "dab_ring_od"))
    weight = pc.fill_null(cells["cluster_count"], 1).to_numpy()
    called = pc.fill_null(cells["positive"], False).to_numpy()
    never = never_positive(called, pc.fill_null(cells["class_prob"], 0).to_numpy())
    positive = (marker_od(nucleus, ring, stain) >= threshold_od) & ~never
    area_um2 = np.asarray(pc.fill_null(cells["area_um2"], 0).to_numpy(), np.float64)
    return Recount(int(weight[positive].sum()), float(area_um2[positive].sum()))
