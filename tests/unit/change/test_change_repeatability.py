"""Repeats and coefficients: what a repeat is, planted between-repeat SD, intervals, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.made_measures import result_of
from tme.change import SlideResult
from tme.change.compare import call
from tme.change.repeatability import (
    COEFFICIENT,
    MIN_DEGREES,
    agreement,
    between_variance,
    coefficient,
    coefficients,
)
from tme.change.repeats import BLOCK, RESCAN, SECTION, Repeat, Repeats, repeats
from tme.change.types import WITHIN_NOISE
from tme.metrics import metric_columns

DENSITY = next(column for column in metric_columns() if column.name == "til_density_per_mm2")
LN2_SQUARED = math.log(2) ** 2


def made(generator: np.random.Generator, lesions: int, s_b: float, sizes: tuple[float, ...]) -> list:
    """Lesions measured twice with counting error of variances from ``sizes``, in turn."""
    out = []
    for lesion in range(lesions):
        variances = [sizes[(lesion + part) % len(sizes)] for part in range(2)]
        value = generator.normal(6, 1) + s_b * generator.normal(size=2)
        out.append(
            tuple(
                Repeat(float(one + math.sqrt(v) * generator.normal()), v)
                for one, v in zip(value, variances, strict=True)
            )
        )
    return out


def slide(counts: list[int], lesion: int, **keys: object) -> SlideResult:
    name = "-".join(str(value) for value in (lesion, *keys.values()))
    return result_of(counts, patient_id=f"P{lesion}", slide_id=name, **keys)


def test_blocks_sections_and_scans_are_told_apart() -> None:
    counts = [20] * 6
    slides = [
        slide(counts, 1, block_id="A", section_id="1", scan="1"),
        slide(counts, 1, block_id="A", section_id="1", scan="2"),
        slide(counts, 1, block_id="A", section_id="2", scan="1"),
        slide(counts, 1, block_id="B", section_id="1", scan="1"),
        slide(counts, 2, block_id="A"),
    ]
    shape = {
        kind: [len(one) for one in repeats(slides, DENSITY, kind).lesions] for kind in ("block", "section")
    }
    assert shape == {BLOCK: [2], SECTION: [2]}
    assert [len(one) for one in repeats(slides, DENSITY, RESCAN).lesions] == [2]


def test_slides_without_a_block_are_sections_of_one() -> None:
    slides = [slide([20] * 6, 1, scan="1"), slide([20] * 6, 1, scan="2")]
    assert not repeats(slides, DENSITY, BLOCK).lesions
    assert len(repeats(slides, DENSITY, SECTION).lesions) == 1


def test_other_lesions_and_time_points_are_not_repeats() -> None:
    slides = [
        slide([20] * 6, 1, block_id="A", lesion_id="x"),
        slide([20] * 6, 1, block_id="B", lesion_id="y"),
        slide([20] * 6, 1, block_id="C", lesion_id="x", timepoint="on_treatment"),
    ]
    assert coefficients(slides) == []


def test_only_error_that_is_not_shared_is_taken_off() -> None:
    pair = [slide([40, 10, 20, 20, 20, 10], 1, block_id=name) for name in "AB"]
    (blocks,) = repeats(pair, DENSITY, BLOCK).lesions
    assert blocks[0].value == pytest.approx(math.log2(120.5 / 6))
    # X = (400 + 100 + 100)/20/5 = 6
    assert blocks[0].variance == pytest.approx((1 + 1.2111 * 5) / 120.5 / LN2_SQUARED, rel=1e-4)
    sections = [slide([40, 10, 20, 20, 20, 10], 1, block_id="A", scan=name) for name in "12"]
    assert repeats(sections, DENSITY, SECTION).lesions[0][0].variance == pytest.approx(
        1 / 120.5 / LN2_SQUARED
    )
    scans = [slide([20] * 6, 1, block_id="A", section_id="1", scan=name) for name in "12"]
    assert repeats(scans, DENSITY, RESCAN).lesions[0][0].variance == 0


def test_a_repeat_that_cannot_be_judged_is_left_out_and_counted() -> None:
    small = slide([4] * 4, 1, block_id="B")
    small = result_of([4] * 4, 0.5, patient_id="P1", slide_id="small", block_id="B")
    found = repeats([slide([20] * 6, 1, block_id="A"), small], DENSITY, BLOCK)
    assert (found.lesions, found.left_out) == ((), 1)


def test_equal_errors_give_the_difference_of_variances() -> None:
    lesions = made(np.random.default_rng(3), 40, 0.5, (0.04,))
    observed = np.mean([np.var([one.value for one in lesion], ddof=1) for lesion in lesions])
    assert between_variance(lesions)[0] == pytest.approx(observed - 0.04, rel=1e-6)


def test_the_interval_is_that_of_chi_square_where_nothing_is_taken_off() -> None:
    lesions = made(np.random.default_rng(4), 25, 0.5, (0.0,))
    scatter = sum(np.var([one.value for one in lesion], ddof=1) for lesion in lesions)
    ends = [scatter / stats.chi2.ppf(level, 25) for level in (0.975, 0.025)]
    assert between_variance(lesions)[1:] == pytest.approx(ends, rel=1e-6)


@pytest.mark.parametrize("s_b", [0.0, 0.2, 0.5])
def test_planted_scatter_is_found_and_its_interval_covers(s_b: float) -> None:
    generator = np.random.default_rng(5)
    found = [between_variance(made(generator, 25, s_b, (0.01, 0.05, 0.15))) for _ in range(200)]
    held = np.mean([low <= s_b**2 + 1e-12 and s_b**2 <= high for _, low, high in found])
    assert held >= 0.92
    if s_b > 0:
        assert np.median([middle for middle, _, _ in found]) == pytest.approx(s_b**2, rel=0.15)


@pytest.mark.parametrize("s_b", [0.1, 0.3, 0.6])
def test_calls_without_a_change_are_rarely_false_with_the_coefficient(s_b: float) -> None:
    """Thirty lesions measured twice give the coefficient; then pairs of biopsies with no true change."""
    generator = np.random.default_rng(6)
    variance, degrees = 0.06, 10
    false = []
    for _ in range(200):
        found = coefficient("CD8", "m", BLOCK, Repeats(tuple(made(generator, 30, s_b, (variance,))), 0))
        rc_log2 = found.rc_log2 or 0.0
        change = math.sqrt(2) * (
            s_b * generator.normal(size=20) + math.sqrt(variance) * generator.normal(size=20)
        )
        error = np.sqrt(2 * variance * generator.chisquare(degrees, 20) / degrees)
        reach = stats.t.ppf(0.975, degrees) * error
        false += [
            call(float(c), float(r), rc_log2) != WITHIN_NOISE for c, r in zip(change, reach, strict=True)
        ]
    assert np.mean(false) <= 0.06


def test_few_repeats_have_a_reason_and_no_coefficient() -> None:
    lesions = made(np.random.default_rng(7), MIN_DEGREES - 1, 0.5, (0.01,))
    found = coefficient("CD8", "m", BLOCK, Repeats(tuple(lesions), 2))
    assert found.rc_log2 is None
    assert found.s_b is None
    assert found.reason == "9 repeats beyond the first of each lesion, and 10 are needed; 2 cannot be judged"
    assert found.n_left_out == 2
    assert found.agreement.bias is not None
    lesions += made(np.random.default_rng(8), 1, 0.5, (0.01,))
    enough = coefficient("CD8", "m", BLOCK, Repeats(tuple(lesions), 0))
    assert enough.rc_log2 == pytest.approx(COEFFICIENT * (enough.s_b or 0), rel=1e-6)
    assert (enough.rc_low or 0) < (enough.rc_log2 or 0) < (enough.rc_high or 0)


def test_repeats_closer_than_counting_allows_give_no_coefficient() -> None:
    twins = tuple((Repeat(float(lesion), 0.2), Repeat(float(lesion), 0.2)) for lesion in range(20))
    found = coefficient("CD8", "m", BLOCK, Repeats(twins, 0))
    assert found.rc_log2 is None
    assert found.reason == "repeats differ less than counting error alone lets them"


def test_limits_of_agreement_by_hand() -> None:
    found = agreement(
        [(Repeat(1, 0), Repeat(2, 0)), (Repeat(3, 0), Repeat(3, 0)), (Repeat(5, 0), Repeat(4.5, 0))]
    )
    assert found.pairs == ((1.5, 1.0), (3.0, 0.0), (4.75, -0.5))
    sd = float(np.std([1.0, 0.0, -0.5], ddof=1))
    assert found.bias == pytest.approx(1 / 6)
    assert (found.low, found.high) == pytest.approx((1 / 6 - 1.96 * sd, 1 / 6 + 1.96 * sd))
    assert agreement([(Repeat(1, 0), Repeat(2, 0))]).bias is None


def test_the_largest_kind_is_used_and_rescans_never() -> None:
    generator = np.random.default_rng(9)
    slides = []
    for lesion in range(12):
        for block in "AB":
            counts = [max(1, round(30 * 2 ** (0.8 * generator.normal()))) for _ in range(1)] * 6
            for section in "12":
                scatter = generator.integers(0, 8, 6)
                slides.append(
                    slide(
                        [c + int(s) for c, s in zip(counts, scatter, strict=True)],
                        lesion,
                        block_id=block,
                        scan=section,
                    )
                )
    found = {one.kind: one for one in coefficients(slides) if one.metric == DENSITY.name}
    assert found[BLOCK].used
    assert (found[BLOCK].rc_log2 or 0) > 1
    assert not found[SECTION].used
    assert found[SECTION].reason
    scans = [
        slide([20 + int(n)] * 6, lesion, block_id="A", section_id="1", scan=name)
        for lesion in range(12)
        for name, n in (("1", 0), ("2", generator.integers(1, 9)))
    ]
    (only,) = [one for one in coefficients(scans) if one.metric == DENSITY.name]
    assert only.rc_log2 is not None
    assert not only.used


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-5, 15), st.floats(0.001, 2)), min_size=2, max_size=4),
        min_size=1,
        max_size=15,
    ),
    st.floats(-3, 3),
)
def test_the_estimate_lies_in_its_interval_and_does_not_know_the_unit(
    raw: list[list[tuple[float, float]]], shift: float
) -> None:
    lesions = [tuple(Repeat(*one) for one in lesion) for lesion in raw]
    middle, low, high = between_variance(lesions)
    assert 0 <= low <= middle <= high
    shifted = [tuple(Repeat(one.value + shift, one.variance) for one in lesion) for lesion in lesions]
    assert between_variance(shifted) == pytest.approx((middle, low, high), rel=1e-4, abs=1e-6)
