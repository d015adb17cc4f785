"""Area averaging on a grid anchored to the slide, exact in integers.

Output pixel i covers source pixels [i·s, (i+1)·s). Its weights depend on i and s alone and are
whole multiples of 1/4096 that add up to 1; every partial sum is an integer below 2^24, which
float32 holds exactly. So the order of summation, the box asked for, the block size and the BLAS
behind it cannot change a bit.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB

WEIGHT_BITS = 12
WEIGHT_ONE = 1 << WEIGHT_BITS
# Between the two passes values keep four binary digits: 8 + 4 + 12 = 24 bits.
MIDDLE_BITS = 4
BLOCK = 16
BAND = 64
Float = NDArray[np.float32]


def source_range(start: int, count: int, scale: float) -> tuple[int, int]:
    """Half-open range of source pixels that ``count`` output pixels from ``start`` draw on."""
    first, _ = _taps(np.array([start]), scale)
    last, weights = _taps(np.array([start + count - 1]), scale)
    return int(first[0]), int(last[0]) + weights.shape[1]


def resample(source: RGB, x: int, y: int, width: int, height: int, scale: float) -> RGB:
    """Output pixels [x, x + width) x [y, y + height) of the grid that is ``scale`` times coarser.

    Parameters
    ----------
    source : (h, w, 3) uint8
        Pixels of the box `source_range` gives for both axes.
    scale : float
        Source pixels per output pixel; below 1 the result is bilinear between pixel centres.
    """
    if scale == 2:
        # The commonest ratio: (a + b + c + d + 2) >> 2, which is what the weights below come to.
        return np.asarray(
            cv2.resize(source[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        )
    out = np.empty((height, width, 3), np.uint8)
    top, _ = source_range(y, 1, scale)
    across = [(base, count, _per_colour(matrix)) for base, count, matrix in _blocks(x, width, scale)]
    for done in range(0, height, BAND):
        rows = min(BAND, height - done)
        low, high = source_range(y + done, rows, scale)
        band = source[low - top : high - top].astype(np.float32)
        down = _apply_down(band.reshape(high - low, -1), _blocks(y + done, rows, scale))
        out[done : done + rows] = _apply_across(down, across, width)
    return out


def _taps(index: NDArray[np.int64], scale: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First source pixel of each output pixel, and its weights (n, k) in units of 1/4096."""
    if scale < 1:
        centre = (index + 0.5) * scale - 0.5
        first = np.floor(centre)
        right = np.floor((centre - first) * WEIGHT_ONE + 0.5).astype(np.int64)
        return first.astype(np.int64), np.stack([WEIGHT_ONE - right, right], axis=1)
    low = index * scale
    first = np.floor(low)
    taps = int(np.ceil(scale)) + 1
    ends = first[:, None] + np.arange(1, taps + 1) - low[:, None]
    covered = np.floor(np.clip(ends / scale, 0, 1) * WEIGHT_ONE + 0.5).astype(np.int64)
    return first.astype(np.int64), np.diff(covered, axis=1, prepend=0)


def _blocks(start: int, count: int, scale: float) -> list[tuple[int, int, Float]]:
    """(first source pixel relative to the range, outputs, weight matrix (outputs, sources)) per block."""
    origin, _ = source_range(start, 1, scale)
    first, weights = _taps(np.arange(start, start + count), scale)
    blocks = []
    for low in range(0, count, BLOCK):
        high = min(low + BLOCK, count)
        base = int(first[low])
        matrix = np.zeros((high - low, int(first[high - 1]) - base + weights.shape[1]), np.float32)
        columns = (first[low:high] - base)[:, None] + np.arange(weights.shape[1])
        matrix[np.arange(high - low)[:, None], columns] = weights[low:high]
        blocks.append((base - origin, high - low, matrix))
    return blocks


def _per_colour(matrix: Float) -> Float:
    """(outputs, sources) -> (sources · 3, outputs · 3), each colour on its own."""
    return np.kron(matrix.T, np.eye(3, dtype=np.float32))


def _apply_down(band: Float, blocks: list[tuple[int, int, Float]]) -> Float:
    """(rows in, columns) -> (rows out, columns), values in 1/16 of a grey level."""
    parts = [matrix @ band[base : base + matrix.shape[1]] for base, _, matrix in blocks]
    result = np.concatenate(parts)
    result *= 1 / (1 << (WEIGHT_BITS - MIDDLE_BITS))
    result += 0.5
    return np.floor(result, out=result)


def _apply_across(rows: Float, blocks: list[tuple[int, int, Float]], width: int) -> RGB:
    """(rows, columns in · 3) -> (rows, columns out, 3) uint8, rounded half up."""
    result = np.empty((rows.shape[0], width * 3), np.float32)
    done = 0
    for base, count, matrix in blocks:
        part = rows[:, base * 3 : base * 3 + matrix.shape[0]]
        np.matmul(part, matrix, out=result[:, done : done + count * 3])
        done += count * 3
    result *= 1 / (1 << (WEIGHT_BITS + MIDDLE_BITS))
    result += 0.5
    return result.astype(np.uint8).reshape(rows.shape[0], width, 3)
