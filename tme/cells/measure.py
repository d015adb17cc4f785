"""Labels + outlines + stain densities -> numbers per cell.

In: what one window gave. Out: arrays with one value per cell, in pixels at the working µm/px or in
optical density. Shape comes from the outline, so that table and geometry agree; colour from the
label map. Everything is a bincount or a vectorised geometry call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from tme.cells.nearest import nearest_within
from tme.cells.outline import Outlines
from tme.units import px_to_um2, um_to_px

RING_UM = 2.0
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measures:
    """One value per cell.

    Attributes
    ----------
    x, y : (n,) float64
        Centroid, window pixels.
    area_um2, eccentricity, solidity : (n,) float64
    hematoxylin_od, second_od : (n,) float64
        Mean over the nucleus; the second stain is eosin or DAB.
    hematoxylin_sd : (n,) float64
        Standard deviation over the nucleus, OD.
    ring_od : (n,) float64
        Mean of the second stain in a ring of `RING_UM` around the nucleus, outside every other one;
        the nucleus' own mean where it has no free ring.
    ring_hematoxylin_od : (n,) float64
        The same for haematoxylin.
    """

    x: Values
    y: Values
    area_um2: Values
    eccentricity: Values
    solidity: Values
    hematoxylin_od: Values
    second_od: Values
    hematoxylin_sd: Values
    ring_od: Values
    ring_hematoxylin_od: Values


def measure(
    labels: NDArray[np.int32], density: NDArray[np.float32], outlines: Outlines, mpp: float
) -> Measures:
    """Measure every outlined cell.

    Parameters
    ----------
    labels : (H, W) int32
    density : (H, W, 2) float32
        Haematoxylin and eosin or DAB.
    outlines : Outlines
        Of ``labels``.
    mpp : float
        µm/px of the window.
    """
    polygons = outlines.polygons
    centre = shapely.centroid(polygons)
    area = shapely.area(polygons)
    hull = shapely.area(shapely.convex_hull(polygons))
    inside = np.flatnonzero(labels != 0)
    owner = labels.ravel()[inside]
    stains = density.reshape(-1, 2)
    first, second = stains[inside].T
    count = int(owner.max()) + 1 if len(owner) else 1
    mean_first = mean_of(owner, first, count)
    square = mean_of(owner, first**2, count)
    ring_pixel, ring_owner = ring(labels, um_to_px(RING_UM, mpp))
    ring_first, ring_second = stains[ring_pixel].T
    chosen = outlines.labels
    mean_second = mean_of(owner, second, count)
    return Measures(
        x=shapely.get_x(centre),
        y=shapely.get_y(centre),
        area_um2=px_to_um2(1.0, mpp) * area,
        eccentricity=eccentricity(polygons),
        solidity=area / np.maximum(hull, 1e-9),
        hematoxylin_od=mean_first[chosen],
        second_od=mean_second[chosen],
        hematoxylin_sd=np.sqrt(np.maximum(square - mean_first**2, 0))[chosen],
        ring_od=mean_of(ring_owner, ring_second, count, mean_second)[chosen],
        ring_hematoxylin_od=mean_of(ring_owner, ring_first, count, mean_first)[chosen],
    )


def mean_of(
    owner: NDArray[np.int32], values: NDArray[np.float32], count: int, empty: Values | None = None
) -> Values:
    """(count,) mean of the values of each owner; 0, or ``empty``, of an owner without any."""
    number = np.bincount(owner, minlength=count)
    total = np.bincount(owner, values.astype(np.float64), count)
    mean = total / np.maximum(number, 1)
    return mean if empty is None else np.where(number > 0, mean, empty)


def ring(labels: NDArray[np.int32], width_px: float) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Flat indices of background pixels within ``width_px`` of a label, and the label nearest to each."""
    padded = np.pad(labels, 1)
    flat, width = padded.ravel(), padded.shape[1]
    edge = np.flatnonzero(flat != 0)
    sides = [flat[edge + step] == 0 for step in (-width, -1, 1, width)]
    # What is nearest to a pixel of the background touches the background.
    edge = edge[np.logical_or.reduce(sides)]
    rows, columns = np.divmod(edge, width)
    nearest = nearest_within(labels.shape, rows - 1, columns - 1, flat[edge], width_px)
    owner = nearest.ravel()
    pixel = np.flatnonzero(owner != 0)
    pixel = pixel[labels.ravel()[pixel] == 0]
    return pixel, owner[pixel]


def eccentricity(polygons: NDArray[np.object_]) -> Values:
    """Eccentricity of the ellipse with the same second moments as each polygon's outer ring.

    Moments by Green's theorem over the vertices (Steger, On the calculation of arbitrary moments of
    polygons, 1996).
    """
    outer = shapely.get_exterior_ring(polygons)
    points, index = shapely.get_coordinates(outer, return_index=True)
    same = index[1:] == index[:-1]
    owner = index[:-1][same]
    start = np.flatnonzero(np.diff(index, prepend=-1))
    # Relative to each ring's first vertex: far from the origin the moments would cancel.
    points = points - points[start][index]
    x0, y0 = points[:-1][same].T
    x1, y1 = points[1:][same].T
    cross = x0 * y1 - x1 * y0

    def total(values: Values) -> Values:
        return np.asarray(np.bincount(owner, values, len(polygons)), np.float64)

    # Negative for rings that run the other way; the sign cancels in what follows.
    area = total(cross) / 2
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    mean_x, mean_y = total((x0 + x1) * cross) / (6 * area), total((y0 + y1) * cross) / (6 * area)
    xx = total((x0 * x0 + x0 * x1 + x1 * x1) * cross) / (12 * area) - mean_x**2
    yy = total((y0 * y0 + y0 * y1 + y1 * y1) * cross) / (12 * area) - mean_y**2
    xy = total((x0 * y1 + 2 * x0 * y0 + 2 * x1 * y1 + x1 * y0) * cross) / (24 * area) - mean_x * mean_y
    half = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    middle = (xx + yy) / 2
    return np.sqrt(np.clip(2 * half / np.maximum(middle + half, 1e-12), 0.0, 1.0))
