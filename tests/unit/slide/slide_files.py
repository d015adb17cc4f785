"""Synthetic pictures and the same pixels in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
MPP = 0.5


Colour = tuple[int, int, int]
UNSTAINED: tuple[Colour, Colour] = ((220, 216, 221), (112, 108, 150))
"""Stroma and nuclei of a DAB section."""


def tissue(
    height: int, width: int, seed: int = 0, colours: tuple[Colour, Colour] = ((226, 178, 205), (110, 70, 140))
) -> Pixels:
    """Glass on the left, stroma with nuclei on the right (pink and purple), a little noise."""
    rng = np.random.default_rng(seed)
    out = np.full((height, width, 3), (243, 242, 244), np.float64)
    out[:, width // 4 :] = colours[0]
    rows, columns = np.mgrid[:height, :width]
    for _ in range(max(4, height * width // 1500)):
        y, x = rng.uniform(0, height), rng.uniform(width // 4, width)
        out[(rows - y) ** 2 + (columns - x) ** 2 < rng.uniform(3, 7) ** 2] = colours[1]
    return np.clip(out + rng.normal(0, 4, out.shape), 0, 255).astype(np.uint8)


def halved(pixels: Pixels) -> Pixels:
    """The next level of a pyramid."""
    cut = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2].astype(np.uint16)
    return ((cut[::2, ::2] + cut[1::2, ::2] + cut[::2, 1::2] + cut[1::2, 1::2] + 2) // 4).astype(np.uint8)


def ome_xml(width: int, height: int, pixels: str = "", root: str = "", mpp: str = "0.5") -> str:
    """A minimal OME description of one RGB image."""
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {root}>'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="3" '
        f'SizeZ="1" SizeT="1" DimensionOrder="XYCZT" PhysicalSizeX="{mpp}" PhysicalSizeY="{mpp}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="3"/>{pixels or "<TiffData/>"}</Pixels></Image></OME>'
    )


def write_tiff(path: Path, pixels: Pixels, **options: object) -> Path:
    """A plain TIFF with its µm/px in the resolution tags."""
    per_cm = 10_000 / MPP
    keywords = {
        "photometric": "rgb",
        "metadata": None,
        "resolution": (per_cm, per_cm),
        "resolutionunit": "CENTIMETER",
        **options,
    }
    tifffile.imwrite(path, pixels, **keywords)
    return path


def write_ome(path: Path, pixels: Pixels, levels: int = 0) -> Path:
    """An OME-TIFF with ``levels`` SubIFDs."""
    with tifffile.TiffWriter(path) as tiff:
        common = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate", "metadata": None}
        text = ome_xml(pixels.shape[1], pixels.shape[0])
        tiff.write(pixels, description=text, subifds=levels, **common)
        for _ in range(levels):
            pixels = halved(pixels)
            tiff.write(pixels, subfiletype=1, **common)
    return path


def write_png(path: Path, pixels: Pixels) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def write_zarr(path: Path, pixels: Pixels, version: str = "0.5", unit: str = "micrometer") -> Path:
    """OME-Zarr with one level, colour first."""
    import zarr

    scale = [{"type": "scale", "scale": [1.0, MPP, MPP]}]
    axes = [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space", "unit": unit} for n in "yx"]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    kind = 3 if version == "0.5" else 2
    group = zarr.create_group(path, zarr_format=kind)
    value = {"version": version, "multiscales": scales}
    group.attrs.update({"ome": value} if kind == 3 else value)
    planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    array = group.create_array("0", shape=planes.shape, dtype="uint8", chunks=(3, 50, 70))
    array[:] = planes
    return path
