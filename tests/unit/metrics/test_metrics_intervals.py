"""Overdispersion and intervals, against values worked out by hand and by SciPy's distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tme.metrics.intervals import (
    PHI_PRIOR,
    count_density,
    density_interval,
    garwood,
    overdispersion,
    own_overdispersion,
)

AREAS = np.ones(4)


def test_overdispersion_by_hand() -> None:
    # λ = 10: (25 + 25 + 0 + 0) / 10 / 3
    assert own_overdispersion(np.array([5.0, 15, 10, 10]), AREAS) == pytest.approx(50 / 10 / 3)


def test_overdispersion_weighs_unequal_areas() -> None:
    # λ = 10/mm²; expected 10, 20, 30; (0 + 100/20 + 100/30) / 2
    found = own_overdispersion(np.array([10.0, 10, 40]), np.array([1.0, 2, 3]))
    assert found == pytest.approx((100 / 20 + 100 / 30) / 2)


@pytest.mark.parametrize("counts", [[0.0, 0, 0, 0], [9.0]])
def test_overdispersion_is_one_where_it_cannot_be_told(counts: list[float]) -> None:
    assert own_overdispersion(np.array(counts), np.ones(len(counts))) == 1.0


def test_clusters_on_borders_raise_only_the_excess() -> None:
    counts = np.array([5.0, 15, 10, 10])
    assert own_overdispersion(counts, AREAS, 1.5) == pytest.approx(1 + 1.5 * (5 / 3 - 1))
    even = np.array([9.0, 11, 10, 10])
    assert own_overdispersion(even, AREAS, 1.05) == pytest.approx(1 - 1.05 * (1 - 2 / 10 / 3))
    assert own_overdispersion(even, AREAS, 1.5) == 0.0


def test_even_blocks_are_no_surer_than_poisson() -> None:
    assert own_overdispersion(np.full(4, 10.0), AREAS) == 0.0
    density = count_density(np.full(4, 10.0), AREAS, 6.0)
    assert density.phi == 1.0
    assert density.high == pytest.approx(10 * math.exp(stats.norm.ppf(0.975) / math.sqrt(40)))


def test_few_blocks_take_the_prior_unless_their_own_is_larger() -> None:
    assert overdispersion(np.array([10.0, 12]), np.ones(2), 6.0) == (6.0, PHI_PRIOR)
    phi, note = overdispersion(np.array([0.0, 40]), np.ones(2), 6.0)
    assert (phi, note) == (40.0, PHI_PRIOR)
    assert overdispersion(np.array([5.0, 15, 10, 10]), AREAS, 6.0) == (pytest.approx(5 / 3), "")


def test_interval_of_a_density_by_hand() -> None:
    low, high = density_interval(100, 2.0, 4.0, 5)
    factor = math.exp(stats.t.ppf(0.975, 4) * math.sqrt(4 / 100))
    assert (low, high) == pytest.approx((50 / factor, 50 * factor))


def test_no_object_gives_an_upper_end() -> None:
    low, high = density_interval(0, 2.0, 1.0, 5)
    assert low == 0.0
    assert high == pytest.approx(3.69 / 2, rel=1e-3)
    assert density_interval(0, 2.0, 6.0, 1)[1] == pytest.approx(3.69 * 6 / 2, rel=1e-3)


def test_exact_interval_is_garwoods() -> None:
    low, high = garwood(10)
    assert (low, high) == pytest.approx((stats.chi2.ppf(0.025, 20) / 2, stats.chi2.ppf(0.975, 22) / 2))
    assert density_interval(60, 3.0, 6.0, 3) == pytest.approx((low * 6 / 3, high * 6 / 3))


def test_a_density_carries_its_phi_and_note() -> None:
    density = count_density(np.array([5.0, 15, 10, 10]), AREAS, 6.0)
    assert density.value == 10.0
    assert density.phi == pytest.approx(5 / 3)
    assert density.low < 10 < density.high
    assert count_density(np.array([40.0]), np.array([4.0]), 6.0).note == PHI_PRIOR


@pytest.mark.parametrize(("phi", "sigma"), [(1.0, 60.0), (4.0, 60.0), (8.0, 60.0)])
def test_interval_covers_clustered_patterns(phi: float, sigma: float) -> None:
    """Thomas clusters in a core of 12 x 0.6 mm cut into strips: at least 92 % of intervals hold."""
    generator = np.random.default_rng(7)
    true, length, height, strips = 20.0, 12.0, 0.6, 8
    held = 0
    for _ in range(400):
        x = _thomas(generator, true, length, height, phi, sigma / 1000)
        counts = np.bincount((x / length * strips).astype(int), minlength=strips).astype(float)
        density = count_density(counts, np.full(strips, length * height / strips), 6.0)
        held += density.low <= true <= density.high
    assert held / 400 >= 0.92


def _thomas(
    generator: np.random.Generator, density: float, length: float, height: float, phi: float, sigma: float
) -> np.ndarray:
    """x of a clustered pattern in a strip, mm; parents outside the strip have children inside too."""
    margin = 4 * sigma
    mean = phi - 1
    area = (length + 2 * margin) * (height + 2 * margin)
    if mean <= 0:
        return generator.uniform(0, length, generator.poisson(density * length * height))
    parents = generator.poisson(density / mean * area)
    children = generator.poisson(mean, parents)
    x = np.repeat(generator.uniform(-margin, length + margin, parents), children)
    y = np.repeat(generator.uniform(-margin, height + margin, parents), children)
    x, y = x + generator.normal(0, sigma, len(x)), y + generator.normal(0, sigma, len(y))
    return x[(x >= 0) & (x < length) & (y >= 0) & (y < height)]
