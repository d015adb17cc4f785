"""Slide -> SectionMap, and its file.

The slide is read once at `MAP_MPP` in fixed blocks. What is kept is the density of haematoxylin, which
sections of one block share whatever marker is stained on them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from tme.errors import ArtefactError
from tme.geometry import grid
from tme.register.types import SectionMap
from tme.slide.types import Slide
from tme.stains.deconvolve import stain_od
from tme.stains.types import StainProfile
from tme.store import write_bytes
from tme.tissue.types import TissueMask

MAP_MPP = 8.0
STEPS_PER_OD = 200.0
READ_PX = 2048


def read_map(slide: Slide, profile: StainProfile) -> NDArray[np.uint8]:
    """(H, W) uint8 haematoxylin density at `MAP_MPP` in steps of 1/200 OD, cut at 0 and 1.275 OD."""
    info = slide.info
    width, height = info.size_at(MAP_MPP)
    out = np.zeros((height, width), np.uint8)
    source = max((level.mpp for level in info.levels if level.mpp <= MAP_MPP), default=info.mpp)
    for box in grid(width, height, max(16, int(READ_PX * source / MAP_MPP))):
        pixels = slide.read(box.x0, box.y0, box.width, box.height, MAP_MPP)
        density = stain_od(pixels, profile)[..., 0] * np.float32(STEPS_PER_OD)
        out[box.y0 : box.y1, box.x0 : box.x1] = np.clip(np.rint(density), 0, 255).astype(np.uint8)
    return out


def save_map(path: Path, density: NDArray[np.uint8]) -> None:
    """Write what `read_map` gives as a lossless PNG; the same map gives the same bytes.

    Raises
    ------
    SpaceError
        If the disk is full.
    """
    write_bytes(path, bytes(imagecodecs.png_encode(density, level=6)))


def load_map(path: Path, tissue: TissueMask) -> SectionMap:
    """The map of a section, with its usable tissue on the map's grid.

    Raises
    ------
    ArtefactError
        If the file is missing or not such a PNG.
    """
    try:
        steps = imagecodecs.png_decode(path.read_bytes())
        if steps.dtype != np.uint8 or steps.ndim != 2:
            raise ValueError("it is not an 8-bit grey PNG")
    except (OSError, ValueError, RuntimeError) as error:
        raise ArtefactError(
            "this map of a section cannot be read",
            where=path.name,
            why=str(error)[:200] or "it is not a PNG",
            fix="run `tme run` again; it is made anew",
        ) from error
    height, width = steps.shape
    scale = MAP_MPP / tissue.mpp
    # The mask's pixel under the centre of each of the map's.
    to_mask = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
    usable = cv2.warpAffine(
        tissue.usable.astype(np.uint8),
        to_mask,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    return SectionMap(steps.astype(np.float32) / np.float32(STEPS_PER_OD), usable.astype(bool), MAP_MPP)
