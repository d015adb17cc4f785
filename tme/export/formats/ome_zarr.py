"""``ome-zarr``: ``slide.ome.zarr``, the thumbnail with label images of tissue, cells and vessels.

Coordinates are µm from the slide's top-left corner, the centre of the first pixel at half a pixel, so that
images of different resolution lie on each other and on ``x_um``, ``y_um``. Metadata: OME-Zarr 0.5
(Zarr 3) or 0.4 (Zarr 2), https://ngff.openmicroscopy.org.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tme.export.formats import FORMATS, ExportOptions
from tme.export.label_map import LabelMap
from tme.export.published import PublishedSlide, whole_px
from tme.overlay.palette import artefact_colour, class_colour, region_colour, rgb
from tme.store import space_guard
from tme.tables import read_parquet
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.units import px_to_um

if TYPE_CHECKING:
    import zarr

CHUNK = 1024
SMALLEST = 256
CHANNELS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


@dataclass(frozen=True)
class Named:
    """One value of a label image that stands for a class."""

    value: int
    name: str
    colour: str


class OmeZarr:
    """Labels ``tissue``, ``cells``, ``cell_classes`` and ``vessels`` under the thumbnail."""

    version = 1

    def missing(self) -> str:
        """See `tme.export.formats.Format.missing`."""
        return ""

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """See `tme.export.formats.Format.write`."""
        import zarr

        layout = _Layout(options.ngff)
        with space_guard(folder):
            root = zarr.open_group(folder / "slide.ome.zarr", mode="w", zarr_format=layout.zarr_format)
            # A label image must have as many levels as its image.
            depth = max(_depth(_shape(slide, mpp)) for mpp in (slide.tissue().mpp, *slide.work_mpp.values()))
            _write_thumbnail(root, slide, layout, depth)
            labels = root.create_group("labels")
            names = ["tissue"]
            _write_tissue(labels.create_group("tissue"), slide.tissue(), layout, depth)
            for kind in slide.objects:
                names += _write_objects(labels, slide, kind, layout, depth)
            labels.attrs.update(layout.attributes({"labels": names}))


@dataclass(frozen=True)
class _Layout:
    """What differs between the versions of OME-Zarr."""

    ngff: str

    @property
    def zarr_format(self) -> Any:
        return 3 if self.ngff == "0.5" else 2

    def attributes(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """0.5 keeps everything under ``ome`` with one version, 0.4 has it bare, each part with its own."""
        if self.ngff == "0.5":
            return {"ome": {"version": self.ngff, **metadata}}
        if "multiscales" in metadata:
            metadata["multiscales"][0]["version"] = self.ngff
        if "image-label" in metadata:
            metadata["image-label"]["version"] = self.ngff
        return metadata

    def array(self, group: zarr.Group, level: int, shape: tuple[int, ...], dtype: str) -> zarr.Array:
        axes = ("c", "y", "x")[-len(shape) :]
        chunks = tuple(
            min(CHUNK, side) if axis != "c" else side for axis, side in zip(axes, shape, strict=True)
        )
        separator = {"name": "default" if self.ngff == "0.5" else "v2", "separator": "/"}
        named = {"dimension_names": axes} if self.ngff == "0.5" else {}
        return group.create_array(
            str(level),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=0,
            chunk_key_encoding=separator,
            **named,
        )


def _multiscale(name: str, axes: str, levels: Sequence[tuple[float, float, float, float]]) -> dict[str, Any]:
    """Metadata of a pyramid; a level is its pixel's height and width and its first centre's y and x, µm."""
    kinds = {"c": {"name": "c", "type": "channel"}}
    space = {axis: {"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"}
    lead_scale, lead_shift = ([1.0], [0.0]) if "c" in axes else ([], [])
    return {
        "name": name,
        "axes": [{**kinds, **space}[axis] for axis in axes],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [*lead_scale, height, width]},
                    {"type": "translation", "translation": [*lead_shift, y, x]},
                ],
            }
            for level, (height, width, y, x) in enumerate(levels)
        ],
    }


def _shape(slide: PublishedSlide, mpp: float) -> tuple[int, int]:
    """(H, W) of the grid at ``mpp`` that covers the slide."""
    return whole_px(slide.height_um, mpp), whole_px(slide.width_um, mpp)


def _depth(shape: tuple[int, ...]) -> int:
    """Levels until the longer side has at most `SMALLEST` pixels."""
    return 1 + math.ceil(math.log2(max(1.0, max(shape) / SMALLEST)))


def _halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(C, ⌈H/2⌉, ⌈W/2⌉): means of 2 x 2 pixels of a (C, H, W) picture."""
    _, height, width = pixels.shape
    even = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    total = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def _write_thumbnail(root: zarr.Group, slide: PublishedSlide, layout: _Layout, depth: int) -> None:
    pixels = np.moveaxis(slide.thumbnail(), -1, 0)
    height, width = slide.height_um / pixels.shape[1], slide.width_um / pixels.shape[2]
    levels = []
    for level in range(depth):
        layout.array(root, level, pixels.shape, "uint8")[:] = pixels
        levels.append((height, width, height / 2, width / 2))
        pixels, height, width = _halved(pixels), height * 2, width * 2
    channels = [
        {
            "label": label,
            "color": colour,
            "active": True,
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        }
        for label, colour in CHANNELS
    ]
    metadata = {
        "multiscales": [_multiscale(slide.slide_id, "cyx", levels)],
        "omero": {"channels": channels, "rdefs": {"model": "color"}},
    }
    root.attrs.update(layout.attributes(metadata))


