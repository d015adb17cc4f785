"""A slide's cells counted again as if another DAB density were the threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tme.cells.classify import marker_od
from tme.metrics.measure import EVALUABLE
from tme.stains import Stain
from tme.tables import read_parquet

COLUMNS = ("compartment", "dab_od", "dab_ring_od", "cluster_count")


def positive_cells(table: Path, stain: Stain, compartment: str, threshold_od: float) -> int:
    """Cells of a compartment whose marker is at or above a density.

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
    return int(weight[marker_od(nucleus, ring, stain) >= threshold_od].sum())
