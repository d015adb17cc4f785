"""TILs and vessels together, against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.made_measures import SETTINGS, cells_at, context_of, vessels_at
from tme.config import MetricSettings
from tme.metrics import Estimate, SlideContext, measure_slide, slide_rows
from tme.metrics.families.til_vessel import METRIC_NAMES, MIN_TILS, Sides, perivascular_ratio
from tme.metrics.scope import NearVessels

MASK = np.ones((200, 200), bool)
MASK.setflags(write=False)
NO_CELLS, NO_VESSELS = cells_at([], [], []), vessels_at([], [])


def estimates(context: SlideContext, settings: MetricSettings = SETTINGS) -> dict[str, Estimate]:
    return dict(measure_slide(context, settings).compartments["evaluable"].estimates)


def strewn(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.uniform(0, 2000, number), generator.uniform(0, 2000, number)


def lattice(step: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(step / 2, 2000, step)
    x, y = np.meshgrid(places, places)
    return x.ravel(), y.ravel()


def test_distance_share_and_ratio_of_tils_put_where_they_are_known() -> None:
    vessels = vessels_at([1005.0], [1005.0], 5.0)
    # Ten TILs 15 µm from the outline, ten 95 µm, ten 395 µm.
    x = [1025.0] * 10 + [1105.0] * 10 + [1405.0] * 10
    context = context_of("HE", MASK, cells=cells_at(x, [1005.0] * 30, [True] * 30), vessels=vessels)
    found = estimates(context)
    assert found["til_to_vessel_um_median"].value == pytest.approx(95, abs=5)
    assert found["til_within_30um_pct"].value == pytest.approx(100 / 3)
    assert context.to_vessel_um is not None
    near_px = int((context.to_vessel_um <= 30).sum())
    # A disc of 35 µm, right to half a pixel on its edge.
    assert near_px * 100 == pytest.approx(math.pi * 35**2, rel=0.3)
    expected = (10 / near_px) / (20 / (MASK.size - near_px))
    assert found["til_perivascular_ratio"].value == pytest.approx(expected, rel=1e-6)
    assert found["til_vessel_slide_id"].value == "s"
    assert found["til_vessel_error_um"].value == 0
    assert found["til_vessel_area_mm2"].value == pytest.approx(4.0)
    assert "til_vessel_reason" not in found


def test_a_cluster_weighs_as_its_cells_and_other_cells_nothing() -> None:
    vessels = vessels_at([1005.0], [1005.0])
    cells = cells_at(
        [1005.0, 305.0, 1005.0], [1005.0, 305.0, 1005.0], [True, True, False],
        in_cluster=[True, True, False], cluster_count=[10, 30, None],
    )  # fmt: skip
    found = estimates(context_of("CD8", MASK, cells=cells, vessels=vessels))
    assert found["til_within_30um_pct"].value == pytest.approx(25.0)
    assert found["til_within_30um_pct"].n == 40
    assert found["til_to_vessel_um_median"].value == pytest.approx(980, abs=10)


@pytest.mark.parametrize("near_share", [0.0, 0.6])
def test_the_ratio_is_one_by_chance_and_more_where_tils_gather(near_share: float) -> None:
    x, y = strewn(600)
    vx, vy = lattice()
    gathered = int(near_share * 600)
    x[:gathered], y[:gathered] = vx[np.arange(gathered) % len(vx)], vy[np.arange(gathered) % len(vy)]
    cells = cells_at(x, y, [True] * 600)
    ratio = estimates(context_of("HE", MASK, cells=cells, vessels=vessels_at(vx, vy)))[
        "til_perivascular_ratio"
    ]
    assert ratio.ci_low is not None
    assert ratio.ci_high is not None
    if near_share:
        assert ratio.ci_low > 5
    else:
        assert ratio.ci_low < 1 < ratio.ci_high
        assert ratio.value == pytest.approx(1, abs=0.35)


def test_the_ratio_does_not_follow_the_number_of_vessels() -> None:
    """Three times the density near vessels, on sections with 25 and with 100 vessels."""
    found = []
    for step in (400.0, 200.0):
        x, y = strewn(40_000, seed=3)
        context = context_of("HE", MASK, cells=NO_CELLS, vessels=vessels_at(*lattice(step)))
        assert context.to_vessel_um is not None
        near = context.tissue.values_at(x, y, context.to_vessel_um) <= 30
        keep = near | (np.arange(40_000) % 3 == 0)
        cells = cells_at(x[keep], y[keep], [True] * int(keep.sum()))
        found.append(estimates(replace(context, cells=cells)))
    ratios = [one["til_perivascular_ratio"].value for one in found]
    shares = [one["til_within_30um_pct"].value for one in found]
    assert ratios == pytest.approx([3, 3], rel=0.1)
    assert shares[1] > 2 * shares[0]


def test_coverage_of_the_interval_for_clustered_tils_that_ignore_vessels() -> None:
    """With the clusters' scatter left out it would miss 1 in two sections of five."""
    generator = np.random.default_rng(11)
    blocks, missed = 8, 0
    for _ in range(400):
        near_px = generator.uniform(500, 1500, blocks)
        far_px = 10_000 - near_px
        # Whole clusters of about eight cells fall near or far by the area's share.
        clusters = generator.poisson(10, blocks)
        near = np.array([8 * generator.binomial(c, n / 1e4) for c, n in zip(clusters, near_px, strict=True)])
        sides = Sides(near.astype(float), 8.0 * clusters - near, near_px, far_px)
        ratio = perivascular_ratio(sides, SETTINGS)
        missed += ratio.ci_low is not None and not ratio.ci_low <= 1 <= ratio.ci_high
    assert missed / 400 < 0.08


