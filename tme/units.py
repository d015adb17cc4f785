"""The only place where pixels become micrometres and square millimetres, and back.

Resolution is always micrometres per pixel (µm/px, ``mpp``). Elsewhere in tme a number's unit is in
its name (``area_mm2``, ``radius_um``), and these functions are called instead of arithmetic.
"""

from __future__ import annotations

import math

UM_PER_MM = 1000.0
UM2_PER_MM2 = 1_000_000.0


def um_to_px(length_um: float, mpp: float) -> float:
    """Length in µm to (fractional) pixels at ``mpp`` µm/px."""
    return length_um / mpp


def um_to_whole_px(length_um: float, mpp: float, minimum: int = 1) -> int:
    """Length in µm to a whole number of pixels, rounded half up, at least ``minimum``."""
    return max(minimum, math.floor(length_um / mpp + 0.5))


def px_to_um(length_px: float, mpp: float) -> float:
    """Length in pixels at ``mpp`` µm/px to µm."""
    return length_px * mpp


def um2_to_px(area_um2: float, mpp: float) -> float:
    """Area in µm² to (fractional) pixels at ``mpp`` µm/px."""
    return area_um2 / (mpp * mpp)


def px_to_um2(area_px: float, mpp: float) -> float:
    """Area in pixels at ``mpp`` µm/px to µm²."""
    return area_px * mpp * mpp


def px_to_mm2(area_px: float, mpp: float) -> float:
    """Area in pixels at ``mpp`` µm/px to mm²."""
    return area_px * mpp * mpp / UM2_PER_MM2


def um2_to_mm2(area_um2: float) -> float:
    """Area in µm² to mm²."""
    return area_um2 / UM2_PER_MM2


def mm2_to_um2(area_mm2: float) -> float:
    """Area in mm² to µm²."""
    return area_mm2 * UM2_PER_MM2
