"""Small painted slides whose tissue, ink and focus are known."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import TissueSettings
from tme.slide.types import RGB
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue
from tme.tissue.types import TissueMask

GLASS = (243.0, 242.0, 244.0)
STROMA_OD = (0.08, 0.22, 0.13)
NUCLEUS_OD = (0.45, 0.42, 0.18)
INKS = {
    "blue": (0.75, 0.40, 0.13),
    "green": (0.70, 0.30, 0.36),
    "red": (0.10, 0.95, 0.90),
    "black": (0.80, 0.82, 0.78),
}
MPP = 1.0


def glass_density(height: int, width: int) -> NDArray[np.float32]:
    """Optical density of empty glass, (H, W, 3)."""
    return np.zeros((height, width, 3), np.float32)


def paint_tissue(density: NDArray, mask: NDArray[np.bool_], seed: int = 0) -> None:
    """Stroma with fibres and nuclei where ``mask`` is set, at 1 µm/px."""
    rng = np.random.default_rng(seed)
    height, width = mask.shape
    fibre = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 1.0)
    stroma = np.clip(1.0 + 0.8 * fibre, 0.3, 2.0)
    nuclei = np.zeros((height, width), np.uint8)
    for _ in range(height * width // 500):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.ellipse(nuclei, centre, (5, 3), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    soft = cv2.GaussianBlur(nuclei.astype(np.float32), (0, 0), 0.6)
    layer = stroma[..., None] * np.float32(STROMA_OD) + soft[..., None] * np.float32(NUCLEUS_OD)
    density[mask] = layer[mask]


def paint_ink(density: NDArray, mask: NDArray[np.bool_], colour: str) -> None:
    """A smooth layer of ink over whatever is there."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
    density += soft[..., None] * np.float32(INKS[colour])


def develop(density: NDArray, seed: int = 1, noise: float = 1.0, glass: tuple = GLASS) -> RGB:
    """Pixels of a density map, with sensor noise."""
    rng = np.random.default_rng(seed)
    colour = np.float32(glass) * 10.0 ** (-density)
    colour += rng.normal(0.0, noise, density.shape[:2])[..., None]
    return np.clip(colour + 0.5, 0, 255).astype(np.uint8)


def rectangle(shape: tuple[int, int], y0: int, x0: int, y1: int, x1: int) -> NDArray[np.bool_]:
    """(H, W) bool, set in a half-open box."""
    mask = np.zeros(shape, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def disk(shape: tuple[int, int], y: float, x: float, radius: float) -> NDArray[np.bool_]:
    """(H, W) bool, set within ``radius`` of a point."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2


def section(height: int = 800, width: int = 1000) -> tuple[NDArray, NDArray[np.bool_]]:
    """Density of a slide with one round section in its middle, and where the section is."""
    density = glass_density(height, width)
    mask = disk((height, width), height / 2, width / 2, 0.4 * min(height, width))
    paint_tissue(density, mask)
    return density, mask


def find(pixels: RGB, mpp: float = MPP, **settings: float) -> TissueMask:
    """Tissue of an array."""
    return find_tissue(ArraySlide(pixels, mpp), TissueSettings(**settings))


def on_mask_grid(mask: NDArray[np.bool_], found: TissueMask, mpp: float = MPP) -> NDArray[np.bool_]:
    """A mask in slide pixels on the grid of ``found``: more than half covered."""
    step = round(found.mpp / mpp)
    height, width = found.shape
    padded = np.zeros((height * step, width * step), np.float64)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(height, step, width, step).mean(axis=(1, 3)) > 0.5