def _write_tissue(group: zarr.Group, mask: TissueMask, layout: _Layout, depth: int) -> None:
    """1 is usable tissue, k + 2 the first of `ARTEFACTS` found there."""
    values = mask.tissue.astype(np.uint8)
    for place, name in reversed(list(enumerate(ARTEFACTS))):
        values[mask.artefact(name)] = place + 2
    named = [Named(1, "tissue", region_colour("evaluable"))]
    named += [Named(place + 2, name, artefact_colour(name)) for place, name in enumerate(ARTEFACTS)]
    _write_labels(group, values.shape, [(0, values)], mask.mpp, layout, depth, named)


def _write_objects(
    labels: zarr.Group, slide: PublishedSlide, kind: str, layout: _Layout, depth: int
) -> list[str]:
    """Objects by number, and by class where they have one; names of the images."""
    mpp = slide.work_mpp[kind]
    shape = _shape(slide, mpp)
    outlines = LabelMap(slide.outlines(kind), slide.mpp, mpp)

    def bands() -> Iterator[tuple[int, NDArray]]:
        return outlines.bands(shape[1], shape[0], CHUNK)

    _write_labels(labels.create_group(kind), shape, bands(), mpp, layout, depth)
    if "class" not in slide.rows(kind).column_names:
        return [kind]
    classes = read_parquet(slide.folder / f"{kind}.parquet", ["class"]).column(0).to_pylist()
    names = sorted({name for name in classes if name})
    number = {name: value for value, name in enumerate(names, start=1)}
    value_of = np.array([0, *(number.get(name, 0) for name in classes)], np.uint8)
    title = f"{kind.removesuffix('s')}_classes"
    named = [Named(value, name, class_colour(name)) for name, value in number.items()]
    coloured = ((top, value_of[band]) for top, band in bands())
    _write_labels(labels.create_group(title), shape, coloured, mpp, layout, depth, named)
    return [kind, title]


def _write_labels(
    group: zarr.Group,
    shape: tuple[int, ...],
    bands: Iterable[tuple[int, NDArray]],
    mpp: float,
    layout: _Layout,
    depth: int,
    named: Sequence[Named] = (),
) -> None:
    """A pyramid of every second pixel of the level below, which never makes a label that is not there."""
    array: zarr.Array | None = None
    for top, band in bands:
        if array is None:
            array = layout.array(group, 0, shape, band.dtype.name)
        array[top : top + len(band)] = band
    if array is None:
        raise ValueError("a label image has at least one row")
    levels = [(px_to_um(1.0, mpp),) * 2 + (px_to_um(0.5, mpp),) * 2]
    while len(levels) < depth:
        # Pixel (0, 0) stays the first of every level, so its centre stays where it is.
        smaller = layout.array(
            group, len(levels), tuple(-(-side // 2) for side in array.shape), array.dtype.name
        )
        for top in range(0, array.shape[0], 2 * CHUNK):
            part = array[top : top + 2 * CHUNK][::2, ::2]
            smaller[top // 2 : top // 2 + len(part)] = part
        levels.append((levels[-1][0] * 2, levels[-1][1] * 2, *levels[0][2:]))
        array = smaller
    about: dict[str, Any] = {"source": {"image": "../../"}}
    if named:
        about["colors"] = [{"label-value": one.value, "rgba": [*rgb(one.colour), 255]} for one in named]
        about["properties"] = [{"label-value": one.value, "name": one.name} for one in named]
    metadata = {"multiscales": [_multiscale(group.basename, "yx", levels)], "image-label": about}
    group.attrs.update(layout.attributes(metadata))


FORMATS.add("ome-zarr", OmeZarr())
