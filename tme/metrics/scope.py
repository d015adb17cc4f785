"""What a family of metrics sees: one compartment of one slide, with its blocks and objects.

In: a `SlideContext` made by the pipeline from the stages before. Out: a `Scope` per compartment.
Assumes that masks lie on the tissue grid and that tables follow the cells and vessels schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tme.config import MetricSettings
from tme.metrics.blocks import Blocks, make_blocks
from tme.metrics.distance import distance_to_vessels
from tme.metrics.footprint import Footprint, make_footprint
from tme.regions.walls import Walls, make_walls
from tme.stains.types import Stain, StainProfile
from tme.tables import Rows
from tme.tissue.types import Mask, TissueMask
from tme.units import um2_to_mm2
from tme.vessels.stained import Stained

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NearVessels:
    """Vessels that lie over a slide's cells: its own, or those of a section registered to it.

    Attributes
    ----------
    slide_id : str
        The slide they were found on.
    error_um : float
        How far the two sections lie apart after registration; 0 on one section.
    distance_um : (H, W) float32 or None
        µm from each pixel of the tissue grid to the nearest vessel; None if there is none.
    known : (H, W) bool
        Where a vessel would have been seen.
    """

    slide_id: str
    error_um: float
    distance_um: NDArray[np.float32] | None
    known: Mask


@dataclass(frozen=True, eq=False)
class SlideContext:
    """Everything measured slides are measured from.

    Attributes
    ----------
    keys : dict
        Key and QC columns that come from the sheet, the header and the engines.
    stain : Stain
    mpp : float
        µm/px of level 0, in whose pixels geometries are.
    tissue : TissueMask
    compartments : dict of str to (H, W) bool
        On the tissue grid, ``evaluable`` first. What is artefact or excluded is taken off here too.
    excluded : (H, W) bool
        Necrosis and Exclude annotations.
    cells : pyarrow.Table, SavedTable or None
        None where the slide cannot have them.
    vessels : pyarrow.Table or None
    stained : Stained or None
        Where the marker is, what is no vessel by its shape counted in.
    profile : StainProfile or None
    missing : dict of str to str
        Target (``cells``, ``vessels``) -> why there are none, e.g. the resolution is too coarse.
    registered : NearVessels or None
        Vessels of a section that was registered to this one.
    """

    keys: Mapping[str, Any]
    stain: Stain
    mpp: float
    tissue: TissueMask
    compartments: Mapping[str, Mask]
    excluded: Mask
    cells: Rows | None = None
    vessels: pa.Table | None = None
    profile: StainProfile | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    registered: NearVessels | None = None
    stained: Stained | None = None

    @cached_property
    def to_vessel_um(self) -> NDArray[np.float32] | None:
        """(H, W) float32, µm from each pixel to the nearest vessel; None if there is no vessel."""
        if self.vessels is None or self.vessels.num_rows == 0:
            return None
        return distance_to_vessels(self.vessels["geometry"], self.mpp, self.tissue)

    @cached_property
    def walls(self) -> Walls | None:
        """Where the slide's vessels lie; None if it has no vessel table."""
        return None if self.vessels is None else make_walls(self.vessels, self.mpp, self.tissue)

    @cached_property
    def footprint(self) -> Footprint | None:
        """Where their area lies; None if it has no vessel table."""
        if self.vessels is None or self.walls is None:
            return None
        return make_footprint(self.vessels["geometry"], self.mpp, self.walls)

    @property
    def near_vessels(self) -> NearVessels | None:
        """The slide's own vessels, else those of the section registered to it, else None."""
        if self.vessels is None:
            return self.registered
        everywhere = np.ones(self.tissue.shape, np.bool_)
        return NearVessels(str(self.keys.get("slide_id", "")), 0.0, self.to_vessel_um, everywhere)


@dataclass(frozen=True, eq=False)
class Objects:
    """Cells whose centroid lies in the compartment, or vessels that lie there by `Walls.inside`.

    Attributes
    ----------
    table : pyarrow.Table or SavedTable
        The slide's.
    inside : (M,) bool
        Which of its rows they are.
    x_um, y_um : (N,) float64
    block : (N,) int32
        Block of each.
    weight : (N,) float64
        How many objects the row stands for: 1, or ``cluster_count`` of a cluster.
    """

    table: Rows
    inside: pa.Array
    x_um: Numbers
    y_um: Numbers
    block: NDArray[np.int32]
    weight: Numbers

    def __len__(self) -> int:
        return len(self.block)

    def numbers(self, column: str) -> Numbers:
        """(N,) float64 values of a numeric column; missing ones are NaN."""
        return np.asarray(self._column(column).cast(pa.float64()).to_numpy(), np.float64)

    def flags(self, column: str) -> NDArray[np.bool_]:
        """(N,) bool values of a column; missing ones are False."""
        return np.asarray(self._column(column).fill_null(False).to_numpy(), np.bool_)

    def _column(self, name: str) -> pa.ChunkedArray:
        return self.table.column(name).filter(self.inside)


