"""Many simulated cell patterns at once, in masks shaped like biopsies: what intervals are tried out on.

Every pattern of a call lies in the same mask; a cell is three numbers, its pattern, row and column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.tissue.types import Mask, TissueMask
from tme.units import mm2_to_um2, px_to_um, um2_to_px, um_to_px

MPP = 4.0
CORE_UM = 1000.0
GAP_UM = 600.0
FIRST_PIECE = 0.6
LONGEST = 6.0
"""Standard deviations (or correlation lengths) around the mask in which clusters reaching into it may lie."""
FIELD_CELL_UM = 32.0

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """Cells of R patterns.

    Attributes
    ----------
    pattern, row, column : (N,) int64
    """

    pattern: Places
    row: Places
    column: Places


def core(area_mm2: float) -> Mask:
    """A core of 1 mm across."""
    across = round(um_to_px(CORE_UM, MPP))
    return np.ones((math.ceil(um2_to_px(mm2_to_um2(area_mm2), MPP) / across), across), bool)


def two_pieces(area_mm2: float) -> Mask:
    """A core broken into two pieces that lie beside each other."""
    one, other = core(FIRST_PIECE * area_mm2), core((1 - FIRST_PIECE) * area_mm2)
    across, gap = one.shape[1], round(um_to_px(GAP_UM, MPP))
    mask = np.zeros((one.shape[0], 2 * across + gap), bool)
    mask[:, :across] = one
    mask[: other.shape[0], across + gap :] = other
    return mask


def excision(area_mm2: float) -> Mask:
    """A lobed piece, a third longer than wide."""
    wanted = um2_to_px(mm2_to_um2(area_mm2), MPP)
    radius = math.sqrt(wanted / math.pi)
    half = math.ceil(1.5 * radius)
    y, x = (np.mgrid[-half:half, -half:half] + 0.5) / radius
    angle = np.arctan2(y, x)
    depth = np.hypot(x / 1.15, y * 1.15) / (1 + 0.18 * np.cos(3 * angle + 0.5) + 0.1 * np.sin(5 * angle))
    return np.asarray(depth <= np.partition(depth.ravel(), math.ceil(wanted))[math.ceil(wanted)])


MASKS: dict[str, Callable[[float], Mask]] = {"core": core, "excision": excision, "two pieces": two_pieces}


def tissue_of(mask: Mask) -> TissueMask:
    """Tissue without artefacts that fills the mask."""
    height, width = mask.shape
    none = np.zeros(mask.shape, np.uint8)
    return TissueMask(MPP, px_to_um(width, MPP), px_to_um(height, MPP), mask, none, True, 1)


def thomas(
    mask: Mask, expected: Numbers, phi: float, sigma_um: float, generator: np.random.Generator
) -> Cells:
    """Thomas clusters: Poisson many cells, normal about Poisson parents; a Poisson pattern for φ = 1.

    Parameters
    ----------
    mask : (H, W) bool
    expected : (R,) float64
        Cells expected in the mask, for each pattern.
    phi : float
        Variance over mean of the count in a large area: 1 + the mean size of a cluster.
    sigma_um : float
    generator : numpy.random.Generator
    """
    if phi == 1:
        return _clusters(mask, expected, None, 0.0, lambda count: np.zeros((2, count)), generator)
    sigma = um_to_px(sigma_um, MPP)
    around = lambda count: generator.normal(0, sigma, (2, count))  # noqa: E731
    return _clusters(mask, expected, phi - 1, LONGEST * sigma, around, generator)


def matern(
    mask: Mask, expected: Numbers, phi: float, radius_um: float, generator: np.random.Generator
) -> Cells:
    """Matérn clusters: Poisson many cells, even over discs about Poisson parents; see `thomas`."""
    radius = um_to_px(radius_um, MPP)

    def around(count: int) -> Numbers:
        distance = radius * np.sqrt(generator.uniform(size=count))
        angle = generator.uniform(0, 2 * math.pi, count)
        return np.stack([distance * np.sin(angle), distance * np.cos(angle)])

    return _clusters(mask, expected, phi - 1, radius, around, generator)


def log_gaussian(
    mask: Mask, expected: Numbers, phi: float, length_um: float, generator: np.random.Generator
) -> Cells:
    """A log-Gaussian Cox pattern with exponential covariance; see `thomas`.

    The variance of the field is what gives ``phi`` at the mean of ``expected`` (Møller 1998, Scand J Stat
    25:451).
    """
    step = round(um_to_px(FIELD_CELL_UM, MPP))
    height, width = mask.shape
    margin = math.ceil(LONGEST * um_to_px(length_um, MPP) / step)
    inner = -(-height // step), -(-width // step)
    outer = inner[0] + margin, inner[1] + margin
    distance = px_to_um(step, MPP) * np.hypot(*np.meshgrid(*map(_round_trip, outer), indexing="ij"))
    density = expected / mask.sum()
    variance = _variance(phi, float(density.mean()), np.exp(-distance / length_um), step)
    spectrum = np.maximum(np.fft.fft2(variance * np.exp(-distance / length_um)).real, 0)
    root = np.sqrt(spectrum / distance.size)
    found = []
    for pattern, one in enumerate(density):
        noise = generator.normal(size=(2, *outer))
        field = np.fft.fft2(root * (noise[0] + 1j * noise[1])).real[: inner[0], : inner[1]]
        counts = generator.poisson(one * step**2 * np.exp(field - variance / 2))
        row, column = (np.repeat(place, counts.ravel()) for place in np.indices(inner).reshape(2, -1))
        offset = generator.integers(0, step, (2, len(row)))
        found.append((np.full(len(row), pattern), row * step + offset[0], column * step + offset[1]))
    return _inside(mask, *(np.concatenate(part) for part in zip(*found, strict=True)))


def _round_trip(length: int) -> Numbers:
    """Distance of each cell from the first one around a ring of cells."""
    place = np.arange(length, dtype=np.float64)
    return np.minimum(place, length - place)


def _variance(phi: float, density: float, correlation: Numbers, step: int) -> float:
    """Variance v with φ = 1 + density · ∫ (exp(v·correlation) − 1), by halving."""
    low, high = 0.0, 8.0
    for _ in range(50):
        middle = (low + high) / 2
        excess = density * step**2 * float(np.expm1(middle * correlation).sum())
        low, high = (middle, high) if excess < phi - 1 else (low, middle)
    return high


def _clusters(
    mask: Mask,
    expected: Numbers,
    size: float | None,
    reach: float,
    around: Callable[[int], Numbers],
    generator: np.random.Generator,
) -> Cells:
    """Clusters of a mean ``size``, single cells if None, with parents up to ``reach`` px outside the mask."""
    height, width = mask.shape
    frame = (height + 2 * reach) * (width + 2 * reach)
    parents = generator.poisson(expected / mask.sum() * frame / (size or 1.0))
    pattern = np.repeat(np.arange(len(expected)), parents)
    row = generator.uniform(-reach, height + reach, len(pattern))
    column = generator.uniform(-reach, width + reach, len(pattern))
    number = np.ones(len(pattern), int) if size is None else generator.poisson(size, len(pattern))
    offset = around(int(number.sum()))
    row, column = np.repeat(row, number) + offset[0], np.repeat(column, number) + offset[1]
    whole = (np.floor(place).astype(np.int64) for place in (row, column))
    return _inside(mask, np.repeat(pattern, number), *whole)


def _inside(mask: Mask, pattern: Places, row: Places, column: Places) -> Cells:
    height, width = mask.shape
    keep = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pattern, row, column = pattern[keep], row[keep], column[keep]
    keep = mask[row, column]
    return Cells(pattern[keep], row[keep], column[keep])
