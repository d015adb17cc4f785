"""OME-Zarr 0.4 and 0.5 in a local folder: RGB images of unsigned bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tme.errors import SlideError
from tme.slide.guards import decoding, shown
from tme.slide.resolution import in_um
from tme.slide.source import BACKENDS, Header, RawLevel
from tme.slide.types import RGB
from tme.slide.white import on_white

if TYPE_CHECKING:
    import zarr

ROOT_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
MAX_METADATA_BYTES = 1_000_000
MIN_TILE = 512
RGB_COLOURS = ("ff0000", "00ff00", "0000ff")
RGB_LABELS = (("red", "green", "blue"), ("r", "g", "b"))


class ZarrBackend:
    """Registered as ``zarr``."""

    rank = 5

    def claims(self, path: Path, head: bytes) -> bool:
        """A folder that is a Zarr group or array."""
        return path.is_dir() and any((path / name).is_file() for name in ROOT_FILES)

    def open(self, path: Path) -> ZarrSource:
        """See `tme.slide.source.Backend.open`."""
        with decoding(path, "the OME-Zarr cannot be read"):
            return ZarrSource(path)


@dataclass(frozen=True)
class Multiscale:
    """The parts of an OME-Zarr image's metadata that matter here."""

    folder: Path
    axes: tuple[str, ...]
    units: tuple[str, ...]
    paths: tuple[str, ...]
    scale: tuple[float, ...]


class ZarrSource:
    """An open OME-Zarr image; see `tme.slide.source.Source`."""

    def __init__(self, path: Path) -> None:
        image = _multiscale(path)
        self._axes = image.axes
        self._arrays = [_open_array(path, image.folder, name) for name in image.paths]
        for array in self._arrays:
            _check_array(path, array, image.axes)
        sizes = dict(zip(image.axes, range(len(image.axes)), strict=True))
        step = {axis: in_um(image.scale[i], image.units[i]) for axis, i in sizes.items() if axis in "xy"}
        self.header = Header(
            levels=tuple(_level(array, image.axes) for array in self._arrays),
            mpp_x=step["x"],
            mpp_y=step["y"],
            vendor="ome-zarr",
        )

    def tile(self, level: int, column: int, row: int) -> RGB:
        """See `tme.slide.source.Source.tile`."""
        raw = self.header.levels[level]
        spans = {
            "y": slice(row * raw.tile_height, min((row + 1) * raw.tile_height, raw.height)),
            "x": slice(column * raw.tile_width, min((column + 1) * raw.tile_width, raw.width)),
            "c": slice(None),
        }
        part = np.asarray(self._arrays[level][tuple(spans.get(axis, 0) for axis in self._axes)])
        left = [axis for axis in self._axes if axis in spans]
        return on_white(np.transpose(part, [left.index(axis) for axis in "yxc"]).astype(np.uint8, copy=False))

    def close(self) -> None:
        """Nothing stays open between reads."""


def _attributes(folder: Path) -> dict[str, Any]:
    """OME attributes of a group: ``ome`` of zarr.json (0.5) or the whole of .zattrs (0.4)."""
    for name, inside in (("zarr.json", ("attributes", "ome")), (".zattrs", ())):
        file = folder / name
        if not file.is_file() or file.stat().st_size > MAX_METADATA_BYTES:
            continue
        value = json.loads(file.read_text(encoding="utf-8"))
        for key in inside:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if isinstance(value, dict):
            return value
    return {}


