"""What holds for any counts, any mask and any pair."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.made_measures import result_of, tissue_of
from tme.change import SlideResult, compute_changes
from tme.change.compare import fold_change
from tme.change.pool import Side
from tme.config import ChangeSettings, MetricSettings
from tme.metrics.blocks import make_blocks
from tme.metrics.bootstrap import bounded_estimate, median_estimate, mixture_quantile, weighted_quantile
from tme.metrics.intervals import count_density, density_interval, own_overdispersion
from tme.metrics.types import BlockSums

QUICK = MetricSettings(bootstrap=100)
counts = st.lists(st.integers(0, 300), min_size=1, max_size=12)
areas = st.floats(0.05, 50)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Blobs of tissue with holes, up to 8 mm² on a grid of 20 µm."""
    seed = draw(st.integers(0, 2**32 - 1))
    smooth = draw(st.sampled_from([2.0, 6.0, 15.0]))
    height, width = draw(st.integers(20, 140)), draw(st.integers(20, 140))
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), smooth)
    return np.asarray(field > np.quantile(field, draw(st.floats(0.0, 0.7))))


@given(masks(), st.sampled_from([0.25, 1.0]))
def test_blocks_cover_each_pixel_once_with_near_equal_areas(mask: np.ndarray, block_mm2: float) -> None:
    tissue = tissue_of(mask, 20.0)
    blocks = make_blocks(mask, tissue, block_mm2, 150.0)
    assert ((blocks.labels >= 0) == mask).all()
    assert blocks.areas_mm2.sum() == pytest.approx(tissue.area_mm2(mask))
    assert sorted(set(blocks.labels[mask].tolist())) == list(range(blocks.count))
    pieces, number = ndimage.label(mask, np.ones((3, 3), bool))
    for piece in range(1, number + 1):
        own = np.unique(blocks.labels[pieces == piece])
        if len(own) > 1:
            # Parts of one piece: none is more than a few times another, slivers of other pieces apart.
            assert blocks.areas_mm2[own].max() / blocks.areas_mm2[own].min() < 5


@given(counts, areas, st.floats(0.1, 10))
def test_density_is_the_same_for_a_larger_slide_of_the_same_tissue(
    found: list[int], area: float, scale: float
) -> None:
    values, sizes = np.array(found, float), np.full(len(found), area)
    one, other = count_density(values, sizes, 6.0), count_density(values, sizes * scale, 6.0)
    assert other.value * scale == pytest.approx(one.value)
    assert other.phi == pytest.approx(one.phi)
    assert other.low * scale == pytest.approx(one.low)
    assert other.high * scale == pytest.approx(one.high)


@given(counts, areas)
def test_intervals_hold_the_estimate(found: list[int], area: float) -> None:
    density = count_density(np.array(found, float), np.full(len(found), area), 6.0)
    assert density.phi >= 1
    assert 0 <= density.low <= density.value <= density.high
    assert math.isfinite(density.high)


@given(st.integers(0, 1000), areas, st.floats(1, 20), st.integers(1, 30))
def test_more_scatter_never_makes_an_interval_narrower(n: int, area: float, phi: float, blocks: int) -> None:
    low, high = density_interval(n, area, phi, blocks)
    wider_low, wider_high = density_interval(n, area, phi * 1.5, blocks)
    assert wider_low <= low + 1e-12
    assert wider_high >= high - 1e-12


@given(st.permutations(range(8)))
def test_overdispersion_does_not_depend_on_the_order_of_blocks(order: list[int]) -> None:
    found, sizes = np.arange(8.0) ** 2, np.linspace(0.5, 1.5, 8)
    assert own_overdispersion(found[order], sizes[order]) == pytest.approx(own_overdispersion(found, sizes))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=10))
def test_shares_stay_within_bounds_and_their_intervals(found: list[tuple[int, int]]) -> None:
    part = np.array([a for a, _ in found], float)
    whole = part + np.array([b for _, b in found], float)
    estimate = bounded_estimate("x_pct", part, whole, 1, QUICK)
    if whole.sum() == 0:
        assert estimate.value is None
        return
    assert estimate.value == pytest.approx(100 * part.sum() / whole.sum())
    if estimate.ci_low is not None:
        assert 0 <= estimate.ci_low <= estimate.value <= estimate.ci_high <= 100


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=60))
def test_the_weighted_median_is_the_median(values: list[float]) -> None:
    ordered = np.sort(values)
    found = weighted_quantile(ordered, np.ones((1, len(values))), 0.5)[0]
    assert found == pytest.approx(np.median(values))
    estimate = median_estimate("m", np.array(values), np.arange(len(values)) % 5, 5, QUICK)
    assert estimate.value == pytest.approx(np.median(values))
    if estimate.ci_low is not None:
        assert estimate.ci_low <= estimate.value <= estimate.ci_high


