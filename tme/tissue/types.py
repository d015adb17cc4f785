"""The value of the tissue room: where tissue lies and where it cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.units import px_to_mm2

Mask = NDArray[np.bool_]

ARTEFACTS = ("pen", "fold", "blur", "bubble", "edge", "unreadable")


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue and artefacts on a fixed µm/px grid anchored at the slide's top-left corner.

    Mask pixel (i, j) covers [i·mpp, (i+1)·mpp) x [j·mpp, (j+1)·mpp) µm; the last column and row
    may reach over the slide's edge and count only with the part that lies on the slide.

    Attributes
    ----------
    mpp : float
        µm/px of the mask.
    width_um, height_um : float
        Size of the slide.
    tissue : (H, W) bool
        Tissue, artefacts included.
    artefacts : (H, W) uint8
        Bit k set where ``ARTEFACTS[k]`` was found; zero outside tissue.
    has_glass : bool
        False for a field without visible glass, where all is tissue.
    n_pieces : int
        Connected pieces of tissue.
    cautions : tuple of str
        Sentences on light and glass, where these made tissue hard to tell.
    """

    mpp: float
    width_um: float
    height_um: float
    tissue: Mask
    artefacts: NDArray[np.uint8]
    has_glass: bool
    n_pieces: int
    cautions: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the mask."""
        height, width = self.tissue.shape
        return height, width

    def artefact(self, name: str) -> Mask:
        """(H, W) bool mask of one of `ARTEFACTS`."""
        found: Mask = (self.artefacts & (1 << ARTEFACTS.index(name))) != 0
        return found

    @property
    def usable(self) -> Mask:
        """(H, W) bool: tissue without any artefact."""
        usable: Mask = self.tissue & (self.artefacts == 0)
        return usable

    def coverage(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share of each mask row (H,) and column (W,) that lies on the slide, 0-1."""
        height, width = self.shape
        rows = np.clip(self.height_um / self.mpp - np.arange(height), 0.0, 1.0)
        columns = np.clip(self.width_um / self.mpp - np.arange(width), 0.0, 1.0)
        return rows, columns

    def area_mm2(self, mask: Mask) -> float:
        """Area of an (H, W) bool mask on this grid, mm²; pixels over the slide's edge count in part."""
        rows, columns = self.coverage()
        whole = int((columns == 1.0).sum())
        covered = np.count_nonzero(mask[:, :whole], axis=1) + mask[:, whole:] @ columns[whole:]
        return px_to_mm2(float(rows @ covered), self.mpp)

    def pixel_at(
        self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns (N,) of points given in µm; points are clipped to the grid."""
        height, width = self.shape
        column = np.clip((np.asarray(x_um) / self.mpp).astype(np.int64), 0, width - 1)
        row = np.clip((np.asarray(y_um) / self.mpp).astype(np.int64), 0, height - 1)
        return row, column

    def values_at(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64], mask: NDArray) -> NDArray:
        """Values of an (H, W) array on this grid at points given in µm; points are clipped to the grid."""
        return mask[self.pixel_at(x_um, y_um)]
