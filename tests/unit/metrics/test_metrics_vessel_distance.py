"""Distances to the walls of vessels against exact geometry."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from scipy.spatial import cKDTree

from tests.made_measures import SETTINGS, SLIDE_MPP, cells_at, context_of, table_of, tissue_of, vessels_at
from tme.metrics import Estimate
from tme.metrics.distance import distance_at, distance_to_vessels
from tme.metrics.families import til_vessel, tissue_distance
from tme.metrics.histogram import distance_histogram
from tme.metrics.scope import make_scope
from tme.vessels.types import VESSEL_SCHEMA


def value(found: dict[str, Estimate], name: str) -> float:
    got = found[name].value
    assert isinstance(got, int | float)
    return float(got)


def strewn(radius_um: float, number: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Round vessels, x and y, and the exact distance of points to them on a fine grid, all in µm."""
    x, y = np.random.default_rng(1).uniform(0, 2000, (2, number))
    fine = np.arange(1.0, 2000, 2.0)
    points = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2)
    exact = np.maximum(cKDTree(np.stack([x, y], axis=1)).query(points)[0] - radius_um, 0)
    return x, y, exact


def finely_round(x: np.ndarray, y: np.ndarray, radius_um: float) -> pa.Table:
    outlines = shapely.buffer(
        shapely.points(x / SLIDE_MPP, y / SLIDE_MPP), radius_um / SLIDE_MPP, quad_segs=64
    )
    return vessels_at(x, y, radius_um, geometry=list(shapely.to_wkb(outlines)))


@pytest.mark.parametrize("radius_um", [2.0, 5.0, 12.0, 50.0])
def test_distances_are_exact_on_any_grid(radius_um: float) -> None:
    x, y, exact = strewn(radius_um)
    for mpp in (2.0, 4.0, 10.0):
        mask = np.ones((round(2000 / mpp),) * 2, bool)
        context = context_of("CD31", mask, mpp=mpp, vessels=finely_round(x, y, radius_um))
        found = tissue_distance.measure(make_scope(context, "evaluable", SETTINGS))
        assert value(found, "tissue_to_vessel_um_median") == pytest.approx(np.median(exact), rel=0.005)
        assert value(found, "tissue_to_vessel_um_p90") == pytest.approx(np.quantile(exact, 0.9), rel=0.005)
        assert value(found, "avascular_pct") == pytest.approx(100 * (exact > 100).mean(), rel=0.005)


@pytest.mark.parametrize("mpp", [2.0, 4.0, 10.0])
def test_tils_near_vessels_are_those_of_exact_geometry(mpp: float) -> None:
    """TILs four times as dense within 30 µm of a vessel.

    Between centres of pixels a distance from something round is read a little too long.
    """
    generator = np.random.default_rng(2)
    x, y, exact = strewn(12.0)
    points = generator.uniform(0, 2000, (20_000, 2))
    apart = cKDTree(np.stack([x, y], axis=1)).query(points)[0] - 12.0
    kept = (apart <= 30) | (generator.random(len(points)) < 0.25)
    points, apart = points[kept], np.maximum(apart[kept], 0)
    mask = np.ones((round(2000 / mpp),) * 2, bool)
    context = context_of(
        "HE", mask, mpp=mpp, vessels=finely_round(x, y, 12.0),
        cells=cells_at(*points.T, [True] * len(points)),
    )  # fmt: skip
    found = til_vessel.measure(make_scope(context, "evaluable", SETTINGS))
    near = (apart <= 30).mean()
    area = (exact <= 30).mean()
    ratio = near / area / ((1 - near) / (1 - area))
    assert value(found, til_vessel.MEDIAN) == pytest.approx(np.median(apart), rel=0.01)
    assert value(found, til_vessel.WITHIN) == pytest.approx(100 * near, rel=0.01 if mpp < 10 else 0.02)
    assert value(found, til_vessel.RATIO) == pytest.approx(ratio, rel=0.01 if mpp < 10 else 0.02)


def test_a_vessel_smaller_than_a_pixel_is_not_lost() -> None:
    outline = vessels_at([503.0], [497.0], 1.0)
    distance = distance_to_vessels(outline["geometry"], SLIDE_MPP, tissue_of(np.ones((100, 100), bool)))
    rows, columns = np.mgrid[:100, :100] * 10 + 5
    assert distance == pytest.approx(np.hypot(columns - 503, rows - 497) - 1, abs=0.3)


def test_what_an_unfilled_hole_holds_is_not_in_the_vessel() -> None:
    ring = shapely.Point(500, 500).buffer(400).difference(shapely.Point(500, 500).buffer(360))
    wkb = shapely.to_wkb(shapely.transform(ring, lambda xy: xy / SLIDE_MPP))
    table = table_of(VESSEL_SCHEMA, 1, x_um=[500.0], y_um=[500.0], geometry=[wkb])
    distance = distance_to_vessels(table["geometry"], SLIDE_MPP, tissue_of(np.ones((100, 100), bool)))
    assert distance[50, 50] == pytest.approx(353, abs=2)
    assert distance[50, 12] == 0


def test_distances_go_on_off_the_tissue() -> None:
    mask = np.zeros((100, 100), bool)
    mask[:, :50] = True
    distance = distance_to_vessels(vessels_at([205.0], [505.0])["geometry"], SLIDE_MPP, tissue_of(mask))
    rows, columns = np.mgrid[:100, :100] * 10 + 5
    exact = np.maximum(np.hypot(columns - 205, rows - 505) - 5, 0)
    assert np.abs(distance - exact)[:, :51].max() <= 0.3
    assert np.abs(distance - exact).max() <= 10


def test_distances_between_pixels_centres_are_linear_and_end_with_the_grid() -> None:
    tissue = tissue_of(np.ones((3, 4), bool))
    rows, columns = np.mgrid[:3, :4] * 10.0 + 5
    plane = (columns + 2 * rows).astype(np.float32)
    x, y = np.array([5.0, 12.0, 33.0, 0.0, 40.0]), np.array([5.0, 17.0, 8.0, 0.0, 30.0])
    assert distance_at(x, y, plane, tissue) == pytest.approx([15, 46, 49, 15, 85])


def test_half_of_the_tissue_in_vessels_lies_at_zero() -> None:
    """The median of a first bin is none of a distance that no pixel has."""
    distance = np.array([[0.0] * 6 + [0.5, 1.5, 2.5, 3.0]], np.float32)
    found = distance_histogram(distance, np.zeros(distance.shape, np.int32), 1, 2.0)
    one = np.ones((1, 1))
    assert found.counts.tolist() == [[6, 1, 1, 2]]
    assert found.quantiles(one, 0.5)[0] == 0
    assert found.quantiles(one, 0.0)[0] == 0
    assert found.quantiles(one, 0.65)[0] == pytest.approx(0.5)
    assert found.quantiles(one, 0.9)[0] == pytest.approx(2.5)
    assert found.quantiles(one, 1.0)[0] == pytest.approx(3.0)
    assert found.beyond.tolist() == [2]
