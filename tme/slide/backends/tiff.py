"""TIFF in all its dress: SVS, plain, tiled or stripped, BigTIFF, planar, OME-TIFF with SubIFDs.

Tiles are read with ``pread`` and decoded by tifffile's page decoders, about five times faster than
OpenSlide on the same machine and equal to it in every pixel of the files both read (see the tests).
TIFFs with a vendor layout of their own (NDPI, SCN, BIF, Philips …) are left to OpenSlide.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray

from tme.errors import SlideError
from tme.slide.backends._tiff_mpp import aperio_value, profile_cautions, resolution_tags
from tme.slide.backends._tiff_pages import TiffLayout, find_layout
from tme.slide.dicom import is_dicom
from tme.slide.guards import MAX_SEGMENT_PIXELS, check_size, decoding, shown
from tme.slide.source import BACKENDS, Header, RawLevel
from tme.slide.types import RGB
from tme.slide.white import on_white

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
OWN_FORMATS = (None, "aperio", "generic-tiff")
RAW_BAND_PIXELS = 1 << 20
JPEG = 7
APERIO_YCBCR = 33003
# tifffile reports oddities of a file through logging; they belong in the log, not on the screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TiffBackend:
    """Registered as ``tiff``."""

    rank = 10

    def claims(self, path: Path, head: bytes) -> bool:
        """TIFF by its first bytes, unless OpenSlide knows a vendor layout in it."""
        if head[:4] not in MAGIC or is_dicom(head):
            return False
        return openslide.OpenSlide.detect_format(path) in OWN_FORMATS and not _is_ycbcr_jpeg2000(path)

    def open(self, path: Path) -> TiffSource:
        """See `tme.slide.source.Backend.open`."""
        with decoding(path, "the TIFF structure is damaged"):
            return TiffSource(path)


def _is_ycbcr_jpeg2000(path: Path) -> bool:
    """Whether an Aperio file keeps YCbCr in JPEG 2000, which only OpenSlide turns into RGB."""
    with decoding(path, "the TIFF structure is damaged"), tifffile.TiffFile(path, _multifile=False) as tiff:
        page = tiff.pages[0]
        return page.compression == APERIO_YCBCR


class TiffSource:
    """An open TIFF; see `tme.slide.source.Source`."""

    def __init__(self, path: Path) -> None:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            layout = find_layout(path, tiff)
            size = path.stat().st_size
            levels = [PlaneSet(path, pages, size) for pages in layout.levels]
            levels, cautions = _complete_levels(levels)
            self.header = _header(layout, levels, cautions)
        if not any(plane.counts.any() for plane in levels[0].planes):
            raise SlideError(
                "the file holds no pixels at all: every tile is missing",
                where=shown(path),
                fix="copy the slide from the scanner again",
            )
        self._levels = levels
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def tile(self, level: int, column: int, row: int) -> RGB | None:
        """See `tme.slide.source.Source.tile`."""
        return self._levels[level].tile(self._handle, column, row)

    def close(self) -> None:
        """Release the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Plane:
    """One page: where its segments lie, and how they are decoded."""

    def __init__(self, path: Path, page: tifffile.TiffPage, file_size: int) -> None:
        self.page = page
        self.samples = int(page.samplesperpixel)
        self.separate = int(page.planarconfig) == 2 and self.samples > 1
        self.offsets = np.array(page.dataoffsets, np.int64)
        self.counts = np.array(page.databytecounts, np.int64)
        self.width, self.height = int(page.imagewidth), int(page.imagelength)
        self.tile_width = int(page.tilewidth) if page.is_tiled else self.width
        self.tile_height = int(page.tilelength) if page.is_tiled else int(page.rowsperstrip)
        # One huge uncompressed strip can be read in bands; only tile counts are judged here.
        piece = min(self.tile_height, max(1, MAX_SEGMENT_PIXELS // max(self.tile_width, 1)))
        check_size(path, (RawLevel(self.width, self.height, self.tile_width, piece),))
        self._check_segments(path, file_size)
        self.band = self._raw_band()
        if not self.band:
            page.init_decode()
        self.tables = page.jpegtables if int(page.compression) == JPEG else None

    def _check_segments(self, path: Path, file_size: int) -> None:
        across = -(-self.width // max(self.tile_width, 1))
        down = -(-self.height // max(self.tile_height, 1))
        wanted = across * down * (self.samples if self.separate else 1)
        if len(self.offsets) != wanted or len(self.counts) != wanted:
            raise SlideError(
                f"the file lists {len(self.offsets)} tiles or strips where {wanted} are needed",
                where=shown(path),
                why="its directory is damaged",
                fix="copy the slide from the scanner again",
            )
        ends = np.where(self.counts > 0, self.offsets + self.counts, 0)
        if ends.max(initial=0) > file_size or min(self.offsets.min(), self.counts.min()) < 0:
            raise SlideError(
                f"the file is cut short: pixels reach to byte {int(ends.max())}, it has {file_size}",
                where=shown(path),
                why="the copy was interrupted",
                fix="copy the slide from the scanner again and compare file sizes",
            )

    def _raw_band(self) -> int:
        """Rows to read at once where pixels lie uncompressed row after row, else 0.

        Such files often hold one strip of the whole picture, which need not be read whole.
        """
        page = self.page
        plain = int(page.compression) == 1 and int(page.predictor) == 1 and int(page.fillorder) == 1
        ends = self.offsets + self.counts
        row_bytes = self.width * (1 if self.separate else self.samples)
        full = self.counts.sum() == row_bytes * self.height * (self.samples if self.separate else 1)
        if page.is_tiled or not plain or not full or (ends[:-1] != self.offsets[1:]).any():
            return 0
        return int(max(1, RAW_BAND_PIXELS // max(self.width, 1)))

    def tile(self, handle: int, column: int, row: int) -> NDArray[np.uint8] | None:
        """(h, w, samples) uint8, or None if no bytes are stored."""
        if self.band:
            return self._raw_rows(handle, row)
        across = -(-self.width // self.tile_width)
        down = -(-self.height // self.tile_height)
        parts = range(self.samples if self.separate else 1)
        pieces = [self._segment(handle, part * across * down + row * across + column) for part in parts]
        present = [piece for piece in pieces if piece is not None]
        if not present:
            return None
        if len(present) < len(pieces):
            raise ValueError("one of its colour planes is missing")
        whole = present[0] if len(present) == 1 else np.concatenate(present, axis=2)
        height = min(self.tile_height, self.height - row * self.tile_height)
        width = min(self.tile_width, self.width - column * self.tile_width)
        if whole.shape[0] < height or whole.shape[1] < width or whole.shape[2] != self.samples:
            raise ValueError(f"it decodes to {whole.shape[1]} x {whole.shape[0]} pixels")
        return whole[:height, :width]

    def _segment(self, handle: int, index: int) -> NDArray[np.uint8] | None:
        count, offset = int(self.counts[index]), int(self.offsets[index])
        if count == 0 or offset == 0:
            return None
        data = os.pread(handle, count, offset)
        if len(data) < count:
            raise EOFError(f"{len(data)} of {count} bytes")
        if self.tables is not None or int(self.page.compression) == JPEG:
            _check_jpeg_size(data)
        decoded, _, _ = self.page.decode(data, index, jpegtables=self.tables)
        return None if decoded is None else np.asarray(decoded[0], np.uint8)

    def _raw_rows(self, handle: int, row: int) -> NDArray[np.uint8]:
        first = row * self.band
        rows = min(self.band, self.height - first)
        samples = 1 if self.separate else self.samples
        row_bytes = self.width * samples
        planes = []
        for part in range(self.samples if self.separate else 1):
            start = int(self.offsets[0]) + (part * self.height + first) * row_bytes
            data = os.pread(handle, rows * row_bytes, start)
            planes.append(np.frombuffer(data, np.uint8).reshape(rows, self.width, samples))
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


class PlaneSet:
    """One level: a page of three or four samples, or three pages of one."""

    def __init__(self, path: Path, pages: tuple[tifffile.TiffPage, ...], file_size: int) -> None:
        self.planes = [Plane(path, page, file_size) for page in pages]
        base = self.planes[0]
        if any((plane.width, plane.height) != (base.width, base.height) for plane in self.planes):
            raise ValueError("its colour planes differ in size")
        extra = tuple(int(value) for value in base.page.extrasamples)
        self._premultiplied = extra == (1,)
        self.raw = RawLevel(base.width, base.height, base.tile_width, base.band or base.tile_height)

    def tile(self, handle: int, column: int, row: int) -> RGB | None:
        """RGB on white."""
        parts = [plane.tile(handle, column, row) for plane in self.planes]
        present = [part for part in parts if part is not None]
        if not present:
            return None
        if len(present) < len(parts):
            raise ValueError("one of its colour planes is missing")
        pixels = present[0] if len(present) == 1 else np.concatenate(present, axis=2)
        return on_white(pixels, self._premultiplied)


def _complete_levels(levels: list[PlaneSet]) -> tuple[list[PlaneSet], tuple[str, ...]]:
    """Level 0 and the levels that lack no larger share of their tiles than it does.

    Some writers leave tiles out of coarse levels only; those tiles are not white.
    """
    missing = [float((level.planes[0].counts == 0).mean()) for level in levels]
    kept = [level for level, share in zip(levels, missing, strict=True) if share <= missing[0]]
    lost = len(levels) - len(kept)
    return kept, (f"{lost} coarse levels lack tiles and are not used",) if lost else ()


def _header(layout: TiffLayout, levels: list[PlaneSet], cautions: tuple[str, ...]) -> Header:
    page = layout.levels[0][0]
    text = page.description
    mpp_x, mpp_y, power, vendor = layout.mpp_x, layout.mpp_y, layout.objective_power, ""
    if text.startswith("Aperio"):
        mpp_x = mpp_y = aperio_value(text, "MPP")
        power, vendor = aperio_value(text, "AppMag"), "aperio"
    if mpp_x is None or mpp_y is None:
        mpp_x, mpp_y = resolution_tags(page)
    cautions = (*layout.cautions, *cautions, *profile_cautions(page))
    return Header(
        tuple(level.raw for level in levels), mpp_x, mpp_y, power, vendor, layout.cautions + cautions
    )


def _check_jpeg_size(data: bytes) -> None:
    """Refuse a JPEG that would decode to more pixels than any tile has."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            if width * height > MAX_SEGMENT_PIXELS:
                raise ValueError(f"its JPEG claims {width} x {height} pixels")
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4])


BACKENDS.add("tiff", TiffBackend())