@given(
    st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 10)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(0, 100),
)
def test_copies_of_a_slide_have_its_own_quantiles(
    found: list[tuple[float, float]], copies: int, percent: int
) -> None:
    values, weights = np.array(found).T
    spread = median_estimate("m", values, np.arange(len(values)) % 5, 5, QUICK, weights).spread
    assert spread is not None
    spread = replace(spread, level=percent / 100)
    assert mixture_quantile([spread] * copies) == pytest.approx(spread.points[percent], rel=1e-9)


@given(
    st.lists(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_pooled_median_lies_among_the_slides_and_forgets_their_order(
    found: list[list[float]], random: Random
) -> None:
    estimates = [
        median_estimate("m", np.array(values), np.zeros(len(values), np.int32), 1, QUICK) for values in found
    ]
    spreads = [estimate.spread for estimate in estimates if estimate.spread is not None]
    pooled = mixture_quantile(spreads)
    own = [estimate.value for estimate in estimates]
    assert min(own) * (1 - 1e-8) <= pooled <= max(own) * (1 + 1e-8)
    random.shuffle(spreads)
    assert mixture_quantile(spreads) == pytest.approx(pooled, rel=1e-9)


sides = st.builds(
    lambda n, area, phi, blocks: Side(n / area, n=n, area_mm2=area, phi=phi, blocks=float(blocks)),
    st.integers(0, 2000), areas, st.floats(1, 20), st.integers(1, 30),
)  # fmt: skip


@given(sides)
def test_nothing_changes_between_a_slide_and_itself(side: Side) -> None:
    change = fold_change(side, side, "count density")
    assert change.log2fc == 0.0
    assert change.se is not None
    assert change.se > 0


@given(sides, sides)
def test_a_change_turned_round_has_the_other_sign(pre: Side, post: Side) -> None:
    there, back = fold_change(pre, post, "count density"), fold_change(post, pre, "count density")
    assert there.log2fc == pytest.approx(-back.log2fc, abs=1e-9)
    assert there.se == pytest.approx(back.se)


def _moved(slide: SlideResult, timepoint: str, **keys: str) -> SlideResult:
    return replace(slide, keys={**slide.keys, "timepoint": timepoint, "slide_id": timepoint, **keys})


@settings(max_examples=10)
@given(st.lists(st.integers(0, 80), min_size=6, max_size=6), st.sampled_from(["CD8", "HE", "CD31"]))
def test_a_pair_of_the_same_slide_is_no_change_in_any_metric(found: list[int], stain: str) -> None:
    slide = result_of(found, stain=stain)
    pair = [slide, _moved(slide, "on_treatment")]
    for row in compute_changes(pair, ("baseline", "on_treatment"), ChangeSettings()):
        if row.value_pre is None:
            continue
        assert row.delta_abs == 0.0
        assert row.log2fc in (None, 0.0)
        assert row.change_call in ("", "within_noise", "not_evaluable")
        if row.delta_ci_low is not None:
            assert row.delta_ci_low <= 0 <= row.delta_ci_high


@settings(max_examples=10)
@given(
    st.lists(st.lists(st.integers(0, 80), min_size=4, max_size=4), min_size=2, max_size=4),
    st.lists(st.sampled_from([4.0, 6.0, 8.0]), min_size=4, max_size=4),
)
def test_pooled_slides_are_sums_of_counts_over_sums_of_areas(
    found: list[list[int]], sizes: list[float]
) -> None:
    slides = [
        _moved(result_of(values, size), "baseline", block_id=str(index))
        for index, (values, size) in enumerate(zip(found, sizes, strict=False))
    ]
    rows = compute_changes(slides, ("baseline", "on_treatment"), ChangeSettings())
    (row,) = [row for row in rows if row.metric == "til_density_per_mm2"]
    n, area = sum(map(sum, found)), sum(sizes[: len(found)])
    assert (row.n_pre, row.area_pre_mm2) == (n, pytest.approx(area))
    assert row.value_pre == pytest.approx(n / area)


def test_sums_are_what_a_ratio_is_made_of() -> None:
    assert BlockSums((1.0,), (2.0,)) == BlockSums((1.0,), (2.0,), 1.0)
