"""Published formulae of unevenness, term by term: what the fast ones are held against."""

from __future__ import annotations

import math

import numpy as np


def naive_gini(values: np.ndarray) -> float:
    pairs = sum(abs(a - b) for a in values for b in values)
    return float(pairs / (2 * len(values) ** 2 * values.mean()))


def naive_getis_ord(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The published formula, square by square and neighbour by neighbour."""
    count, mean = len(values), sum(values) / len(values)
    scatter = math.sqrt(sum(x * x for x in values) / count - mean**2)
    out = []
    for i in range(count):
        above = weight = squared = 0.0
        for j in range(count):
            w = float(max(abs(rows[i] - rows[j]), abs(columns[i] - columns[j])) <= 1)
            above, weight, squared = above + w * values[j], weight + w, squared + w * w
        below = scatter * math.sqrt((count * squared - weight**2) / (count - 1))
        out.append((above - weight * mean) / below)
    return np.array(out)
