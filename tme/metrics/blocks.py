"""Evaluable area -> blocks: the pieces of tissue whose scatter says how sure a number is.

In: an (H, W) bool mask. Out: a `Blocks` label map. Cells cluster, so a count scatters more than
Poisson's law says; how much is read from the counts of blocks. Blocks are contiguous, of near-equal
area (about ``block_mm2``), and compact: the shorter their border, the fewer clusters lie on it. An area
too small for `MIN_BLOCKS` of them is cut into smaller ones. What is left over is merged with a neighbour,
and separate pieces of tissue stay separate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from tme.metrics.partition import cut
from tme.metrics.spill import WHOLE, Shares, cluster_shares, spill
from tme.tissue.types import Mask, TissueMask
from tme.units import mm2_to_um2, um2_to_px, um_to_px

MIN_BLOCKS = 6
"""Blocks wanted from an area too small for as many of full size: fewer make t wide, more share clusters."""
SMALLEST_BLOCK = 0.25
"""Smallest block aimed at, as a share of ``block_mm2``; below that, neighbours share most clusters."""
SLIVER = 0.25
"""A piece under this share of a block is joined to the nearest block."""
CELLS_PER_BLOCK = 1500
"""Coarse cells a block is cut from: its area is right to about the root of that."""
ROWS = 256
"""Rows looked at together, so that memory does not grow with the slide."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of one compartment.

    Attributes
    ----------
    labels : (H, W) int32
        Block of each pixel of the tissue grid, 0 to B-1; -1 outside the compartment.
    pixels : (B,) float64
        Pixels of each block.
    areas_mm2 : (B,) float64
        Area of each block, mm²; pixels over the slide's edge count in part.
    shares : Shares
        How much of a cluster one block and the whole compartment hold.
    """

    labels: NDArray[np.int32]
    pixels: NDArray[np.float64]
    areas_mm2: NDArray[np.float64]
    shares: Shares

    @property
    def count(self) -> int:
        """B."""
        return len(self.areas_mm2)

    @property
    def spill(self) -> float:
        """By what factor clustering in the whole exceeds that between blocks."""
        return spill([self.shares], [self.count], [float(self.areas_mm2.sum())])


def make_blocks(mask: Mask, tissue: TissueMask, block_mm2: float, cluster_um: float) -> Blocks:
    """Cut a compartment into blocks.

    Parameters
    ----------
    mask : (H, W) bool
        The compartment on the tissue grid.
    tissue : TissueMask
        The grid, for areas.
    block_mm2 : float
        Wanted area of a block, mm².
    cluster_um : float
        Standard deviation of the places of a cluster's cells about its middle, for `Blocks.shares`, µm.

    Returns
    -------
    Blocks
        Every pixel of ``mask`` in exactly one block; none for an empty mask.
    """
    labels = np.full(mask.shape, -1, np.int32)
    total_mm2 = tissue.area_mm2(mask)
    if total_mm2 <= 0:
        return Blocks(labels, np.zeros(0), np.zeros(0), WHOLE)
    target_mm2 = min(block_mm2, max(total_mm2 / MIN_BLOCKS, SMALLEST_BLOCK * block_mm2))
    target_px = um2_to_px(mm2_to_um2(target_mm2), tissue.mpp)
    found, number_of_pieces = ndimage.label(mask, np.ones((3, 3), bool))
    pieces = np.asarray(found, np.int32)
    pixels = pixels_by_label(pieces, number_of_pieces + 1)
    limit = min(SLIVER * target_px, 0.5 * float(pixels[1:].max()))
    step = max(1, int((target_px / CELLS_PER_BLOCK) ** 0.5))
    count = 0
    slivers = []
    for number, window in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[window] == number
        if pixels[number] < limit:
            slivers.append((window, piece))
            continue
        parts = cut(piece, max(1, round(float(pixels[number]) / target_px)), step)
        labels[window][piece] = parts[piece] + count
        count += int(parts.max()) + 1
    _join_slivers(labels, slivers)
    whole = pixels_by_label(labels, count)
    shares = cluster_shares(labels, count, um_to_px(cluster_um, tissue.mpp))
    return Blocks(labels, whole, _areas_mm2(labels, whole, tissue), shares)


def _join_slivers(labels: NDArray[np.int32], slivers: list[tuple[tuple[slice, ...], Mask]]) -> None:
    """Give each sliver to the block nearest to its middle, in place."""
    if not slivers:
        return
    edge = (labels >= 0) & ~ndimage.binary_erosion(labels >= 0)
    points = np.argwhere(edge)
    tree = cKDTree(points)
    for window, piece in slivers:
        rows, columns = np.nonzero(piece)
        middle = (rows.mean() + window[0].start, columns.mean() + window[1].start)
        row, column = points[int(tree.query(middle)[1])]
        labels[window][piece] = labels[row, column]


def pixels_by_label(labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """(count,) float64: pixels of the labels 0 to count - 1 of an (H, W) map; -1 is passed over."""
    pixels = np.zeros(count + 1, np.int64)
    for start in range(0, labels.shape[0], ROWS):
        pixels += np.bincount(labels[start : start + ROWS].ravel() + 1, minlength=count + 1)
    return pixels[1:].astype(np.float64)


def _areas_mm2(
    labels: NDArray[np.int32], whole: NDArray[np.float64], tissue: TissueMask
) -> NDArray[np.float64]:
    rows, columns = tissue.coverage()
    pixels, count = whole.copy(), len(whole)
    # Only the last row and column can reach over the slide's edge: take off what they lack.
    partial_rows = np.flatnonzero(rows < 1)
    for row in partial_rows:
        pixels -= np.bincount(labels[row] + 1, weights=1 - rows[row] * columns, minlength=count + 1)[1:]
    full = np.flatnonzero(rows == 1)
    for column in np.flatnonzero(columns < 1):
        pixels -= (1 - columns[column]) * np.bincount(labels[full, column] + 1, minlength=count + 1)[1:]
    one_mm2 = um2_to_px(mm2_to_um2(1.0), tissue.mpp)
    return np.asarray(pixels / one_mm2)
