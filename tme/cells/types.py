"""The value of the cells room: one row per cell, as an Arrow table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tme.tables import Rows

LEAST_UM2 = 10.0
"""Least area of a nucleus where neither the settings nor the engine name one."""
CLUSTER_CELL_UM2 = 60.0
"""Brown area that stands for one cell in a cluster: in 15 clusters of a packed field of CD3 and CD8 the
network sees a nucleus for every 45 to 71 µm²."""
LEAST_NUCLEAR = 0.25
"""Share of an instance that is nucleus below which, with no whole one in it either, it is no cell
(docs/benchmarks.md)."""

CELL_SCHEMA = pa.schema(
    [
        ("cell_id", pa.int64()),
        ("x_um", pa.float64()),
        ("y_um", pa.float64()),
        ("x_px", pa.float64()),
        ("y_px", pa.float64()),
        ("area_um2", pa.float32()),
        ("eccentricity", pa.float32()),
        ("solidity", pa.float32()),
        ("hematoxylin_od", pa.float32()),
        ("dab_od", pa.float32()),
        ("dab_ring_od", pa.float32()),
        ("class", pa.string()),
        ("class_prob", pa.float32()),
        ("is_til", pa.bool_()),
        ("positive", pa.bool_()),
        ("in_cluster", pa.bool_()),
        ("cluster_count", pa.int32()),
        ("compartment", pa.string()),
        ("geometry", pa.binary()),
    ]
)


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one slide.

    Attributes
    ----------
    table : pyarrow.Table or SavedTable
        `CELL_SCHEMA`; rows in y then x order of the centroid, ``cell_id`` 0, 1, 2 …; ``geometry``
        WKB polygons in level-0 pixels; missing values are null.
    provenance : dict
        ``model_id``, ``model_sha256``, ``work_mpp_um`` and what else a reader needs.
    """

    table: Rows
    provenance: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What of a nucleus is seen in each instance of a DAB section (label k at k-1).

    Attributes
    ----------
    whole : (n,) bool
        Whether it holds most of a nucleus that the engine outlines, or is one, or hides some under DAB.
    share : (n,) float64
        Share of its pixels that are nucleus.
    cluster : (n,) bool or None
        Whether it is what is left of cells that have run together without those that have a nucleus of their
        own: as many as its area is worth. None where there are none.
    """

    whole: NDArray[np.bool_]
    share: NDArray[np.float64]
    cluster: NDArray[np.bool_] | None = None

    @property
    def enough(self) -> NDArray[np.bool_]:
        """(n,) bool: which are cells; the others are crumbs of stain, smears or rims of neighbours."""
        return self.whole | (self.share >= LEAST_NUCLEAR)


@dataclass(frozen=True, eq=False)
class Detections:
    """What an engine says of one window.

    Attributes
    ----------
    labels : (H, W) int32
        0 background, 1..n instances, in window pixels.
    til_prob : (n,) float32 or None
        Calibrated probability of lymphocyte or plasma cell per instance (label k at k-1); None if
        the engine does not classify.
    til_least : float
        Probability from which on an instance is called one.
    level : (H, W) float32 or None
        Above 0 in a nucleus, 0 or less outside, NaN where nothing is known (`tme.cells.outline.trace`); None
        if the engine knows no more than the labels.
    least_um2 : float
        Instances with a smaller outline are none, unless the settings name another area; of several parts
        only the largest has an outline.
    evidence : Evidence or None
        What of a nucleus is seen in each instance, where stain makes instances too: one without is no cell.
        None if every instance is a nucleus, or the engine does not look.
    """

    labels: NDArray[np.int32]
    til_prob: NDArray[np.float32] | None = None
    til_least: float = 0.5
    level: NDArray[np.float32] | None = None
    least_um2: float = LEAST_UM2
    evidence: Evidence | None = None
