"""Overdispersion and intervals of a count density; the arithmetic of CONTRACT's *Intervals*.

Cells come in clusters, so a count scatters φ times as much as Poisson's law says. φ is Pearson's
statistic over blocks (McCullagh and Nelder 1989), its excess over 1 raised by what clusters on the borders
of blocks hide (`tme.metrics.spill`). The exact interval is Garwood's (Biometrika 1936;28:437). ADR 11 has
the simulations behind both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri, stdtrit

MIN_BLOCKS_FOR_OWN_PHI = 4
PHI_PRIOR = "phi_prior"
LEVEL = 0.975
Z = float(ndtri(LEVEL))
"""The .975 quantile of the normal distribution: no interval is narrower than a Poisson count's."""


@dataclass(frozen=True)
class Density:
    """A count density with its 95 % interval, per mm².

    Attributes
    ----------
    value, low, high : float
    phi : float
        The φ behind the interval, at least 1.
    note : str
        ``phi_prior`` where φ is not from enough blocks of its own.
    """

    value: float
    low: float
    high: float
    phi: float
    note: str


@dataclass(frozen=True)
class Information:
    """How much several slides tell together.

    Attributes
    ----------
    blocks : float
        Blocks that add information.
    repeats : float
        By how much serial sections, which show the same objects again, raise a variance; 1 without them.
    block_of : tuple of int
        Block of each slide: serial sections have the same.
    """

    blocks: float
    repeats: float = 1.0
    block_of: tuple[int, ...] = (0,)

    def error(self, error: float | None) -> float | None:
        """A standard error made good for serial sections; None with fewer than four blocks."""
        if error is None or self.blocks < MIN_BLOCKS_FOR_OWN_PHI:
            return None
        return error * math.sqrt(self.repeats)


def t_quantile(degrees: float) -> float:
    """The .975 quantile of Student's t with ``degrees`` (at least 1) degrees of freedom."""
    return float(stdtrit(max(degrees, 1.0), LEVEL))


def own_overdispersion(
    counts: NDArray[np.float64], areas_mm2: NDArray[np.float64], spill: float = 1.0
) -> float:
    """φ from blocks alone; 1 where it cannot be told.

    φ = max(0, 1 + spill·(X − 1)) with X = Σ(n_b − A_b λ)² / (A_b λ) / (B − 1). It may be under 1: to call
    that 1 would err in one direction only, and no interval becomes narrower than a Poisson count's for it.

    Parameters
    ----------
    counts : (B,) float64
        Objects in each block.
    areas_mm2 : (B,) float64
        Area of each block, mm².
    spill : float
        From `tme.metrics.spill`.
    """
    if len(counts) < 2 or counts.sum() == 0:
        return 1.0
    expected = areas_mm2 * (counts.sum() / areas_mm2.sum())
    scatter = float(((counts - expected) ** 2 / expected).sum()) / (len(counts) - 1)
    return max(0.0, 1 + spill * (scatter - 1))


def overdispersion(
    counts: NDArray[np.float64],
    areas_mm2: NDArray[np.float64],
    prior: float,
    spill: float = 1.0,
    blocks: float | None = None,
) -> tuple[float, str]:
    """(φ, note): the blocks' own φ, or at least ``prior`` where there are fewer than four blocks.

    ``blocks`` is the number that counts, where it is not the number given (serial sections).
    """
    own = own_overdispersion(counts, areas_mm2, spill)
    if (len(counts) if blocks is None else blocks) < MIN_BLOCKS_FOR_OWN_PHI:
        return max(own, prior), PHI_PRIOR
    return own, ""


def density_interval(
    n: float, area_mm2: float, phi: float, blocks: float, least: float = 1.0
) -> tuple[float, float]:
    """95 % interval of a density, per mm².

    λ·exp(± max(t(.975, B − 1)·√φ, 1.96·√least)/√n); for n = 0, [0, 3.69 φ/A]; with fewer than four blocks
    Garwood's exact interval on n/φ, times φ, with φ at least ``least``.

    Parameters
    ----------
    n : float
        Objects counted.
    area_mm2 : float
        Evaluable area, mm², above 0.
    phi : float
        May be under 1.
    blocks : float
        B, the number of blocks that add information.
    least : float
        φ of a Poisson pattern: the number of sections that show each cell.
    """
    if n == 0 or blocks < MIN_BLOCKS_FOR_OWN_PHI:
        phi = max(phi, least)
        low, high = garwood(n / phi)
        return low * phi / area_mm2, high * phi / area_mm2
    factor = math.exp(max(t_quantile(blocks - 1) * math.sqrt(phi), Z * math.sqrt(least)) / math.sqrt(n))
    return n / area_mm2 / factor, n / area_mm2 * factor


def garwood(n: float) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean; ``n`` may be any number from 0."""
    # Half a chi-square quantile of 2k degrees is the gamma quantile of shape k.
    low = float(gammaincinv(n, 1 - LEVEL)) if n > 0 else 0.0
    return low, float(gammaincinv(n + 1, LEVEL))


def count_density(
    counts: NDArray[np.float64], areas_mm2: NDArray[np.float64], prior: float, spill: float = 1.0
) -> Density:
    """Density, φ and interval from the counts of blocks; areas sum above 0."""
    n, area = float(counts.sum()), float(areas_mm2.sum())
    phi, note = overdispersion(counts, areas_mm2, prior, spill)
    low, high = density_interval(n, area, phi, len(counts))
    return Density(n / area, low, high, max(phi, 1.0), note)
