"""Writing a synthetic slide as the files scanners write; same pixels and settings, same bytes.

No dates, ids or host names are written. Levels below the first are area means, each a quarter the
width of the one above.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import tifffile

from tme.slide.types import RGB
from tme.store import write_bytes

TILE_PX = 256
_STEP = 4
_SMALLEST_PX = 512
_UM_PER_CM = 10_000.0


def _levels(pixels: RGB) -> list[RGB]:
    levels = [pixels]
    while max(levels[-1].shape[:2]) > _SMALLEST_PX * 2:
        height, width = levels[-1].shape[:2]
        size = (max(1, width // _STEP), max(1, height // _STEP))
        levels.append(np.asarray(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA), np.uint8))
    return levels


def _jpeg(quality: int) -> dict[str, Any]:
    return {
        # tifffile converts to YCbCr by itself, and takes pixels for YCbCr already when told so here.
        "photometric": "rgb",
        "tile": (TILE_PX, TILE_PX),
        "compression": "jpeg",
        "compressionargs": {"level": quality},
        "subsampling": (2, 2),
        "metadata": None,
        "software": False,
    }


def _resolution(mpp: float) -> dict[str, Any]:
    return {"resolution": (_UM_PER_CM / mpp, _UM_PER_CM / mpp), "resolutionunit": "CENTIMETER"}


def write_tiff(path: Path, pixels: RGB, mpp: float, quality: int = 80) -> None:
    """Generic pyramidal tiled TIFF: JPEG tiles, resolution tags, smaller levels as further pages."""
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as tiff:
        for k, level in enumerate(_levels(pixels)):
            scale = pixels.shape[1] / level.shape[1]
            tiff.write(level, subfiletype=int(k > 0), **_jpeg(quality), **_resolution(mpp * scale))
    write_bytes(path, data.getvalue())


def write_ome_tiff(path: Path, pixels: RGB, mpp: float, quality: int = 80) -> None:
    """OME-TIFF: one RGB image, its pyramid in SubIFDs, physical size in the OME-XML."""
    levels = _levels(pixels)
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as tiff:
        for k, level in enumerate(levels):
            scale = pixels.shape[1] / level.shape[1]
            extra: dict[str, Any] = {"subfiletype": 1} if k else {"subifds": len(levels) - 1}
            if k == 0:
                extra["description"] = _ome_xml(path.name, pixels, mpp).encode("ascii", "xmlcharrefreplace")
            tiff.write(level, **extra, **_jpeg(quality), **_resolution(mpp * scale))
    write_bytes(path, data.getvalue())


def _ome_xml(name: str, pixels: RGB, mpp: float) -> str:
    height, width = pixels.shape[:2]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
        'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
        f'<Image ID="Image:0" Name={quoteattr(name)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" '
        f'SizeC="3" SizeZ="1" SizeT="1" Interleaved="true" PhysicalSizeX="{mpp}" PhysicalSizeXUnit="µm" '
        f'PhysicalSizeY="{mpp}" PhysicalSizeYUnit="µm"><Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )


def write_svs(path: Path, pixels: RGB, mpp: float, quality: int = 80) -> None:
    """Aperio-style SVS: level 0, thumbnail, further levels; no label, no macro, no date."""
    height, width = pixels.shape[:2]
    levels = _levels(pixels)
    tail = f"|AppMag = {round(10 / mpp)}|MPP = {mpp:.4f}"
    head = "Aperio Image Library v12.0.15 \r\n"
    kind = f"({TILE_PX}x{TILE_PX}) JPEG/RGB Q={quality}"
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as tiff:
        full = f"{head}{width}x{height} [0,0 {width}x{height}] {kind}{tail}"
        tiff.write(pixels, description=full, **_jpeg(quality))
        _write_thumbnail(tiff, pixels, f"{head}{width}x{height} -> ", tail, quality)
        for level in levels[1:]:
            shape = f"{level.shape[1]}x{level.shape[0]}"
            text = f"{head}{width}x{height} [0,0 {width}x{height}] -> {shape} {kind}{tail}"
            tiff.write(level, description=text, **_jpeg(quality))
    write_bytes(path, data.getvalue())


def _write_thumbnail(tiff: Any, pixels: RGB, head: str, tail: str, quality: int) -> None:
    height, width = pixels.shape[:2]
    scale = min(1.0, 512 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    settings = _jpeg(quality) | {"tile": None, "rowsperstrip": size[1]}
    tiff.write(small, description=f"{head}{size[0]}x{size[1]} -{tail}", **settings)


WRITERS: dict[str, Callable[[Path, RGB, float, int], None]] = {
    ".tif": write_tiff,
    ".ome.tif": write_ome_tiff,
    ".svs": write_svs,
}
