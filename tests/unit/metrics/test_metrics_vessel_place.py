"""Vessels with a wide lumen and vessels on a border: where they count, and their area."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.made_measures import SETTINGS, context_of, vessels_at
from tme.metrics import Estimate, SlideContext, measure_slide
from tme.metrics.scope import make_scope

MPP = 4.0
SIDE_UM = 1600.0
CENTRES = (np.mgrid[:400, :400] + 0.5) * MPP


def estimates(context: SlideContext, name: str = "evaluable") -> dict[str, Estimate]:
    return dict(measure_slide(context, SETTINGS).compartments[name].estimates)


def lumens(x: list[float], radius_um: float) -> np.ndarray:
    """Tissue with round holes along its middle."""
    rows, columns = CENTRES
    holes = [np.hypot(columns - one, rows - SIDE_UM / 2) <= radius_um for one in x]
    return np.asarray(~np.any(holes, axis=0))


def value(found: dict[str, Estimate], name: str) -> float:
    got = found[name].value
    assert isinstance(got, int | float)
    return float(got)


def test_a_vessel_with_a_wide_lumen_is_counted_like_any_other() -> None:
    x, radius = [300.0, 800.0, 1300.0], 100.0
    mask = lumens(x, radius - 8)
    found = estimates(context_of("CD31", mask, mpp=MPP, vessels=vessels_at(x, [800.0] * 3, radius)))
    area_mm2 = mask.sum() * MPP**2 / 1e6
    assert found["n_vessels"].value == 3
    assert value(found, "mvd_per_mm2") == pytest.approx(3 / area_mm2)
    assert value(found, "vessel_area_pct") == pytest.approx(100 * 3 * math.pi * 0.1**2 / area_mm2)
    assert value(found, "endothelium_area_pct") == pytest.approx(50 * 3 * math.pi * 0.1**2 / area_mm2)
    assert found["lumen_vessel_pct"].value == found["large_vessel_pct"].value == 100
    assert found["vessel_min_feret_um_median"].value == 200


def test_lumens_wider_than_the_tissue_left_give_no_share_over_100() -> None:
    rows, columns = CENTRES
    mask = np.hypot(columns - 800, rows - 800) < 500
    mask &= np.hypot(columns - 800, rows - 800) > 400
    found = estimates(context_of("CD31", mask, mpp=MPP, vessels=vessels_at([800.0], [800.0], 480.0)))
    assert found["vessel_area_pct"].value == 100
    assert found["n_vessels"].value == 1


@pytest.mark.parametrize(("x", "count"), [(799.0, 1), (801.0, 0)])
def test_a_vessel_on_the_border_of_what_is_excluded_counts_once_and_its_area_in_part(
    x: float, count: int
) -> None:
    mask, excluded = np.ones((400, 400), bool), np.zeros((400, 400), bool)
    excluded[:, 200:] = True
    context = context_of("CD31", mask, mpp=MPP, vessels=vessels_at([x], [800.0], 100.0), excluded=excluded)
    found = estimates(context)
    assert found["n_vessels"].value == count
    share = 100 * math.pi * 0.1**2 / 2 / (mask.sum() * MPP**2 / 2e6)
    assert value(found, "vessel_area_pct") == pytest.approx(share, rel=0.03)
    assert value(found, "endothelium_area_pct") == pytest.approx(share / 2, rel=0.03)


def test_areas_of_compartments_add_up_to_that_of_the_whole() -> None:
    generator = np.random.default_rng(4)
    x, y = generator.uniform(0, SIDE_UM, (2, 300))
    mask, left = np.ones((400, 400), bool), np.zeros((400, 400), bool)
    left[:, :170] = True
    # Vessels smaller than a pixel of the grid, and wide ones.
    for radius in (1.0, 3.0, 60.0):
        parts = {"evaluable": mask, "tumour": left, "stroma": ~left}
        context = context_of("CD31", mask, mpp=MPP, vessels=vessels_at(x, y, radius), compartments=parts)
        measured = measure_slide(context, SETTINGS).compartments
        numbers = {name: found.estimates["n_vessels"].value for name, found in measured.items()}
        assert numbers["evaluable"] == numbers["tumour"] + numbers["stroma"] == 300
        areas = {}
        for name in parts:
            filled = make_scope(context, name, SETTINGS).vessel_area_mm2("area_um2")
            assert filled is not None
            areas[name] = filled.sum()
        assert areas["tumour"] + areas["stroma"] == pytest.approx(areas["evaluable"])
        assert areas["evaluable"] == pytest.approx(300 * math.pi * radius**2 / 1e6)


def test_of_a_vessel_on_the_glass_only_what_lies_on_tissue_is_area() -> None:
    mask = np.pad(np.ones((400, 200), bool), ((0, 0), (0, 200)))
    found = estimates(context_of("CD31", mask, mpp=MPP, vessels=vessels_at([820.0], [800.0], 60.0)))
    assert found["n_vessels"].value == 0
    segment = 60**2 * math.acos(20 / 60) - 20 * math.sqrt(60**2 - 20**2)
    assert value(found, "vessel_area_pct") == pytest.approx(100 * segment / (1600 * 800), rel=0.03)
