"""Slides of one sample as one: what is pooled equals what one slide of all of them would give."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.made_measures import SETTINGS, cells_at, context_of, key_row, result_of, vessels_at
from tme.change import SlideResult
from tme.change.pool import Side, pool
from tme.metrics import METRICS, Estimate, measure_slide
from tme.metrics.bootstrap import median_estimate, mixture_quantile, weighted_quantile
from tme.metrics.family import metric_columns
from tme.metrics.types import Spread

Numbers = NDArray[np.float64]
RATIO, HOTSPOT, SPACING = "til_perivascular_ratio", "mvd_hotspot_per_mm2", "vessel_clark_evans_r"


def pooled(metric: str, *slides: SlideResult) -> Side:
    (column,) = [column for column in metric_columns() if column.name == metric]
    return pool(slides, "evaluable", column)


def own(metric: str, slide: SlideResult) -> Estimate:
    assert slide.measurements is not None
    return slide.measurements.compartments["evaluable"].estimates[metric]


def section(
    tils: tuple[Numbers, Numbers], others: tuple[Numbers, Numbers], width_um: float, **keys: Any
) -> SlideResult:
    """A CD8 section 1 mm high with TILs and other nuclei at points in µm."""
    x, y = (np.concatenate(axes) for axes in zip(tils, others, strict=True))
    cells = cells_at(x, y, [True] * len(tils[0]) + [False] * len(others[0]))
    context = context_of("CD8", np.ones((100, round(width_um / 10)), bool), cells=cells)
    return SlideResult(key_row(**keys), measure_slide(context, SETTINGS))


def beside_vessels(
    tils: tuple[Numbers, Numbers], vessels: tuple[Numbers, Numbers], **keys: Any
) -> SlideResult:
    """An H&E section of 4 mm² whose TILs and vessels lie at points in µm."""
    cells = cells_at(*tils, [True] * len(tils[0]))
    context = context_of("HE", np.ones((200, 200), bool), cells=cells, vessels=vessels_at(*vessels))
    return SlideResult(key_row(stain="HE", **keys), measure_slide(context, SETTINGS))


def spread_of(values: Numbers, level: float) -> Spread:
    """The distribution of some objects as a slide's file holds it."""
    spread = median_estimate("m", values, np.zeros(len(values), np.int32), 1, SETTINGS).spread
    assert spread is not None
    return Spread(level, spread.points, spread.weight)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize(("here", "there"), [(9, 9), (10, 10), (9, 15), (15, 31), (31, 31)])
def test_a_pooled_quantile_is_that_of_all_objects_together(level: float, here: int, there: int) -> None:
    generator = np.random.default_rng(here * there)
    errors, truth = [], []
    for _ in range(300):
        one, other = generator.lognormal(5, 0.8, here), generator.lognormal(5, 0.8, there)
        together = np.sort(np.concatenate([one, other]))
        (expected,) = weighted_quantile(together, np.ones((1, len(together))), level)
        found = mixture_quantile([spread_of(one, level), spread_of(other, level)])
        errors.append(np.log2(found / expected))
        truth.append(np.log2(expected))
    # A level is stored to one step in a hundred: what that loses is little beside the scatter of samples.
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 0.2 * np.std(truth)


def test_a_slide_weighs_by_its_objects() -> None:
    few, many = spread_of(np.full(10, 1.0), 0.5), spread_of(np.full(11, 9.0), 0.5)
    assert mixture_quantile([few, many]) == pytest.approx(9.0)
    assert mixture_quantile([few, few, many]) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", ["til_density_p90_per_mm2", "til_gini", "til_tumour_morisita"])
def test_unevenness_of_two_slides_is_that_of_all_their_squares(metric: str) -> None:
    generator = np.random.default_rng(2)

    def strewn(number: int, width_um: float) -> tuple[Numbers, Numbers]:
        return generator.uniform(0, width_um, number), generator.uniform(0, 1000, number)

    (a, b), (c, d) = [
        [strewn(number, width) for number in (tils, 900)] for tils, width in ((400, 1e4), (4000, 2e4))
    ]
    slides = section(a, b, 1e4, block_id="A"), section(c, d, 2e4, block_id="B", slide_id="s2")
    both = [
        (np.concatenate([one[0], other[0] + 1e4]), np.concatenate([one[1], other[1]]))
        for one, other in ((a, c), (b, d))
    ]
    whole = section(both[0], both[1], 3e4)
    side = pooled(metric, *slides)
    assert side.value == pytest.approx(own(metric, whole).value, rel=1e-6)
    assert side.n == 4400
    if metric == "til_gini":
        # Not between the two slides: their densities differ, and that is unevenness too.
        assert side.value > max(own(metric, slide).value for slide in slides)
    assert side.low is not None
    assert side.low < side.value < side.high


