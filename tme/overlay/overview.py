"""The whole slide as one small picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tme.geometry import grid
from tme.slide.types import RGB, Slide
from tme.store import write_bytes
from tme.units import px_to_um

OVERVIEW_PX = 1280
THUMBNAIL_PX = 480
JPEG_QUALITY = 75
READ_PX = 2048


@dataclass(frozen=True, eq=False)
class Overview:
    """The whole slide, small.

    Attributes
    ----------
    pixels : (H, W, 3) uint8 RGB
    mpp : float
        µm/px of ``pixels``.
    """

    pixels: RGB
    mpp: float

    @property
    def width_um(self) -> float:
        """Width of the picture, µm."""
        return px_to_um(self.pixels.shape[1], self.mpp)

    @property
    def height_um(self) -> float:
        """Height of the picture, µm."""
        return px_to_um(self.pixels.shape[0], self.mpp)


def read_overview(slide: Slide, longest_px: int = OVERVIEW_PX) -> Overview:
    """Read the whole slide so that its longer side has about ``longest_px`` pixels, never enlarged.

    It is read in parts that need at most about 4 Mpx of the file each, so that a slide without a
    pyramid does not have to fit into memory.
    """
    info = slide.info
    longest_um = px_to_um(max(info.width, info.height), info.mpp)
    mpp = max(info.mpp, longest_um / longest_px)
    width, height = info.size_at(mpp)
    source = max((level.mpp for level in info.levels if level.mpp <= mpp), default=info.mpp)
    pixels = np.full((height, width, 3), 255, np.uint8)
    for box in grid(width, height, max(16, int(READ_PX * source / mpp))):
        pixels[box.y0 : box.y1, box.x0 : box.x1] = slide.read(box.x0, box.y0, box.width, box.height, mpp)
    return Overview(pixels, mpp)


def write_thumbnail(path: Path, overview: Overview, longest_px: int = THUMBNAIL_PX) -> None:
    """Write the slide's small JPEG for the cohort index; nothing of the file's metadata goes in."""
    pixels = overview.pixels
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    write_bytes(path, jpeg_bytes(np.asarray(small, np.uint8)))


def jpeg_bytes(pixels: RGB, quality: int = JPEG_QUALITY) -> bytes:
    """A baseline JPEG of an (H, W, 3) uint8 array, without any metadata."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG", quality=quality, optimize=True)
    return stream.getvalue()


def indexed_png_bytes(
    index: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]], opacities: Sequence[float]
) -> bytes:
    """A PNG of an (H, W) uint8 array of places in ``colours``, each with its own opacity, 0-1."""
    image = Image.fromarray(np.ascontiguousarray(index), "P")
    image.putpalette([part for colour in colours for part in colour])
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, transparency=bytes(round(255 * share) for share in opacities))
    return stream.getvalue()


def data_url(content: bytes, kind: str) -> str:
    """``data:`` URL of a picture; a page opened from a folder may draw these, but not its files."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
