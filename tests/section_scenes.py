"""Maps of two sections of one block: what they share, what each has of its own, and how one lies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tme.register import MAP_MPP, Registration, SectionMap

Floats = NDArray[np.float32]


def noise(shape: tuple[int, int], sigma_um: float, seed: int) -> Floats:
    """Smooth noise of spread 1."""
    field = np.random.default_rng(seed).normal(size=shape)
    field = ndimage.gaussian_filter(field, sigma_um / MAP_MPP)
    return np.asarray(field / field.std(), np.float32)


def block(seed: int, width_um: float = 3000, height_um: float = 2400) -> SectionMap:
    """What every section of a block shows: tissue with a ragged edge, and structure of 20 to 200 µm."""
    shape = (round(height_um / MAP_MPP), round(width_um / MAP_MPP))
    rows, columns = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    inside = np.hypot(rows, columns) + 0.12 * noise(shape, 250, seed) < 0.8
    density = 0.2 + 0.04 * noise(shape, 20, seed + 1) + 0.05 * noise(shape, 120, seed + 2)
    return SectionMap(np.where(inside, density, 0).astype(np.float32), inside, MAP_MPP)


def section(
    of: SectionMap,
    lies: Registration,
    seed: int,
    own: float = 0.04,
    warp: Floats | None = None,
    room_um: float = 600,
) -> SectionMap:
    """A section of the block as it lies on its own slide.

    Parameters
    ----------
    of : SectionMap
    lies : Registration
        Where a place of the block is on the slide.
    seed : int
    own : float
        OD; spread of what the section shows alone, nuclei of other cells and stain.
    warp : (2, H, W) float32, optional
        How far, right and down in µm, each place of the slide's tissue was torn from where it should be.
    room_um : float
        Glass at the right and below.
    """
    height, width = (length + round(room_um / MAP_MPP) for length in of.density.shape)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    right, down = (np.float32(0), np.float32(0)) if warp is None else warp / np.float32(MAP_MPP)
    matrix = cv2.invertAffineTransform(lies.matrix(MAP_MPP, MAP_MPP))
    x = matrix[0, 0] * (columns - right) + matrix[0, 1] * (rows - down) + matrix[0, 2]
    y = matrix[1, 0] * (columns - right) + matrix[1, 1] * (rows - down) + matrix[1, 2]
    at = (x.astype(np.float32), y.astype(np.float32))
    density = cv2.remap(of.density, *at, cv2.INTER_LINEAR)
    usable = cv2.remap(of.usable.astype(np.float32), *at, cv2.INTER_LINEAR) >= 0.5
    density = 1.3 * density + own * noise((height, width), 10, seed)
    return SectionMap(np.where(usable, np.maximum(density, 0), 0).astype(np.float32), usable, MAP_MPP)


def turned_about_middle(angle_deg: float, of: SectionMap, right_um: float, down_um: float) -> Registration:
    """A turn about the block's middle, then a shift."""
    height, width = of.density.shape
    middle = np.array([width, height]) * MAP_MPP / 2
    turn = Registration(angle_deg, 0.0, 0.0).matrix(1.0, 1.0)[:, :2]
    shift = middle - turn @ middle + [right_um, down_um]
    return Registration(angle_deg, float(shift[0]), float(shift[1]))


def true_error_um(found: Registration, lies: Registration, of: SectionMap) -> Floats:
    """Distance, over usable tissue, between where a place is and where it is said to be; (N,) µm."""
    rows, columns = np.nonzero(of.usable)
    places = np.stack([columns, rows, np.ones(len(rows))])
    apart = found.matrix(MAP_MPP, MAP_MPP) @ places - lies.matrix(MAP_MPP, MAP_MPP) @ places
    return np.asarray(np.hypot(*apart) * MAP_MPP, np.float32)
