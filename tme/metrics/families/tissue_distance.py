"""How far tissue lies from the nearest vessel: a proxy for hypoxia."""

from __future__ import annotations

import numpy as np

from tme.metrics.bootstrap import SPREAD_POINTS, bounded_estimate, draws, quantile_estimate
from tme.metrics.family import METRICS, Family
from tme.metrics.histogram import Histogram, distance_histogram
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate, Spread
from tme.tables import significant

AVASCULAR_UM = 100.0
POTTS = "Potts 2015 (vessel proximity)"
EDGE = "Vessels beyond the section's edge are not seen: the rim of a small biopsy looks farther than it is."

COLUMNS = (
    ColumnSpec(
        "tissue_to_vessel_um_median",
        "µm",
        "positive",
        "median distance from evaluable tissue to the nearest vessel of the slide",
        "median over centres of evaluable pixels of the distance to the nearest filled vessel outline; 0 "
        "inside one",
        POTTS,
        (EDGE,),
        "vessels",
    ),
    ColumnSpec(
        "tissue_to_vessel_um_p90",
        "µm",
        "positive",
        "distance to the nearest vessel that 90 % of the evaluable tissue keeps within",
        "90th percentile over centres of evaluable pixels of the distance to the nearest filled vessel "
        "outline; 0 inside one",
        POTTS,
        (EDGE,),
        "vessels",
    ),
    ColumnSpec(
        "avascular_pct",
        "%",
        "bounded",
        "share of the evaluable area more than 100 µm from any vessel",
        "100 · evaluable pixels beyond 100 µm / evaluable pixels",
        "oxygen reaches 100-150 µm: Thomlinson and Gray 1955, Br J Cancer 9:539",
        (EDGE, "A two-dimensional distance: a vessel just above the section is not seen."),
        "vessels",
    ),
)
QUANTILES = {"tissue_to_vessel_um_median": 0.5, "tissue_to_vessel_um_p90": 0.9}


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    if scope.vessels is None or scope.area_mm2 <= 0:
        return {}
    distance = scope.context.to_vessel_um
    number, blocks = len(scope.vessels), scope.blocks
    pixels = blocks.pixels
    if distance is None:
        far, found = pixels, {name: Estimate(None, n=0, note="no vessel on the slide") for name in QUANTILES}
    else:
        histogram = distance_histogram(distance, blocks.labels, blocks.count, AVASCULAR_UM)
        far = histogram.beyond
        found = {name: _quantile(name, level, histogram, scope) for name, level in QUANTILES.items()}
    found["avascular_pct"] = bounded_estimate("avascular_pct", far, pixels, number, scope.settings)
    return found


def _quantile(name: str, level: float, histogram: Histogram, scope: Scope) -> Estimate:
    blocks, settings = scope.blocks.count, scope.settings
    # One seed for both quantiles, so that their errors belong to the same draws.
    drawn = draws(blocks, settings.bootstrap, settings.seed, "tissue_to_vessel_um")
    replicates = histogram.quantiles(drawn, level)
    value = float(histogram.quantiles(np.ones((1, blocks)), level)[0])
    everything = np.ones((1, blocks))
    points = [
        significant(float(histogram.quantiles(everything, at)[0])) for at in np.linspace(0, 1, SPREAD_POINTS)
    ]
    spread = Spread(level, tuple(points), scope.area_mm2)
    number = 0 if scope.vessels is None else len(scope.vessels)
    return quantile_estimate(name, value, replicates, spread, number, blocks)


METRICS.add("tissue_distance", Family(COLUMNS, measure, order=100))
