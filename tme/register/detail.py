"""What is compared of two sections: density without slow changes of light and stain, at one scale."""

from __future__ import annotations

import cv2
import numpy as np

from tme.register.types import Floats, SectionMap
from tme.tissue.types import Mask
from tme.units import um_to_px

SMALL_PX = 1.0
"""Standard deviations of the blurs whose difference is kept: nuclei one by one do not come back on the
next section, and the stain's strength says nothing of the place."""
LARGE_UM = 150.0
LARGEST = 3.0
LEAST_OVERLAP = 0.25
"""Share of the smaller section that must lie on the other: on a sliver anything correlates."""


def shrunk(section: SectionMap, mpp: float) -> SectionMap:
    """The section's map at a coarser µm/px; density is 0 outside usable tissue."""
    inside = section.usable.astype(np.float32)
    scale = section.mpp / mpp
    height, width = section.density.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Whole pixels must stay where they are, so the map is padded to a multiple rather than stretched.
    padded = (round(size[0] / scale) - width, round(size[1] / scale) - height)
    density, inside = (_fitted(values, padded) for values in (section.density * inside, inside))
    share = cv2.resize(inside, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(density, size, interpolation=cv2.INTER_AREA)
    mean = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
    usable = share >= 0.5
    return SectionMap(np.where(usable, mean, 0).astype(np.float32), usable, mpp)


def _fitted(values: Floats, more: tuple[int, int]) -> Floats:
    right, down = more
    values = values[: values.shape[0] + min(down, 0), : values.shape[1] + min(right, 0)]
    return np.pad(values, ((0, max(down, 0)), (0, max(right, 0))))


def detail(section: SectionMap) -> Floats:
    """(H, W) float32: density between the two blurs, over its spread; 0 outside usable tissue."""
    large_px = max(2.0 * SMALL_PX, um_to_px(LARGE_UM, section.mpp))
    difference = _blurred(section, SMALL_PX) - _blurred(section, large_px)
    inside = difference[section.usable]
    spread = float(inside.std()) if inside.size else 0.0
    if spread == 0:
        return np.zeros_like(section.density)
    levelled = np.clip((difference - inside.mean()) / np.float32(spread), -LARGEST, LARGEST)
    return np.where(section.usable, levelled, 0).astype(np.float32)


def _blurred(section: SectionMap, sigma_px: float) -> Floats:
    """Mean density of the usable tissue around each pixel."""
    weight = cv2.GaussianBlur(section.usable.astype(np.float32), (0, 0), sigma_px)
    total = cv2.GaussianBlur(np.where(section.usable, section.density, 0), (0, 0), sigma_px)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)


def turned(values: Floats | Mask, matrix: np.ndarray, shape: tuple[int, int]) -> Floats:
    """An image of the moving section as it lies on the fixed one's grid of ``shape`` (H, W); 0 beyond it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(np.asarray(values, np.float32), matrix, shape[::-1], flags=flags), np.float32
    )
