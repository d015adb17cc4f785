"""Overdispersion and intervals of a count density; the arithmetic of CONTRACT's *Intervals*.

Cells come in clusters, so a count scatters φ times as much as Poisson's law says. φ is Pearson's
statistic over blocks (McCullagh and Nelder 1989). The exact interval is Garwood's
(Biometrika 1936;28:437).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, stdtrit

MIN_BLOCKS_FOR_OWN_PHI = 4
PHI_PRIOR = "phi_prior"
LEVEL = 0.975


@dataclass(frozen=True)
class Density:
    """A count density with its 95 % interval, per mm².

    Attributes
    ----------
    value, low, high : float
    phi : float
        The φ behind the interval.
    note : str
        ``phi_prior`` where φ is not from enough blocks of its own.
    """

    value: float
    low: float
    high: float
    phi: float
    note: str


def t_quantile(degrees: float) -> float:
    """The .975 quantile of Student's t with ``degrees`` (at least 1) degrees of freedom."""
    return float(stdtrit(max(degrees, 1.0), LEVEL))


def own_overdispersion(counts: NDArray[np.float64], areas_mm2: NDArray[np.float64]) -> float:
    """φ = max(1, Σ(n_b − A_b λ)² / (A_b λ) / (B − 1)); 1 where it cannot be told.

    Parameters
    ----------
    counts : (B,) float64
        Objects in each block.
    areas_mm2 : (B,) float64
        Area of each block, mm².
    """
    if len(counts) < 2 or counts.sum() == 0:
        return 1.0
    expected = areas_mm2 * (counts.sum() / areas_mm2.sum())
    return max(1.0, float(((counts - expected) ** 2 / expected).sum()) / (len(counts) - 1))


def overdispersion(
    counts: NDArray[np.float64], areas_mm2: NDArray[np.float64], prior: float, blocks: float | None = None
) -> tuple[float, str]:
    """(φ, note): the blocks' own φ, or at least ``prior`` where there are fewer than four blocks.

    ``blocks`` is the number that counts, where it is not the number given (serial sections).
    """
    own = own_overdispersion(counts, areas_mm2)
    if (len(counts) if blocks is None else blocks) < MIN_BLOCKS_FOR_OWN_PHI:
        return max(own, prior), PHI_PRIOR
    return own, ""


def density_interval(n: float, area_mm2: float, phi: float, blocks: float) -> tuple[float, float]:
    """95 % interval of a density, per mm².

    λ·exp(± t(.975, B − 1)·√(φ/n)); for n = 0, [0, 3.69 φ/A]; with fewer than four blocks Garwood's
    exact interval on n/φ, times φ.

    Parameters
    ----------
    n : float
        Objects counted.
    area_mm2 : float
        Evaluable area, mm², above 0.
    phi : float
    blocks : float
        B, the number of blocks that add information.
    """
    if n == 0 or blocks < MIN_BLOCKS_FOR_OWN_PHI:
        low, high = garwood(n / phi)
        return low * phi / area_mm2, high * phi / area_mm2
    factor = math.exp(t_quantile(blocks - 1) * math.sqrt(phi / n))
    return n / area_mm2 / factor, n / area_mm2 * factor


def garwood(n: float) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean; ``n`` may be any number from 0."""
    # Half a chi-square quantile of 2k degrees is the gamma quantile of shape k.
    low = float(gammaincinv(n, 1 - LEVEL)) if n > 0 else 0.0
    return low, float(gammaincinv(n + 1, LEVEL))


def count_density(counts: NDArray[np.float64], areas_mm2: NDArray[np.float64], prior: float) -> Density:
    """Density, φ and interval from the counts of blocks; areas sum above 0."""
    n, area = float(counts.sum()), float(areas_mm2.sum())
    phi, note = overdispersion(counts, areas_mm2, prior)
    low, high = density_interval(n, area, phi, len(counts))
    return Density(n / area, low, high, phi, note)