def _multiscale(path: Path) -> Multiscale:
    folder, attributes = path, _attributes(path)
    if "multiscales" not in attributes and (path / "0").is_dir():
        # bioformats2raw puts each image into a numbered group.
        folder, attributes = path / "0", _attributes(path / "0")
    scales = attributes.get("multiscales")
    if not isinstance(scales, list) or not scales:
        raise SlideError(
            "the folder is Zarr, but no OME-Zarr image",
            where=shown(path),
            why="it has no multiscales metadata",
            fix="give the folder that holds the image's .zattrs or zarr.json",
        )
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales[0].get("axes", "tczyx")]
    names = tuple(str(axis.get("name")) for axis in axes)
    if not {"c", "y", "x"} <= set(names) or not set(names) <= set("tczyx"):
        raise SlideError(
            f"its axes are {', '.join(names)}, not colour, y and x", where=shown(path), fix="export it as RGB"
        )
    datasets = scales[0]["datasets"]
    _refuse_fluorescence(path, attributes)
    return Multiscale(
        folder,
        names,
        tuple(str(axis.get("unit", "")) for axis in axes),
        tuple(str(dataset["path"]) for dataset in datasets),
        tuple(_scale(len(names), datasets[0], scales[0])),
    )


def _scale(count: int, *holders: dict[str, Any]) -> list[float]:
    total = np.ones(count)
    for holder in holders:
        for transform in holder.get("coordinateTransformations", []):
            if transform.get("type") == "scale":
                total *= np.asarray(transform["scale"], float)
    return [float(value) for value in total]


def _refuse_fluorescence(path: Path, attributes: dict[str, Any]) -> None:
    channels = attributes.get("omero", {}).get("channels", [])
    colours = tuple(str(channel.get("color", "")).casefold() for channel in channels)
    labels = tuple(str(channel.get("label", "")).strip().casefold() for channel in channels)
    plain = all(label.isdigit() or label.startswith("channel") or not label for label in labels)
    as_rgb = colours[:3] == RGB_COLOURS or labels[:3] in RGB_LABELS or (plain and not any(colours))
    if channels and (len(channels) not in (3, 4) or not as_rgb):
        raise SlideError(
            f"its {len(channels)} channels are not red, green and blue: fluorescence or multiplexed",
            where=shown(path),
            why="tme reads colours of light through a stained section",
            fix="give the brightfield scan, or export it as RGB",
        )


def _open_array(path: Path, folder: Path, name: str) -> zarr.Array:
    import zarr
    from zarr.storage import LocalStore

    inside = (folder / name).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise SlideError(
            "its metadata point outside its own folder", where=shown(path), fix="export it again"
        )
    array = zarr.open_array(LocalStore(inside, read_only=True), mode="r")
    if array.dtype != np.uint8:
        return array
    # A chunk that is not there is white like any missing tile, whatever fill value was declared.
    white = replace(array.metadata, fill_value=cast("Any", np.uint8(255)))
    return zarr.Array(zarr.AsyncArray(metadata=white, store_path=array.store_path))


def _check_array(path: Path, array: zarr.Array, axes: tuple[str, ...]) -> None:
    reason = ""
    sizes = dict(zip(axes, array.shape, strict=False))
    if array.dtype != np.uint8:
        reason = f"its pixels are {array.dtype}, not 8-bit RGB"
    elif len(array.shape) != len(axes):
        reason = "its arrays and axes do not match"
    elif sizes.get("z", 1) != 1 or sizes.get("t", 1) != 1:
        reason = f"it is a stack: z {sizes.get('z', 1)}, t {sizes.get('t', 1)}"
    elif sizes["c"] not in (3, 4):
        reason = f"it holds {sizes['c']} channels, not RGB or RGBA"
    if reason:
        raise SlideError(
            reason,
            where=shown(path),
            why="tme reads 8-bit RGB brightfield only",
            fix="export it as 8-bit RGB",
        )


def _level(array: zarr.Array, axes: tuple[str, ...]) -> RawLevel:
    """Tiles are whole chunks, several together where chunks are small."""
    at = {axis: axes.index(axis) for axis in "yx"}
    sides = {}
    for axis, index in at.items():
        chunk = int(array.chunks[index])
        sides[axis] = min(chunk * -(-MIN_TILE // chunk), max(int(array.shape[index]), 1))
    return RawLevel(int(array.shape[at["x"]]), int(array.shape[at["y"]]), sides["x"], sides["y"])


BACKENDS.add("zarr", ZarrBackend())
