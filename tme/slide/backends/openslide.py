"""Everything OpenSlide reads that the TIFF reader leaves: NDPI, MRXS, SCN, BIF, Philips, DICOM …"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import openslide

from tme.errors import SlideError
from tme.slide.dicom import first_instance, is_dicom
from tme.slide.guards import decoding, shown
from tme.slide.resolution import number
from tme.slide.source import BACKENDS, Header, RawLevel
from tme.slide.types import RGB
from tme.slide.white import on_white

TILE = 1024


class OpenSlideBackend:
    """Registered as ``openslide``."""

    rank = 20

    def claims(self, path: Path, head: bytes) -> bool:
        """What OpenSlide knows; also MIRAX and DICOM it cannot open, so that the refusal has a name."""
        if path.is_dir():
            return first_instance(path) is not None
        # A MIRAX file without its folder is a plain JPEG to everybody else.
        known = path.suffix.casefold() == ".mrxs" or is_dicom(head)
        return known or openslide.OpenSlide.detect_format(path) is not None

    def open(self, path: Path) -> OpenSlideSource:
        """See `tme.slide.source.Backend.open`."""
        if path.suffix.casefold() == ".mrxs":
            _check_mirax(path)
        with decoding(path):
            try:
                return OpenSlideSource(_instance(path))
            except openslide.OpenSlideError as error:
                raise _refusal(path, str(error)) from error


def _instance(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = first_instance(path)
    if found is None:
        raise SlideError("the folder holds no DICOM files", where=shown(path), fix="give the slide's folder")
    return found


def _check_mirax(path: Path) -> None:
    folder = path.with_suffix("")
    if not (folder / "Slidedat.ini").is_file():
        raise SlideError(
            f"the MIRAX folder {folder.name!r} with Slidedat.ini is not beside it",
            where=shown(path),
            why="a .mrxs file holds only a preview; the pixels are in that folder",
            fix="copy the folder of the same name next to the .mrxs file",
        )


def _refusal(path: Path, message: str) -> SlideError:
    detail = re.sub(r"/\S*/", "", message)[:200]
    if "Unsupported or missing" in message:
        return SlideError(
            "this is DICOM, but no whole-slide image that OpenSlide reads",
            where=shown(path),
            fix="give the slide's own .dcm files, or export it as SVS or OME-TIFF",
        )
    return SlideError(
        "OpenSlide cannot open this slide",
        where=shown(path),
        why=detail,
        fix="copy it again with all its files, or export it as SVS or OME-TIFF",
    )


class OpenSlideSource:
    """An open OpenSlide handle; see `tme.slide.source.Source`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._slide = openslide.OpenSlide(path)
        self._levels = tuple(_level(self._slide, index) for index in range(self._slide.level_count))
        properties = self._slide.properties
        self.header = Header(
            levels=self._levels,
            mpp_x=number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
            mpp_y=number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
            objective_power=number(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)),
            vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, ""),
        )

    def tile(self, level: int, column: int, row: int) -> RGB:
        """See `tme.slide.source.Source.tile`."""
        raw = self._levels[level]
        x, y = column * raw.tile_width, row * raw.tile_height
        size = min(raw.tile_width, raw.width - x), min(raw.tile_height, raw.height - y)
        downsample = raw.downsample or 1.0
        corner = round(x * downsample), round(y * downsample)
        slide = self._slide
        try:
            region = slide.read_region(corner, level, size)
        except openslide.OpenSlideError as error:
            self._reopen(slide)
            raise ValueError(str(error)) from error
        return on_white(np.asarray(region))

    def _reopen(self, failed: openslide.OpenSlide) -> None:
        """An OpenSlide handle that met one bad tile answers nothing more; take a new one."""
        with self._lock:
            if self._slide is failed:
                self._slide = openslide.OpenSlide(self._path)

    def close(self) -> None:
        """Release the file."""
        self._slide.close()


def _level(slide: openslide.OpenSlide, index: int) -> RawLevel:
    downsample = slide.level_downsamples[index]
    width, height = slide.level_dimensions[index]
    # Some vendors pad coarse levels to whole tiles; what lies beyond level 0 is not the slide.
    width = min(width, max(1, -int(-slide.dimensions[0] // downsample)))
    height = min(height, max(1, -int(-slide.dimensions[1] // downsample)))
    sides = [
        _tile_side(slide.properties.get(f"openslide.level[{index}].tile-{side}"), extent)
        for side, extent in (("width", width), ("height", height))
    ]
    return RawLevel(width, height, sides[0], sides[1], downsample)


def _tile_side(stored: str | None, extent: int) -> int:
    """A whole multiple of the file's own tile near 1024 pixels, at most the level."""
    own = int(stored) if stored and stored.isdigit() else 0
    side = TILE if not 0 < own <= 2 * TILE else own * max(1, TILE // own)
    return max(1, min(side, extent))


BACKENDS.add("openslide", OpenSlideBackend())
