"""Where vessels crowd more than chance would have them: the angiogenic hotspots of Kather 2015."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.metrics.bootstrap import bounded_estimate, seeded
from tme.metrics.density_map import BANDWIDTH_UM, Hotspots, find_hotspots
from tme.metrics.family import METRICS, Family
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

NAME = "vessel_hotspot_area_pct"
MIN_VESSELS = 10
"""With fewer, the random patterns' level is that of two vessels that happen to lie together."""
ROWS = 256

COLUMNS = (
    ColumnSpec(
        NAME,
        "%",
        "index",
        "share of the evaluable area where vessels lie denser than a random pattern would have them",
        f"100 · area whose density of centroids (Gaussian of {BANDWIDTH_UM:g} µm, corrected for the edge) is "
        "above the 99.9 % level of the densities of 99 to 499 seeded random patterns in the same mask, fewer "
        "on large slides / area with at least a quarter of the Gaussian on evaluable tissue; fewer than 10 "
        "vessels: empty",
        "Kather 2015, Oncotarget 6:19163; edge: Diggle 1985, Appl Stat 34:138",
        (
            "Random patterns have 0.1 % on average, most of them none and a few one spot.",
            "A difference between parts of the section, as of tumour and capsule, is a hotspot too.",
            "Hot against the rest of the same section: an evenly rich section has no hotspot.",
            "A long vessel cut into pieces crowds by itself.",
        ),
        "vessels",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    vessels = scope.vessels
    if vessels is None or scope.area_mm2 <= 0:
        return {}
    number = len(vessels)
    if number < MIN_VESSELS:
        note = f"only {number} vessels; {MIN_VESSELS} are needed"
        return {NAME: Estimate(None, n=number, note=note)}
    generator = seeded(scope.settings.seed, NAME)
    found = find_hotspots(vessels.x_um, vessels.y_um, scope.mask, scope.context.tissue, generator)
    hot, judged = pixels_by_block(found, scope.blocks.labels, scope.blocks.count)
    return {NAME: bounded_estimate(NAME, hot, judged, number, scope.settings)}


def pixels_by_block(
    found: Hotspots, labels: NDArray[np.int32], blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels in hotspots and pixels judged, each (B,) float64, of an (H, W) int32 map of blocks."""
    squares = found.squares
    sums = np.zeros((2, blocks))
    for start in range(0, labels.shape[0], ROWS):
        rows = squares.row_of[start : start + ROWS]
        inside = labels[start : start + ROWS] >= 0
        block = labels[start : start + ROWS][inside]
        for which, chosen in enumerate((found.hot, found.judged)):
            of_pixel = chosen[rows][:, squares.column_of][inside]
            sums[which] += np.bincount(block[of_pixel], minlength=blocks)
    return sums[0], sums[1]


METRICS.add("vessel_hotspot", Family(COLUMNS, measure, order=110))
