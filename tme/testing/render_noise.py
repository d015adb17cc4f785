"""Smooth random fields and streaks, the raw material of every texture on a synthetic slide."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def standardised(field: NDArray) -> Field:
    """``field`` as float32 with mean 0 and standard deviation 1."""
    values = np.asarray(field, np.float32)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6), np.float32)


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Field:
    """(H, W) Gaussian noise with a correlation length of about ``scale`` cells, mean 0, SD 1.

    Made on a grid ``scale`` / 3 coarser and enlarged, so the cost does not grow with ``scale``.
    """
    step = max(1.0, scale / 3.0)
    small = (int(np.ceil(shape[0] / step)) + 8, int(np.ceil(shape[1] / step)) + 8)
    noise = cv2.GaussianBlur(rng.standard_normal(small, np.float32), (0, 0), scale / step * 0.6)
    size = (int(np.ceil(small[1] * step)), int(np.ceil(small[0] * step)))
    large = noise if step == 1.0 else cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    y, x = (large.shape[0] - shape[0]) // 2, (large.shape[1] - shape[1]) // 2
    return standardised(large[y : y + shape[0], x : x + shape[1]])


def rough_noise(
    shape: tuple[int, int], scales: tuple[float, ...], weights: tuple[float, ...], rng: np.random.Generator
) -> Field:
    """Sum of `smooth_noise` at several scales, mean 0, SD 1."""
    total = np.zeros(shape, np.float32)
    for scale, weight in zip(scales, weights, strict=True):
        total += np.float32(weight) * smooth_noise(shape, scale, rng)
    return standardised(total)


def enlarge(field: NDArray, size: tuple[int, int]) -> Field:
    """A float field resized to ``size`` = (width, height) by linear interpolation."""
    return np.asarray(
        cv2.resize(np.asarray(field, np.float32), size, interpolation=cv2.INTER_LINEAR), np.float32
    )


def streaks(angle: Field, length: int, rng: np.random.Generator) -> Field:
    """(H, W) noise smeared along ``angle`` (radians, x right, y down) over about ``length`` cells.

    Line integral convolution by repeated doubling: each step averages the field with itself shifted
    by 1, 2, 4 … cells both ways along the local direction. Cabral & Leedom, SIGGRAPH 1993.
    """
    height, width = angle.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    along_x, along_y = np.cos(angle), np.sin(angle)
    field = rng.standard_normal((height, width), np.float32)
    shift = 1
    while shift <= length // 2:
        ahead = cv2.remap(
            field, x + shift * along_x, y + shift * along_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        behind = cv2.remap(
            field, x - shift * along_x, y - shift * along_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        field = 0.5 * field + 0.25 * (ahead + behind)
        shift *= 2
    return standardised(field)


def ramp(values: NDArray, low: float, high: float) -> Field:
    """0 below ``low``, 1 above ``high``, smooth in between."""
    t = np.clip((np.asarray(values, np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