def test_nothing_is_measured_without_vessels_on_the_section_and_the_reason_is_told() -> None:
    x, y = strewn(100)
    context = context_of(
        "CD8", MASK, cells=cells_at(x, y, [True] * 100), missing={"vessels": "CD8 is not read for vessels"}
    )
    found = estimates(context)
    for name in METRIC_NAMES:
        assert found[name].value is None
        assert found[name].note == "CD8 is not read for vessels"
    (row,) = slide_rows(measure_slide(context, SETTINGS))
    assert row["til_vessel_reason"] == "CD8 is not read for vessels"


def test_a_section_without_a_vessel_has_no_tils_near_one() -> None:
    x, y = strewn(100)
    found = estimates(context_of("HE", MASK, cells=cells_at(x, y, [True] * 100), vessels=NO_VESSELS))
    assert found["til_within_30um_pct"].value == 0
    for name in ("til_to_vessel_um_median", "til_perivascular_ratio"):
        assert found[name].value is None
        assert "no vessel" in found[name].note


def test_too_few_tils_give_no_number() -> None:
    x, y = strewn(MIN_TILS - 1)
    cells = cells_at(x, y, [True] * len(x))
    found = estimates(context_of("HE", MASK, cells=cells, vessels=vessels_at(*lattice())))
    assert all(found[name].value is None for name in METRIC_NAMES)
    assert "19 TILs" in str(found["til_vessel_reason"].value)


def sides(near: list[float], far: list[float], near_px: list[float], far_px: list[float]) -> Sides:
    return Sides(*(np.array(values, float) for values in (near, far, near_px, far_px)))


@pytest.mark.parametrize(
    ("given", "value", "note"),
    [
        (sides([5] * 4, [0] * 4, [10] * 4, [90] * 4), None, "no TIL farther than"),
        (sides([0] * 4, [5] * 4, [10] * 4, [90] * 4), 0.0, "no interval"),
        (sides([5] * 4, [0] * 4, [10] * 4, [0] * 4), None, "no tissue farther than"),
        (sides([0] * 4, [5] * 4, [0] * 4, [90] * 4), None, "no tissue within"),
        (sides([5] * 3, [9] * 3, [10] * 3, [90] * 3), 5.0, "fewer than 4 blocks"),
    ],
)
def test_where_the_ratio_or_its_interval_does_not_exist(given: Sides, value: float | None, note: str) -> None:
    ratio = perivascular_ratio(given, SETTINGS)
    assert ratio.value == (None if value is None else pytest.approx(value))
    assert (ratio.ci_low, ratio.ci_high) == (None, None)
    assert note in ratio.note


def test_blocks_that_agree_do_not_make_the_interval_narrower_than_counting() -> None:
    ratio = perivascular_ratio(sides([5] * 6, [9] * 6, [10] * 6, [90] * 6), SETTINGS)
    assert ratio.ci_low is not None
    assert ratio.ci_high is not None
    reach = 2.5705818 * math.sqrt(1 / 30 + 1 / 54)
    assert (ratio.ci_low, ratio.ci_high) == pytest.approx((5 / math.exp(reach), 5 * math.exp(reach)))


def registered(error_um: float, known: np.ndarray) -> NearVessels:
    context = context_of("CD31", MASK, vessels=vessels_at(*lattice()))
    return NearVessels("other", error_um, context.to_vessel_um, known)


def test_a_registered_section_counts_only_where_its_vessels_would_be_seen() -> None:
    x, y = strewn(800)
    known = MASK.copy()
    known[:, 100:] = False
    context = context_of("CD8", MASK, cells=cells_at(x, y, [True] * 800), registered=registered(12.0, known))
    found = estimates(context)
    assert found["til_vessel_slide_id"].value == "other"
    assert found["til_vessel_error_um"].value == 12
    assert found["til_vessel_area_mm2"].value == pytest.approx(2.0)
    assert found["til_within_30um_pct"].n == (x < 1000).sum()
    assert found["til_perivascular_ratio"].note == "vessels of other, registered to within 12 µm"
    assert found["n_til"].value == 800


def test_sections_that_lie_apart_draw_the_ratio_towards_one() -> None:
    """Five times the density near vessels, seen over vessels that lie 0, 15 and 30 µm off."""
    away = np.ones((1000, 1000), bool)
    away[tuple(np.random.default_rng(0).integers(0, 1000, (2, 1280)))] = False
    near = np.maximum(ndimage.distance_transform_edt(away) * 4 - 8, 0) <= 30
    found = []
    for apart_um in (0, 15, 30):
        density = np.roll(np.where(near, 5.0, 1.0), round(apart_um / 4), axis=1)
        counts = [np.array([density[side].sum(), 0.0]) for side in (near, ~near)]
        pixels = [np.array([float(side.sum()), 0.0]) for side in (near, ~near)]
        found.append(perivascular_ratio(Sides(*counts, *pixels), SETTINGS).value)
    assert found == pytest.approx([5, 3, 2.1], abs=0.3)


def test_two_sections_that_share_too_little_tissue_give_no_number() -> None:
    x, y = strewn(800)
    known = np.zeros_like(MASK)
    known[:, :40] = True
    context = context_of("CD8", MASK, cells=cells_at(x, y, [True] * 800), registered=registered(12.0, known))
    found = estimates(context)
    assert all(found[name].value is None for name in METRIC_NAMES)
    assert "share 0.8 mm²" in str(found["til_vessel_reason"].value)