def test_the_hotspot_of_two_slides_is_the_densest_of_both() -> None:
    # Fields of 0.74 mm² lie apart by a mm, so each slide gives three; the rich one has the densest.
    rich = result_of([200] * 6, 6.0, stain="CD31", block_id="A")
    poor = result_of([10] * 12, 12.0, stain="CD31", block_id="B", slide_id="s2", seed=3)
    alone = own(HOTSPOT, rich)
    side = pooled(HOTSPOT, rich, poor)
    assert side.value == pytest.approx(alone.value)
    assert (side.n, side.se) == (alone.n, pytest.approx(alone.se))
    assert side.value > 3 * own(HOTSPOT, poor).value
    # Two alike: the three densest of six are denser than either's three.
    twin = result_of([200] * 6, 6.0, stain="CD31", block_id="B", slide_id="s2", seed=5)
    fields = sorted(
        count / area
        for slide in (rich, twin)
        for count, area in zip(
            *(own(HOTSPOT, slide).parts[key] for key in ("count", "area_mm2")), strict=True
        )
    )
    assert pooled(HOTSPOT, rich, twin).value == pytest.approx(np.mean(fields[-3:]))


def test_serial_sections_show_one_hotspot_again() -> None:
    slide = result_of([90, 30, 75, 60, 45, 60], 12.0, stain="CD31", block_id="A")
    next_one = result_of([60, 30, 75, 90, 45, 60], 12.0, stain="CD31", block_id="A", slide_id="s2", seed=7)
    again = replace(slide, keys={**slide.keys, "slide_id": "s3"})
    single, sections = pooled(HOTSPOT, slide), pooled(HOTSPOT, slide, again)
    assert (sections.value, sections.se) == pytest.approx((single.value, single.se))
    assert sections.n == single.n
    found = pooled(HOTSPOT, slide, next_one).value
    assert (
        min(single.value, own(HOTSPOT, next_one).value)
        < found
        < max(single.value, own(HOTSPOT, next_one).value)
    )


def test_the_ratio_near_vessels_is_that_of_the_sums() -> None:
    generator = np.random.default_rng(4)
    one = beside_vessels(
        tuple(generator.uniform(0, 2000, (2, 60))), tuple(generator.uniform(0, 2000, (2, 20))), block_id="A"
    )
    other = beside_vessels(
        tuple(generator.uniform(0, 2000, (2, 400))),
        tuple(generator.uniform(0, 2000, (2, 300))),
        block_id="B",
        slide_id="s2",
    )
    near, far, near_mm2, far_mm2 = (
        sum(math.fsum(own(RATIO, slide).parts[key]) for slide in (one, other))
        for key in ("near", "far", "near_mm2", "far_mm2")
    )
    assert (near + far, near_mm2 + far_mm2) == pytest.approx((460, 8.0))
    side = pooled(RATIO, one, other)
    assert side.value == pytest.approx(near / near_mm2 / (far / far_mm2))
    assert side.low < side.value < side.high


def test_spacing_is_weighted_by_vessels() -> None:
    few = result_of([20] * 6, 6.0, stain="CD31", block_id="A")
    many = result_of([300, 20, 300, 20, 300, 20], 12.0, stain="CD31", block_id="B", slide_id="s2")
    side = pooled(SPACING, few, many)
    values = [own(SPACING, slide) for slide in (few, many)]
    weights = [estimate.n / 1080 for estimate in values]
    assert [estimate.n for estimate in values] == [120, 960]
    assert side.value == pytest.approx(sum(w * one.value for w, one in zip(weights, values, strict=True)))
    assert side.se == pytest.approx(math.hypot(*(w * one.se for w, one in zip(weights, values, strict=True))))


@pytest.mark.parametrize(
    ("metric", "stain"),
    [
        ("til_gini", "CD8"),
        ("til_tumour_morisita", "CD8"),
        (SPACING, "CD31"),
        ("vessel_nnd_um_median", "CD31"),
    ],
)
def test_serial_sections_do_not_make_an_index_surer(metric: str, stain: str) -> None:
    slide = result_of([90, 30, 75, 60, 45, 60], 12.0, stain=stain, block_id="A")
    again = replace(slide, keys={**slide.keys, "slide_id": "s2"})
    single, sections = pooled(metric, slide), pooled(metric, slide, again)
    assert sections.value == pytest.approx(single.value)
    assert sections.se == pytest.approx(single.se, rel=0.15)
    blocks = pooled(metric, slide, replace(again, keys={**again.keys, "block_id": "B"}))
    assert blocks.value == pytest.approx(single.value)
    assert blocks.se < 0.85 * sections.se


def test_an_index_that_nobody_can_pool_is_empty_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    family = METRICS.get("mvd_hotspot")
    monkeypatch.setitem(METRICS._items, "mvd_hotspot", replace(family, pool=None))
    slides = [result_of([60] * 6, stain="CD31", block_id=name, slide_id=name) for name in "AB"]
    assert pooled(HOTSPOT, slides[0]).value is not None
    side = pooled(HOTSPOT, *slides)
    assert (side.value, side.low, side.high, side.se) == (None, None, None, None)
    assert f"{HOTSPOT} is not defined for several slides together" in side.notes
