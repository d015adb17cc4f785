"""Exact rank tests against counting by brute force, other libraries and worked examples."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from tme.outcomes.auroc import auroc, newcombe_interval
from tme.outcomes.correlation import spearman
from tme.outcomes.ranks import hodges_lehmann_shift, mann_whitney, walsh_interval, wilcoxon

pytestmark = pytest.mark.filterwarnings("error")

# Hollander, Wolfe and Chicken 2014: depression before and after (table 3.1), permeability (table 4.1).
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])


def every_split(values: np.ndarray, size: int) -> np.ndarray:
    """Rank sums of every way to draw a group."""
    ranks = stats.rankdata(values)
    return np.array([ranks[list(chosen)].sum() for chosen in combinations(range(len(values)), size)])


def every_sign(differences: np.ndarray) -> np.ndarray:
    """Rank sums of rises over every way to give signs to what moved."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    return np.array([ranks @ np.array(signs) for signs in product((0, 1), repeat=len(ranks))])


def tail(sums: np.ndarray, observed: float) -> float:
    distance = np.abs(sums - sums.mean())
    return float((distance >= abs(observed - sums.mean()) - 1e-9).mean())


@pytest.mark.parametrize("seed", range(12))
def test_mann_whitney_is_the_count_of_all_splits_with_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n, m = generator.integers(3, 7), generator.integers(5, 8)
    both = generator.integers(0, 6, n + m).astype(float)
    found = mann_whitney(both[:n], both[n:])
    sums = every_split(both, n)
    p = tail(sums, stats.rankdata(both)[:n].sum())
    smallest = tail(sums, sums[np.abs(sums - sums.mean()).argmax()])
    assert found.p_smallest == pytest.approx(smallest, abs=1e-12)
    assert found.p == (pytest.approx(p, abs=1e-12) if smallest <= 0.05 else None)


@pytest.mark.parametrize(("n", "m"), [(6, 18), (5, 5), (12, 30), (40, 45)])
def test_mann_whitney_without_ties_is_scipys_exact_one(n: int, m: int) -> None:
    generator = np.random.default_rng(n)
    first, second = generator.normal(0.8, 1, n), generator.normal(0, 1, m)
    other = stats.mannwhitneyu(first, second, method="exact")
    found = mann_whitney(first, second)
    assert (found.statistic, found.p) == (other.statistic, pytest.approx(other.pvalue, abs=1e-9))


def test_large_groups_take_the_normal_approximation() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.1, 1, 300), generator.normal(0, 1, 350)
    found = mann_whitney(first, second)
    other = stats.mannwhitneyu(first, second, method="asymptotic")
    assert "approximation" in found.method
    assert found.p == pytest.approx(other.pvalue)
    assert found.ci_low < found.estimate < found.ci_high


def test_the_worked_example_of_two_groups() -> None:
    found = mann_whitney(TERM, EARLY)
    assert found.statistic == 35
    assert found.p == pytest.approx(0.2544, abs=5e-5)
    assert found.estimate == pytest.approx(0.305)
    assert (found.ci_low, found.ci_high) == (pytest.approx(-0.15), pytest.approx(0.76))


def test_a_shift_worked_by_hand() -> None:
    shift = hodges_lehmann_shift(np.array([4.0, 7.0]), np.array([1.0, 2.0, 6.0]))
    # Differences: 3 2 -2 6 5 1, in order -2 1 2 3 5 6.
    assert shift == (2.5, None, None)


def test_the_worked_example_of_pairs() -> None:
    found = wilcoxon(BEFORE - AFTER)
    assert found.statistic == 40
    assert found.p == pytest.approx(0.0390625, abs=1e-12)
    assert found.estimate == pytest.approx(0.46)
    assert (found.ci_low, found.ci_high) == (pytest.approx(0.010), pytest.approx(0.786))


@pytest.mark.parametrize("seed", range(12))
def test_wilcoxon_is_the_count_of_all_signs_with_zeros_and_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    differences = generator.integers(-4, 6, generator.integers(6, 12)).astype(float)
    found = wilcoxon(differences)
    sums = every_sign(differences)
    rises = stats.rankdata(np.abs(differences))[differences > 0].sum()
    p, smallest = tail(sums, rises), tail(sums, sums.max())
    assert found.p_smallest == pytest.approx(smallest, abs=1e-12)
    assert found.p == (pytest.approx(p, abs=1e-12) if smallest <= 0.05 else None)


def test_wilcoxon_without_zeros_is_scipys_exact_one() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1, 24)
    other = stats.wilcoxon(differences, method="exact")
    assert wilcoxon(differences).p == pytest.approx(other.pvalue, abs=1e-12)


