"""Where the area of vessels lies on the tissue grid, so that a part of a slide is given what lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tme.regions.raster import pixels_within
from tme.regions.walls import CHUNK, Indices, Walls


@dataclass(frozen=True, eq=False)
class Footprint:
    """Pixels on tissue that vessels cover.

    Attributes
    ----------
    owner : (P,) int64
        Vessel of each pixel.
    pixel : (P,) int64
        Its place on the grid, row by row.
    share : (P,) float64
        What share of the vessel's area it stands for. A lumen that is no tissue goes with the wall
        around it; of a vessel that does not lie on tissue only what does is counted.
    """

    owner: Indices
    pixel: Indices
    share: NDArray[np.float64]

    def by_label(
        self, values: NDArray[np.float64], labels: NDArray[np.int32], count: int
    ) -> NDArray[np.float64]:
        """(count,) float64: areas of the vessels (N,) in each label of an (H, W) map, -1 being none."""
        label = labels.ravel()[self.pixel]
        kept = label >= 0
        return np.bincount(label[kept], (values[self.owner] * self.share)[kept], count).astype(np.float64)


def make_footprint(geometry: pa.ChunkedArray, mpp: float, walls: Walls) -> Footprint:
    """Footprint of vessels given as WKB polygons in level-0 pixels of ``mpp`` µm/px, and their walls."""
    tissue, vessels = walls.tissue, len(geometry)
    owners, pixels = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, vessels, CHUNK):
        polygons = shapely.from_wkb(geometry.slice(start, CHUNK).to_pylist())
        owner, pixel = pixels_within(polygons, tissue.shape, tissue.mpp, mpp)
        owners.append(start + owner)
        pixels.append(pixel)
    owner, pixel = np.concatenate(owners), np.concatenate(pixels)
    usable = tissue.tissue.ravel()
    # Smaller than a pixel, or a thin wall around what is no tissue: the points of the wall stand for it.
    lone = (np.bincount(owner[usable[pixel]], minlength=vessels) == 0)[walls.owner]
    owner = np.concatenate([owner, walls.owner[lone]])
    pixel = np.concatenate([pixel, walls.pixel[lone]])
    there = usable[pixel]
    whole = np.where(
        walls.on_tissue,
        np.bincount(owner[there], minlength=vessels),
        np.bincount(owner, minlength=vessels),
    )
    owner, pixel = owner[there], pixel[there]
    return Footprint(owner, pixel, 1 / whole[owner])
