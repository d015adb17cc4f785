"""Each family against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.made_measures import (
    SETTINGS,
    SLIDE_MPP,
    cells_at,
    context_of,
    result_of,
    table_of,
    tissue_of,
    vessels_at,
)
from tme.config import MetricSettings
from tme.metrics import Estimate, SlideContext, hotspot_fields, mark_hotspots, measure_slide
from tme.metrics.distance import distance_to_vessels
from tme.metrics.hotspot import densest_fields, evaluable_area_mm2
from tme.metrics.spacing import nearest_neighbours
from tme.metrics.spill import spill
from tme.vessels.stained import Stained
from tme.vessels.types import VESSEL_SCHEMA

MASK = np.ones((200, 200), bool)
MASK.setflags(write=False)


def estimates(context: SlideContext, settings: MetricSettings = SETTINGS) -> dict[str, Estimate]:
    return dict(measure_slide(context, settings).compartments["evaluable"].estimates)


def test_counts_fractions_and_areas_of_h_and_e() -> None:
    x, y = [100.0, 500, 1900, 1500], [100.0, 1900, 100, 1500]
    found = estimates(
        context_of("HE", MASK, cells=cells_at(x, y, [True, True, False, False]), threshold=None)
    )
    values = {name: found[name].value for name in ("n_nuclei", "n_til", "til_density_per_mm2")}
    assert values == {"n_nuclei": 4, "n_til": 2, "til_density_per_mm2": 0.5}
    assert found["til_fraction_pct"].value == 50.0
    # Two nuclei of 50 µm² on 4 mm².
    assert found["til_area_pct"].value == pytest.approx(100 * 2 * 50e-6 / 4)
    assert not {"n_positive", "positive_pct", "dab_threshold_od", "n_vessels"} & set(found)


def test_a_cluster_counts_as_its_cells() -> None:
    cells = cells_at(
        [100.0, 500.0, 900.0], [100.0] * 3, [True, True, False],
        in_cluster=[False, True, False], cluster_count=[None, 7, None],
    )  # fmt: skip
    found = estimates(context_of("CD8", MASK, cells=cells))
    assert [found[name].value for name in ("n_nuclei", "n_til", "n_positive")] == [9, 8, 8]
    assert found["til_fraction_pct"].value == pytest.approx(800 / 9)


def test_objects_outside_the_compartment_are_not_counted() -> None:
    half = MASK.copy()
    half[:, 100:] = False
    cells = cells_at([999.9, 1000.0, 1500.0], [500.0] * 3, [True] * 3)
    found = estimates(context_of("CD8", MASK, cells=cells, compartments={"evaluable": half}))
    assert found["n_nuclei"].value == 1
    assert found["til_density_per_mm2"].value == 0.5


def test_what_is_missing_of_a_cell_is_not_counted_as_positive() -> None:
    cells = cells_at([100.0, 200.0], [100.0, 200.0], [True, None])
    found = estimates(context_of("CD8", MASK, cells=cells))
    assert (found["n_nuclei"].value, found["n_til"].value) == (2, 1)


def test_ki67_has_positive_cells_but_no_tils() -> None:
    cells = table_of(
        cells_at([], [], []).schema,
        4,
        x_um=[100.0] * 4,
        y_um=[100.0] * 4,
        positive=[True, False, False, False],
    )
    found = estimates(context_of("KI67", MASK, cells=cells))
    assert found["positive_pct"].value == 25.0
    assert not {"n_til", "til_density_per_mm2", "til_fraction_pct", "til_area_pct", "phi"} & set(found)


def test_the_interval_of_a_density_is_that_of_its_blocks() -> None:
    slide = result_of([20, 10, 10, 10, 10, 0])
    assert slide.measurements is not None
    found = slide.measurements.compartments["evaluable"].estimates
    density = found["til_density_per_mm2"]
    assert density.n_blocks == 6
    assert density.sums is not None
    factor = spill([density.sums.shares], [6], [6.0])
    assert 1.1 < factor < 1.3
    assert density.phi == pytest.approx(1 + factor * ((100 + 100) / 10 / 5 - 1))
    factor = math.exp(2.5705818 * math.sqrt(density.phi / 60))
    assert density.value == pytest.approx(10)
    assert (density.ci_low, density.ci_high) == pytest.approx((10 / factor, 10 * factor), rel=1e-6)
    assert (found["phi"].value, found["n_blocks"].value) == (density.phi, 6)


def test_threshold_and_its_source_are_told() -> None:
    found = estimates(context_of("CD8", MASK, cells=cells_at([1.0], [1.0], [True]), threshold=0.21))
    assert (found["dab_threshold_od"].value, found["threshold_source"].value) == (0.21, "slide")


def test_vessel_shares_and_medians() -> None:
    x = [200.0, 600, 1000, 1400]
    vessels = vessels_at(
        x, x, area_um2=[100.0, 200, 300, 1000], endothelium_area_um2=[100.0] * 4,
        lumen_area_um2=[0.0, 12.0, 13.0, 400], perimeter_um=[30.0, 40, 50, 60],
        min_feret_um=[8.0, 10, 29.9, 30],
    )  # fmt: skip
    found = estimates(context_of("CD31", MASK, vessels=vessels))
    assert found["n_vessels"].value == 4
    assert found["mvd_per_mm2"].value == 1.0
    assert found["vessel_area_pct"].value == pytest.approx(100 * 1600e-6 / 4)
    assert found["endothelium_area_pct"].value == pytest.approx(100 * 400e-6 / 4)
    assert found["lumen_vessel_pct"].value == 50.0
    assert found["large_vessel_pct"].value == 25.0
    assert found["vessel_area_um2_median"].value == 250.0
    assert found["vessel_perimeter_um_median"].value == 45.0
    assert found["vessel_min_feret_um_median"].value == pytest.approx((10 + 29.9) / 2, rel=1e-6)


def test_a_slide_without_vessels_has_density_zero_and_is_all_avascular() -> None:
    found = estimates(context_of("CD31", MASK, vessels=vessels_at([], [])))
    assert found["mvd_per_mm2"].value == 0.0
    assert found["mvd_per_mm2"].ci_high is not None
    assert found["avascular_pct"].value == 100.0
    for name in ("vessel_area_um2_median", "tissue_to_vessel_um_median", "vessel_nnd_um_median"):
        assert found[name].value is None
        assert found[name].note


def test_spacing_of_a_square_lattice() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(50.0, 2000, 100), np.arange(50.0, 2000, 100)))
    found = estimates(context_of("CD31", MASK, vessels=vessels_at(x, y)))
    assert found["vessel_nnd_um_median"].value == pytest.approx(100)
    assert found["vessel_clark_evans_r"].value == pytest.approx(2.0)


def test_clark_evans_is_one_for_random_points_in_a_narrow_core() -> None:
    """A core of 0.6 mm: without the correction R would be far over 1."""
    mask = np.ones((60, 1000), bool)
    generator = np.random.default_rng(5)
    ratios = []
    for _ in range(40):
        x, y = generator.uniform(0, 10_000, 200), generator.uniform(0, 600, 200)
        near = nearest_neighbours(x, y, mask, tissue_of(mask))
        mean = (near.weight * near.distance_um).sum() / near.weight.sum()
        ratios.append(2 * mean / 1000 * math.sqrt(200 / 6))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


def test_too_few_vessels_have_no_spacing() -> None:
    found = estimates(context_of("CD31", MASK, vessels=vessels_at([100.0, 1900], [100.0, 1900])))
    assert found["vessel_clark_evans_r"].value is None
    assert "are needed" in found["vessel_clark_evans_r"].note


def test_distance_to_a_vessel_across_the_slide() -> None:
    """A vessel along the left edge: distances grow evenly to 2000 µm."""
    band = shapely.to_wkb(shapely.box(0, 0, 20 / SLIDE_MPP, 2000 / SLIDE_MPP))
    vessels = table_of(
        VESSEL_SCHEMA, 1, x_um=[10.0], y_um=[1000.0], area_um2=[4e4], endothelium_area_um2=[4e4],
        lumen_area_um2=[0.0], perimeter_um=[4e3], min_feret_um=[20.0], geometry=[band],
    )  # fmt: skip
    found = estimates(context_of("CD31", MASK, vessels=vessels))
    assert found["tissue_to_vessel_um_median"].value == pytest.approx(980, abs=10)
    assert found["tissue_to_vessel_um_p90"].value == pytest.approx(1780, abs=10)
    assert found["avascular_pct"].value == pytest.approx(94, abs=0.6)


def test_distance_is_right_to_half_a_pixel() -> None:
    mask = np.ones((100, 100), bool)
    outline = pa.chunked_array([pa.array([shapely.to_wkb(shapely.Point(500, 500).buffer(40))], pa.binary())])
    distance = distance_to_vessels(outline, 1.0, tissue_of(mask))
    rows, columns = np.mgrid[:100, :100] * 10 + 5
    exact = np.maximum(np.hypot(columns - 500, rows - 500) - 40, 0)
    assert np.abs(distance - exact).max() <= 8
    assert abs(float((distance - exact).mean())) <= 4


def test_hotspot_fields_are_dense_and_apart() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.uniform(0, 5000, 300), generator.uniform(0, 5000, 300)
    x[:60], y[:60] = generator.normal(2500, 100, 60), generator.normal(2500, 100, 60)
    mask = np.ones((500, 500), bool)
    context = context_of("CD31", mask, vessels=vessels_at(x, y))
    measured = measure_slide(context, SETTINGS)
    fields = hotspot_fields(measured)
    assert len(fields) == 3
    assert math.hypot(fields[0][0] - 2500, fields[0][1] - 2500) < 500
    for i, (x0, y0, radius) in enumerate(fields):
        assert radius == pytest.approx(math.sqrt(0.74e6 / math.pi))
        assert all(math.hypot(x0 - a, y0 - b) >= 2 * radius for a, b, _ in fields[:i])
    rows, columns = np.mgrid[:500, :500] * 10 + 5
    areas = [((columns - a) ** 2 + (rows - b) ** 2 <= r * r).sum() * 1e-4 for a, b, r in fields]
    counts = [((x - a) ** 2 + (y - b) ** 2 <= r * r).sum() for a, b, r in fields]
    hotspot = measured.compartments["evaluable"].estimates["mvd_hotspot_per_mm2"]
    assert hotspot.value == pytest.approx(np.mean(np.divide(counts, areas)))
    named = context.vessels.set_column(12, "compartment", pa.array(["evaluable"] * 300))
    marked = mark_hotspots(named, measured)
    assert sum(marked["in_hotspot"].to_pylist()) == hotspot.n


def test_fewer_than_three_fields_are_no_hotspot() -> None:
    mask = np.ones((100, 150), bool)
    found = estimates(context_of("CD31", mask, vessels=vessels_at([500.0], [500.0])))
    assert found["mvd_hotspot_per_mm2"].value is None
    assert "fields" in found["mvd_hotspot_per_mm2"].note
    assert found["mvd_field_mm2"].value == 0.74


def test_a_field_counts_its_evaluable_part_alone() -> None:
    mask = np.zeros((200, 200), bool)
    mask[:, :100] = True
    area = evaluable_area_mm2(np.array([500.0, 1000.0]), np.array([1000.0] * 2), 300.0, mask, tissue_of(mask))
    whole = math.pi * 0.09
    assert area == pytest.approx([whole, whole / 2], rel=0.02)
    fields = densest_fields(np.array([990.0]), np.array([1000.0]), mask, tissue_of(mask), whole)
    assert all(field.area_mm2 >= whole / 2 for field in fields)


def test_a_marker_of_the_tumour_itself_withholds_vessel_changes() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(50.0, 2000, 100), np.arange(50.0, 2000, 100)))
    stained = vessels_at(x, y, endothelium_area_um2=np.full(400, 2000.0), lumen_area_um2=np.zeros(400))
    compartment = measure_slide(context_of("CD34", MASK, vessels=stained), SETTINGS).compartments["evaluable"]
    assert "without lumens" in compartment.reasons_for("vessels")[0]
    lumens = vessels_at(x, y, endothelium_area_um2=np.full(400, 2000.0))
    compartment = measure_slide(context_of("CD34", MASK, vessels=lumens), SETTINGS).compartments["evaluable"]
    assert compartment.reasons_for("vessels") == ()


def test_a_tumour_of_single_stained_cells_withholds_vessel_changes() -> None:
    tissue = tissue_of(MASK)
    context = context_of("CD34", MASK, vessels=vessels_at([300.0] * 4, [300.0] * 4))

    def reasons(shares: float | np.ndarray | None, **changes: object) -> dict[str, tuple[str, ...]]:
        """By compartment, with these shares of 5 x 5 squares stained."""
        side = tissue.width_um / 5
        area = None if shares is None else np.broadcast_to(shares, (5, 5)) * side**2
        stained = None if area is None else Stained(side, area.astype(np.float32))
        measured = measure_slide(replace(context, stained=stained, **changes), SETTINGS)
        return {name: one.reasons_for("vessels") for name, one in measured.compartments.items()}

    assert reasons(None) == reasons(0.14) == {"evaluable": ()}
    assert "cells that are no vessels" in reasons(0.16)["evaluable"][0]
    none = reasons(0.2, vessels=vessels_at([], []))["evaluable"]
    assert none[0].startswith("20 % of the area is stained, 100 % of that in cells")
    # Where it is stained decides: in a compartment of its own, and in what is left when it is excluded.
    left = np.zeros((5, 5))
    left[:, 0] = 0.6
    halves = {name: np.zeros(MASK.shape, bool) for name in ("tumour", "stroma")}
    edge = MASK.shape[1] // 5
    halves["tumour"][:, :edge], halves["stroma"][:, edge:] = True, True
    by_place = reasons(left, compartments={"evaluable": MASK, **halves})
    assert any("60 % of the area is stained" in one for one in by_place["tumour"])
    assert not [one for name in ("evaluable", "stroma") for one in by_place[name] if "stained" in one]
    assert "stained" in reasons(left + 0.1)["evaluable"][0]
    rest = reasons(left + 0.1, compartments={"evaluable": halves["stroma"]})["evaluable"]
    assert not [one for one in rest if "stained" in one]


def test_a_net_of_stained_tumour_cells_is_no_vessel_with_a_lumen() -> None:
    net = vessels_at(
        [1000.0],
        [1000.0],
        area_um2=np.array([1.1e6]),
        endothelium_area_um2=np.array([9e5]),
        lumen_area_um2=np.array([2e5]),
    )
    compartment = measure_slide(context_of("CD34", MASK, vessels=net), SETTINGS).compartments["evaluable"]
    assert "larger than any vessel" in compartment.reasons_for("vessels")[0]