def test_zeros_keep_their_ranks() -> None:
    # Ranks of 0 0 1 2 3 4 5 6 are 1.5 1.5 3 4 5 6 7 8; without the zeros they would be 1 to 6.
    assert wilcoxon(np.array([0.0, 0, 1, 2, 3, 4, 5, -6])).statistic == 25


def test_pairwise_means_worked_by_hand() -> None:
    # 1 1.5 2 3 3.5 5 from 1, 2 and 5.
    assert walsh_interval(np.array([1.0, 2.0, 5.0])) == (2.5, None, None)


def test_a_p_that_could_not_be_small_is_not_given() -> None:
    found = mann_whitney(np.array([5.0, 6.0, 7.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert (found.p, found.p_smallest) == (None, pytest.approx(2 / 35))
    assert "cannot be under 0.057" in found.reason
    assert found.estimate == 3.5
    enough = mann_whitney(np.array([5.0, 6.0, 7.0, 8.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert enough.p == enough.p_smallest == pytest.approx(2 / 70)


def test_values_that_are_all_the_same_give_no_p() -> None:
    found = mann_whitney(np.ones(6), np.ones(18))
    assert (found.p, found.p_smallest, found.estimate) == (None, 1, 0)
    assert wilcoxon(np.zeros(9)).reason == "no patient changed"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_one_to_five_patients_give_an_estimate_and_a_reason(n: int) -> None:
    values = np.arange(1.0, n + 1)
    paired, grouped = wilcoxon(values), mann_whitney(values, np.array([0.5]))
    for found in (paired, grouped):
        assert found.estimate is not None
        assert found.p is None
        assert "no p-value" in found.reason
        assert "too few" in found.reason


def test_auroc_counts_pairs() -> None:
    found = auroc(np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0]))
    assert found.estimate == pytest.approx((1 + 0.5 + 3) / 6)


@pytest.mark.parametrize("area", [0.02, 0.5, 0.77, 0.98])
def test_the_ends_of_newcombes_interval_lie_z_errors_away(area: float) -> None:
    n, m, z = 6, 18, stats.norm.ppf(0.975)
    for end in newcombe_interval(area, n, m):
        half = (n + m) / 2 - 1
        error = np.sqrt(end * (1 - end) * (1 + half * ((1 - end) / (2 - end) + end / (1 + end))) / (n * m))
        assert abs(area - end) == pytest.approx(z * error, rel=1e-6)


def test_a_perfect_auroc_still_has_an_interval() -> None:
    low, high = newcombe_interval(1.0, 6, 18)
    assert 0.7 < low < 0.95
    assert high == 1
    assert newcombe_interval(0.0, 6, 18) == (pytest.approx(0.0), pytest.approx(1 - low))


@pytest.mark.parametrize("area", [0.5, 0.7, 0.85, 0.95])
def test_newcombes_interval_is_honest_at_6_against_18(area: float) -> None:
    generator = np.random.default_rng(round(100 * area))
    shift = np.sqrt(2) * stats.norm.ppf(area)
    inside = 0
    for _ in range(1000):
        found = auroc(generator.normal(shift, 1, 6), generator.normal(0, 1, 18))
        inside += found.ci_low <= area <= found.ci_high
    assert 0.925 <= inside / 1000 <= 0.995


@pytest.mark.parametrize("n", [4, 6, 7])
def test_few_patients_correlation_is_the_count_of_all_orders(n: int) -> None:
    generator = np.random.default_rng(n)
    x, y = generator.integers(0, 5, n).astype(float), generator.normal(size=n)
    other = stats.permutation_test(
        (x,), lambda x: stats.spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    found = spearman(x, y)
    assert found.estimate == pytest.approx(other.statistic)
    null = np.abs(other.null_distribution)
    assert found.p_smallest == pytest.approx((null >= null.max() - 1e-9).mean())
    expected = (null >= abs(other.statistic) - 1e-9).mean()
    assert found.p == (pytest.approx(expected) if found.p_smallest <= 0.05 else None)


def test_more_patients_correlation_is_scipys() -> None:
    generator = np.random.default_rng(5)
    x = generator.normal(size=25).round(1)
    y = x + generator.normal(size=25)
    other = stats.spearmanr(x, y)
    found = spearman(x, y)
    assert (found.estimate, found.p) == (pytest.approx(other.statistic), pytest.approx(other.pvalue))
    assert found.ci_low < found.estimate < found.ci_high


def test_a_perfect_order_has_no_interval_and_no_order_no_number() -> None:
    line = np.arange(12.0)
    assert spearman(line, line).estimate == 1
    assert spearman(line, -line).reason == "no interval at a correlation of 1 or -1"
    assert spearman(line, np.ones(12)).reason == "all values are the same"
