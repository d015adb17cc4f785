"""How densely the slide's objects lie: what is counted, per square and smoothed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import ndimage

from tme.regions.walls import Walls
from tme.tables import Rows
from tme.tissue.types import TissueMask
from tme.units import px_to_um2, um2_to_mm2

Grid = NDArray[np.float64]

MAP_PITCH_UM = 12.5
MAP_SIGMA_UM = 150.0
MAP_CELLS = 400
OUTSIDE = 255
TOP_STEP = 254


@dataclass(frozen=True, eq=False)
class Counted:
    """The objects a slide is about.

    Attributes
    ----------
    title : str
        What they are, in the plural.
    x_um, y_um : (n,) float64
        Centroids from the slide's top-left corner.
    weight : (n,) float64
        1, or the number of cells in a cluster that could not be parted.
    walls : Walls, optional
        Of vessels, which lie where their walls do and not where their centroids do.
    """

    title: str
    x_um: Grid
    y_um: Grid
    weight: Grid
    walls: Walls | None = None

    def usable(self, tissue: TissueMask) -> NDArray[np.bool_]:
        """(n,) bool: which lie in usable tissue."""
        if self.walls is not None:
            return self.walls.inside(tissue.usable)
        return np.asarray(tissue.values_at(self.x_um, self.y_um, tissue.usable), np.bool_)


@dataclass(frozen=True, eq=False)
class DensityMap:
    """Smoothed density on a square grid anchored at the slide's top-left corner.

    Attributes
    ----------
    steps : (H, W) uint8
        Density in steps of ``top_per_mm2`` / 254; 255 outside usable tissue.
    pitch_um : float
        Side of a grid cell.
    top_per_mm2 : float
        The highest density, /mm².
    """

    steps: NDArray[np.uint8]
    pitch_um: float
    top_per_mm2: float


def counted_objects(
    cells: Rows | None, vessels: pa.Table | None, walls: Walls | None = None
) -> Counted | None:
    """Vessels where there are any; else TILs, else positive cells, else all nuclei; None without a table.

    ``walls`` are those of the vessels.
    """
    if vessels is not None:
        return replace(_counted("vessels", vessels, np.ones(vessels.num_rows)), walls=walls)
    if cells is None:
        return None
    weight = pc.fill_null(cells.column("cluster_count"), 1).to_numpy().astype(np.float64)
    for column, title in (("is_til", "TILs"), ("positive", "positive cells")):
        flags = cells.column(column)
        if flags.null_count < cells.num_rows:
            chosen = pc.fill_null(flags, False).to_numpy()
            return _counted(title, cells, weight, chosen)
    return _counted("nuclei", cells, np.ones(cells.num_rows))


def per_square(counted: Counted | None, tissue: TissueMask, side_um: float) -> tuple[Grid, Grid, Grid]:
    """Objects, usable area and artefact area in squares of ``side_um``, anchored at the corner.

    Returns
    -------
    counts, usable_mm2, artefact_mm2 : (H, W) float64
        A mask pixel belongs to the square that holds its centre.
    """
    shape = (_squares(tissue.height_um, side_um), _squares(tissue.width_um, side_um))
    pixel_mm2 = um2_to_mm2(px_to_um2(1.0, tissue.mpp))
    usable = tissue.usable
    areas = [_binned_mask(mask, tissue.mpp, side_um, shape) * pixel_mm2
             for mask in (usable, tissue.tissue & ~usable)]  # fmt: skip
    counts = np.zeros(shape)
    if counted is not None and counted.x_um.size:
        inside = counted.usable(tissue)
        row = np.minimum((counted.y_um / side_um).astype(np.int64), shape[0] - 1)[inside]
        column = np.minimum((counted.x_um / side_um).astype(np.int64), shape[1] - 1)[inside]
        np.add.at(counts, (row, column), counted.weight[inside])
    return counts, areas[0], areas[1]


def density_map(counted: Counted, tissue: TissueMask) -> DensityMap:
    """Smoothed density of objects in usable tissue, /mm².

    Counts and usable area are both smoothed with a Gaussian of 150 µm and then divided, so that a
    border of tissue or an artefact does not look like a thin place. Shown in squares at least half
    usable.
    """
    pitch_um = max(MAP_PITCH_UM, max(tissue.width_um, tissue.height_um) / MAP_CELLS)
    counts, usable_mm2, _ = per_square(counted, tissue, pitch_um)
    sigma = max(MAP_SIGMA_UM, pitch_um) / pitch_um
    smooth_counts = ndimage.gaussian_filter(counts, sigma, mode="constant")
    smooth_area = ndimage.gaussian_filter(usable_mm2, sigma, mode="constant")
    inside = usable_mm2 > um2_to_mm2(pitch_um * pitch_um) / 2
    density = np.divide(smooth_counts, smooth_area, out=np.zeros_like(counts), where=inside)
    top = float(density.max(initial=0.0))
    steps = np.full(density.shape, OUTSIDE, np.uint8)
    if top > 0:
        # Rounding before the division keeps the last bit of the filter out of the page.
        steps[inside] = np.rint(np.round(density[inside] / top, 6) * TOP_STEP).astype(np.uint8)
    else:
        steps[inside] = 0
    return DensityMap(steps, pitch_um, round(top, 3))


def _counted(
    title: str, table: Rows, weight: Grid, chosen: NDArray[np.bool_] | slice = slice(None)
) -> Counted:
    x_um, y_um = (table.column(name).to_numpy()[chosen] for name in ("x_um", "y_um"))
    return Counted(title, x_um, y_um, weight[chosen])


def _squares(length_um: float, side_um: float) -> int:
    return max(1, int(np.ceil(length_um / side_um - 1e-9)))


def _binned_mask(mask: NDArray[np.bool_], mpp: float, side_um: float, shape: tuple[int, int]) -> Grid:
    """Number of True pixels of ``mask`` in each square."""
    row = np.minimum(((np.arange(mask.shape[0]) + 0.5) * mpp / side_um).astype(np.int64), shape[0] - 1)
    column = np.minimum(((np.arange(mask.shape[1]) + 0.5) * mpp / side_um).astype(np.int64), shape[1] - 1)
    rows = np.zeros((shape[0], mask.shape[1]))
    np.add.at(rows, row, mask)
    out = np.zeros(shape[::-1])
    np.add.at(out, column, rows.T)
    return out.T
