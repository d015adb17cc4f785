"""Simulated clustered patterns in biopsy-shaped masks: intervals of log2fc cover, and calls are not false."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.made_measures import tissue_of
from tme.change.compare import DEFAULT_RC_LOG2, fold_change
from tme.change.pool import Side
from tme.metrics.blocks import Blocks, make_blocks
from tme.metrics.intervals import overdispersion

PAIRS = 250
EXPECTED = 80.0


def core() -> np.ndarray:
    """A core of 0.6 x 8 mm."""
    mask = np.zeros((80, 820), bool)
    mask[10:70, 10:810] = True
    return mask


def excision() -> np.ndarray:
    """A round piece of 6 mm²."""
    rows, columns = np.mgrid[:290, :290]
    return np.hypot(rows - 145, columns - 145) < 138


def two_pieces() -> np.ndarray:
    """Two cores of 0.6 x 4 mm."""
    mask = core()
    mask[:, 405:425] = False
    return mask


@pytest.mark.parametrize("make", [core, excision, two_pieces])
@pytest.mark.parametrize("phi", [1.0, 5.0, 9.0])
def test_intervals_cover_and_calls_are_not_false(make: object, phi: float) -> None:
    mask = make()
    blocks = make_blocks(mask, tissue_of(mask), 1.0, 150.0)
    generator = np.random.default_rng(int(phi))
    covered = called = 0
    for _ in range(PAIRS):
        pre, post = (_side(generator, mask, blocks, phi) for _ in range(2))
        change = fold_change(pre, post, "count density")
        covered += abs(change.log2fc) <= change.reach
        called += abs(change.log2fc) > math.hypot(DEFAULT_RC_LOG2, change.reach)
    assert covered / PAIRS >= 0.90
    assert called / PAIRS <= 0.05


def _side(generator: np.random.Generator, mask: np.ndarray, blocks: Blocks, phi: float) -> Side:
    """Thomas clusters of 50 µm on the mask, about `EXPECTED` cells."""
    rows, columns = _thomas(generator, mask.shape, EXPECTED / mask.sum(), phi)
    counts = np.bincount(blocks.labels[rows, columns] + 1, minlength=blocks.count + 1)[1:].astype(float)
    own, _ = overdispersion(counts, blocks.areas_mm2, 6.0, blocks.spill)
    area = float(blocks.areas_mm2.sum())
    n = int(counts.sum())
    return Side(n / area, n=n, area_mm2=area, phi=own, blocks=float(blocks.count))


def _thomas(
    generator: np.random.Generator, shape: tuple[int, ...], density: float, phi: float, sigma: float = 5.0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, px, of a clustered pattern; parents outside have children inside too."""
    height, width = shape
    if phi == 1.0:
        number = generator.poisson(density * height * width)
        return generator.integers(0, height, number), generator.integers(0, width, number)
    margin = 4 * sigma
    parents = generator.poisson(density / (phi - 1) * (height + 2 * margin) * (width + 2 * margin))
    children = generator.poisson(phi - 1, parents)
    rows = np.repeat(generator.uniform(-margin, height + margin, parents), children)
    columns = np.repeat(generator.uniform(-margin, width + margin, parents), children)
    rows = np.floor(rows + generator.normal(0, sigma, len(rows))).astype(int)
    columns = np.floor(columns + generator.normal(0, sigma, len(columns))).astype(int)
    keep = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return rows[keep], columns[keep]
