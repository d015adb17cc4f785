"""What must hold of the outcome statistics for any few numbers: symmetries, scales, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tme.outcomes.auroc import auroc
from tme.outcomes.correlation import spearman
from tme.outcomes.models import firth
from tme.outcomes.ranks import mann_whitney, wilcoxon
from tme.outcomes.types import Result

# Halves from -20 to 20: ties are common and arithmetic on them is exact.
HALVES = st.integers(-40, 40).map(lambda number: number / 2)


def values(least: int, most: int) -> st.SearchStrategy[np.ndarray]:
    return st.integers(least, most).flatmap(lambda n: arrays(float, n, elements=HALVES))


GROUP = values(1, 9)


def is_in_order(found: Result) -> None:
    assert found.p is None or 0 < found.p_smallest <= found.p + 1e-12 <= 1 + 1e-9
    assert found.p is None or found.p_smallest <= 0.05
    assert found.p is not None or found.reason or "AUROC" in found.method
    if found.ci_low is not None:
        assert found.ci_low <= found.estimate <= found.ci_high


@given(GROUP, GROUP)
def test_groups_exchanged_turn_the_sign_and_nothing_else(first: np.ndarray, second: np.ndarray) -> None:
    one, other = mann_whitney(first, second), mann_whitney(second, first)
    is_in_order(one)
    assert other.estimate == -one.estimate
    assert (one.p is None) == (other.p is None)
    assert one.p_smallest == pytest.approx(other.p_smallest)
    assert one.p == pytest.approx(other.p)
    assert one.statistic + other.statistic == len(first) * len(second)
    assert one.ci_low is None or (one.ci_low, one.ci_high) == (-other.ci_high, -other.ci_low)


@given(GROUP, GROUP)
def test_ranks_see_order_alone(first: np.ndarray, second: np.ndarray) -> None:
    bent = mann_whitney(np.exp(first / 8), np.exp(second / 8))
    straight = mann_whitney(first, second)
    assert (bent.p, bent.statistic) == (straight.p, straight.statistic)
    assert auroc(np.exp(first / 8), np.exp(second / 8)).estimate == auroc(first, second).estimate


@given(GROUP, GROUP, st.integers(-8, 8), st.sampled_from([0.5, 2.0, 4.0]))
def test_the_shift_moves_and_stretches_with_the_numbers(
    first: np.ndarray, second: np.ndarray, step: int, factor: float
) -> None:
    found = mann_whitney(first, second)
    moved = mann_whitney(factor * (first + step), factor * second)
    assert moved.estimate == factor * (found.estimate + step)
    assert found.ci_low is None or moved.ci_low == factor * (found.ci_low + step)


@given(GROUP, GROUP)
def test_auroc_is_the_statistic_of_mann_whitney(first: np.ndarray, second: np.ndarray) -> None:
    found, turned = auroc(first, second), auroc(second, first)
    is_in_order(found)
    assert found.estimate == pytest.approx(mann_whitney(first, second).statistic / (len(first) * len(second)))
    assert found.estimate + turned.estimate == pytest.approx(1)
    assert 0 <= found.ci_low <= found.ci_high <= 1
    assert found.ci_low == pytest.approx(1 - turned.ci_high, abs=1e-6)


@given(values(1, 14))
def test_signs_turned_turn_the_centre(differences: np.ndarray) -> None:
    found, turned = wilcoxon(differences), wilcoxon(-differences)
    is_in_order(found)
    assert turned.estimate == -found.estimate
    assert turned.p == pytest.approx(found.p)
    assert found.ci_low is None or (turned.ci_low, turned.ci_high) == (-found.ci_high, -found.ci_low)


@given(
    st.integers(2, 12).flatmap(
        lambda n: st.tuples(arrays(float, n, elements=HALVES), arrays(float, n, elements=HALVES))
    )
)
def test_correlation_is_the_same_both_ways_and_turns_with_one(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    found, swapped, turned = spearman(x, y), spearman(y, x), spearman(np.exp(x / 8), -y)
    is_in_order(found)
    if found.estimate is None:
        assert found.reason == "all values are the same"
        return
    assert swapped.estimate == pytest.approx(found.estimate)
    assert turned.estimate == pytest.approx(-found.estimate)
    assert swapped.p == pytest.approx(found.p)
    assert turned.p == pytest.approx(found.p)


@given(values(4, 16), st.integers(1, 3), st.sampled_from([1.0, 1000.0]))
def test_odds_of_the_other_answer_are_the_inverse(change: np.ndarray, responders: int, away: float) -> None:
    answer = np.arange(len(change)) < responders
    found, turned = firth(change, answer), firth(change + away, ~answer)
    is_in_order(found)
    if found.estimate is not None and turned.estimate is not None:
        assert np.log(found.estimate) == pytest.approx(-np.log(turned.estimate), abs=1e-3)
