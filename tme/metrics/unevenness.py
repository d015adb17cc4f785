"""How unevenly something lies over squares: Gini, Getis and Ord's G*, and Morisita's overlap.

Each works on many patterns at once: the last axis runs over the squares. NaN where an index does not
exist, because nothing lies in any square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
ROUNDING = 1e-12
"""A scatter below this share of the mean is a rounding error."""


def gini(values: Numbers, weights: Numbers | None = None) -> Numbers:
    """Gini's coefficient: half the mean absolute difference between two squares over the mean.

    G = Σ_i Σ_j |x_i − x_j| / (2 n² x̄): 0 where all are equal, 1 − 1/n where one holds everything
    (Gini 1912, Variabilità e mutabilità; Sen 1973, On Economic Inequality).

    Parameters
    ----------
    values : (..., N) float64
        0 or more.
    weights : (..., N) float64, optional
        How often each square is taken; 1 if left out. Either argument may lack leading axes.

    Returns
    -------
    (...) float64
    """
    weights = np.ones(values.shape[-1]) if weights is None else weights
    values, weights = np.broadcast_arrays(values, weights)
    order = np.argsort(values, axis=-1, kind="stable")
    values, weights = np.take_along_axis(values, order, -1), np.take_along_axis(weights, order, -1)
    # In ascending order the double sum is a single one over the weights below less those above.
    reached = np.cumsum(weights, axis=-1)
    whole = weights.sum(axis=-1, keepdims=True)
    above = (weights * values * (2 * reached - weights - whole)).sum(axis=-1)
    below = whole[..., 0] * (weights * values).sum(axis=-1)
    return _ratio(above, below)


def queen_neighbours(rows: Places, columns: Places) -> Places:
    """Each square and those that touch it by a side or a corner.

    Parameters
    ----------
    rows, columns : (N,) int64
        Places of the squares, each once.

    Returns
    -------
    (N, 9) int64
        Numbers of the neighbours, the square itself among them; N stands for one that is not there.
    """
    count = len(rows)
    numbers = np.full((int(rows.max(initial=0)) + 3, int(columns.max(initial=0)) + 3), count)
    numbers[rows + 1, columns + 1] = np.arange(count)
    down, right = (offset.ravel() for offset in np.mgrid[0:3, 0:3])
    return np.asarray(numbers[rows[:, None] + down, columns[:, None] + right])


def getis_ord(values: Numbers, neighbours: Places) -> Numbers:
    """Getis and Ord's local G*, as a standard normal deviate.

    G*_i = (Σ_j w_ij x_j − W_i x̄) / (S √((N Σ_j w_ij² − W_i²) / (N − 1))), with w_ij = 1 for the square
    itself and its neighbours, W_i = Σ_j w_ij and S² = Σ x²/N − x̄² (Getis and Ord 1992, Geogr Anal
    24:189; Ord and Getis 1995, Geogr Anal 27:286).

    Parameters
    ----------
    values : (..., N) float64
        At least one.
    neighbours : (N, K) int64
        As from `queen_neighbours`.

    Returns
    -------
    (..., N) float64
        0 where all values are equal, or where everything is a neighbour.
    """
    count = values.shape[-1]
    padded = np.concatenate([values, np.zeros((*values.shape[:-1], 1))], axis=-1)
    # One neighbour after the other: all at once would be K times the patterns.
    around = np.zeros(values.shape)
    for which in neighbours.T:
        around += padded[..., which]
    mean = values.mean(axis=-1, keepdims=True)
    scatter = values.std(axis=-1, keepdims=True)
    scatter = np.where(scatter > ROUNDING * np.abs(mean), scatter, 0.0)
    near = (neighbours < count).sum(axis=1).astype(np.float64)
    spread = scatter * np.sqrt((count * near - near**2) / max(count - 1, 1))
    return np.divide(around - near * mean, spread, out=np.zeros(values.shape), where=spread > 0)


def morisita_horn(one: Numbers, other: Numbers, weights: Numbers | None = None) -> Numbers:
    """Morisita's overlap of two kinds of objects in Horn's form.

    C = 2 Σ x_i y_i / ((Σ x_i²/X² + Σ y_i²/Y²) X Y), X = Σ x_i, Y = Σ y_i: 1 where both are shared out
    alike, 0 where no square holds both (Morisita 1959; Horn 1966, Am Nat 100:419; of immune and cancer
    cells Maley 2015, Breast Cancer Res 17:131).

    Parameters
    ----------
    one, other : (..., N) float64
        Counts.
    weights : (..., N) float64, optional
        How often each square is taken; 1 if left out. Any argument may lack leading axes.

    Returns
    -------
    (...) float64
    """
    weights = np.ones(one.shape[-1]) if weights is None else weights
    x, y = (weights * one).sum(axis=-1), (weights * other).sum(axis=-1)
    both = (weights * one * other).sum(axis=-1)
    # With X Y multiplied through, so that nothing is divided by an empty sum.
    below = (weights * one**2).sum(axis=-1) * y**2 + (weights * other**2).sum(axis=-1) * x**2
    return _ratio(2 * both * x * y, np.where(x * y > 0, below, 0.0))


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    above, below = np.asarray(above), np.asarray(below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
