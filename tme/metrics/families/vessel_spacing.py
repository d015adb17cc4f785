"""How far vessels lie from each other, corrected for the edge of the tissue."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tme.config import MetricSettings
from tme.metrics.bootstrap import draws, index_estimate, median_estimate, plain_interval
from tme.metrics.family import METRICS, Family
from tme.metrics.intervals import Information
from tme.metrics.scope import Objects, Scope
from tme.metrics.spacing import Neighbours, nearest_neighbours
from tme.metrics.types import ColumnSpec, Estimate
from tme.units import UM_PER_MM

MIN_VALID = 10
HANISCH = "Hanisch 1984, Statistics 15:409 (edge correction)"

COLUMNS = (
    ColumnSpec(
        "vessel_nnd_um_median",
        "µm",
        "positive",
        "median distance from a vessel's centroid to the nearest other one",
        "median of d_i over vessels nearer to a neighbour than to the edge, each weighing 1 / area of the "
        "compartment farther than d_i from its edge",
        HANISCH,
        ("Between centroids: long vessels lie closer than it says.",),
        "vessels",
    ),
    ColumnSpec(
        "vessel_clark_evans_r",
        "",
        "index",
        "spacing against a random pattern of the same density: below 1 clustered, above 1 regular",
        "2 √λ · mean of d_i, weighted as in vessel_nnd_um_median; λ = n_vessels / evaluable area; several "
        "slides: mean weighted by n_vessels, each spaced against its own λ",
        f"Clark and Evans 1954, Ecology 35:445; {HANISCH}",
        ("A density that differs between regions looks like clustering.",),
        "vessels",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    vessels = scope.vessels
    if vessels is None or scope.area_mm2 <= 0:
        return {}
    near = nearest_neighbours(vessels.x_um, vessels.y_um, scope.mask, scope.context.tissue)
    valid = int((near.weight > 0).sum())
    if valid < MIN_VALID:
        note = f"only {valid} vessels lie nearer to a neighbour than to the edge; {MIN_VALID} are needed"
        return dict.fromkeys(
            ("vessel_nnd_um_median", "vessel_clark_evans_r"), Estimate(None, n=valid, note=note)
        )
    median = median_estimate(
        "vessel_nnd_um_median",
        near.distance_um,
        vessels.block,
        scope.blocks.count,
        scope.settings,
        near.weight,
    )
    return {"vessel_nnd_um_median": median, "vessel_clark_evans_r": _clark_evans(near, vessels, scope)}


def _clark_evans(near: Neighbours, vessels: Objects, scope: Scope) -> Estimate:
    blocks = scope.blocks
    sums = np.stack(
        [
            scope.by_block(vessels, near.weight * near.distance_um / UM_PER_MM),
            scope.by_block(vessels, near.weight),
            scope.by_block(vessels, vessels.weight),
            blocks.areas_mm2,
        ]
    )
    drawn = draws(blocks.count, scope.settings.bootstrap, scope.settings.seed, "vessel_clark_evans_r")
    above, weight, count, area = sums @ drawn.T
    good = weight > 0
    replicates = 2 * above[good] / weight[good] * np.sqrt(count[good] / area[good])
    above, weight, count, area = sums.sum(axis=1)
    value = float(2 * above / weight * math.sqrt(count / area))
    return index_estimate(value, replicates, len(vessels), blocks.count)


def pool(
    name: str, estimates: Sequence[Estimate], settings: MetricSettings, information: Information
) -> Estimate:
    """Mean over the vessels of all slides of their spacing against a random pattern on their own slide.

    One density for all slides would take what differs between them for clustering.
    """
    total = sum(estimate.n or 0 for estimate in estimates)
    parts = [((estimate.n or 0) / total, float(estimate.value or 0), estimate.se) for estimate in estimates]
    value = math.fsum(weight * own for weight, own, _ in parts)
    errors = [weight * error for weight, _, error in parts if error is not None]
    error = information.error(math.hypot(*errors)) if len(errors) == len(parts) else None
    low, high = plain_interval(value, error, information.blocks)
    return Estimate(value, None if low is None else max(low, 0.0), high, total, se=error)


METRICS.add("vessel_spacing", Family(COLUMNS, measure, order=90, pool=pool))