@dataclass(frozen=True, eq=False)
class Scope:
    """One compartment of one slide.

    Attributes
    ----------
    context : SlideContext
    name : str
    mask : (H, W) bool
        Evaluable pixels of the compartment.
    blocks : Blocks
    settings : MetricSettings
    """

    context: SlideContext
    name: str
    mask: Mask
    blocks: Blocks
    settings: MetricSettings

    @cached_property
    def area_mm2(self) -> float:
        """Evaluable area, mm²."""
        return self.context.tissue.area_mm2(self.mask)

    @cached_property
    def cells(self) -> Objects | None:
        """Cells in the compartment; None if the slide has no cell table."""
        table = self.context.cells
        if table is None:
            return None
        x, y = _centroids(table)
        block = self.context.tissue.values_at(x, y, self.blocks.labels)
        return _objects(table, x, y, block, block >= 0)

    @cached_property
    def stained_mm2(self) -> float | None:
        """Area that carries the vessels' marker in the compartment; None where that is not known."""
        found = self.context.stained
        return None if found is None else um2_to_mm2(found.within(self.mask, self.context.tissue))

    @cached_property
    def vessels(self) -> Objects | None:
        """Vessels in the compartment; None if the slide has no vessel table."""
        table, walls = self.context.vessels, self.context.walls
        if table is None or walls is None:
            return None
        block = walls.labels_of(self.blocks.labels)
        return _objects(table, walls.x_um, walls.y_um, block, walls.inside(self.mask))

    def vessel_area_mm2(self, column: str) -> Numbers | None:
        """(B,) mm² of vessels that lies in each block, whether they count there or not.

        ``column`` of the vessel table is the area, µm². None if the slide has no vessel table.
        """
        table, footprint = self.context.vessels, self.context.footprint
        if table is None or footprint is None:
            return None
        values = np.nan_to_num(np.asarray(table[column].cast(pa.float64()).to_numpy(), np.float64))
        return um2_to_mm2(1.0) * footprint.by_label(values, self.blocks.labels, self.blocks.count)

    def by_block(self, objects: Objects, values: Numbers) -> Numbers:
        """(B,) float64 sums of ``values`` (N,) over the objects of each block."""
        sums = np.bincount(objects.block, weights=values, minlength=self.blocks.count)
        return np.asarray(sums, np.float64)

    @cached_property
    def til_counts(self) -> Numbers | None:
        """(B,) TILs in each block; None where they cannot be counted."""
        if self.cells is None or self.area_mm2 <= 0:
            return None
        return self.by_block(self.cells, self.cells.weight * self.cells.flags("is_til"))

    @cached_property
    def vessel_counts(self) -> Numbers | None:
        """(B,) vessels in each block; None where they cannot be counted."""
        if self.vessels is None or self.area_mm2 <= 0:
            return None
        return self.by_block(self.vessels, self.vessels.weight)


def make_scope(context: SlideContext, name: str, settings: MetricSettings) -> Scope:
    """The compartment ``name`` of a slide, cut into blocks."""
    mask = context.compartments[name] & context.tissue.usable & ~context.excluded
    blocks = make_blocks(mask, context.tissue, settings.block_mm2, settings.cluster_um)
    return Scope(context, name, mask, blocks, settings)


def _centroids(table: Rows) -> tuple[Numbers, Numbers]:
    x, y = (np.asarray(table.column(name).to_numpy(), np.float64) for name in ("x_um", "y_um"))
    return x, y


def _objects(
    table: Rows, x: Numbers, y: Numbers, block: NDArray[np.int32], keep: NDArray[np.bool_]
) -> Objects:
    return Objects(table, pa.array(keep), x[keep], y[keep], block[keep], _weights(table)[keep])


def _weights(table: Rows) -> Numbers:
    """1 for each object, the area model's count for a cluster that could not be parted."""
    if "cluster_count" not in table.column_names:
        return np.ones(table.num_rows)
    clustered = np.asarray(table.column("in_cluster").fill_null(False).to_numpy(), np.bool_)
    counts = np.asarray(table.column("cluster_count").fill_null(1).to_numpy(), np.float64)
    return np.where(clustered, np.maximum(counts, 1.0), 1.0)
