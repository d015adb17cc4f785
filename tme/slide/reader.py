"""An open slide: levels checked, tiles cached, boxes cut or averaged out of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tme.errors import TileError
from tme.geometry import Box
from tme.slide.frame import black_frame
from tme.slide.guards import check_size, decoding, shown
from tme.slide.resample import resample, source_range
from tme.slide.resolution import resolve
from tme.slide.source import RawLevel, Source
from tme.slide.types import RGB, Frame, Level, SlideInfo

CACHE_BYTES = 64 << 20
MAX_SOURCE_PIXELS = 4 << 20
SMALLEST_LEVEL = 32
SAME_MPP = 1e-9
TileKey = tuple[int, int, int]
"""A tile of the file: level as the file counts it, column, row."""


class TiledSlide:
    """A `tme.slide.types.Slide` over any `Source`.

    Reads from several threads at once are safe. A handle belongs to the process that opened it.
    Tiles of ``left_out`` are white and never decoded. In place of a black frame reads give the picture's
    outermost pixels again: white would pass for glass.

    Attributes
    ----------
    info : SlideInfo
    failed : frozenset of (level, column, row)
        Tiles that could not be decoded so far.
    """

    def __init__(
        self,
        path: Path,
        backend: str,
        source: Source,
        mpp: float | None,
        left_out: frozenset[TileKey] = frozenset(),
    ) -> None:
        check_size(path, source.header.levels)
        resolution = resolve(path, source.header, mpp)
        kept, cautions = _honest_levels(source.header.levels)
        self._path = path
        self._source = source
        self._left_out = left_out
        self.failed: frozenset[TileKey] = frozenset()
        self._raw = tuple((index, source.header.levels[index]) for index, _ in kept)
        self._tiles = TileCache(CACHE_BYTES)
        frame = self._find_frame()
        self.info = SlideInfo(
            path=str(path),
            backend=backend,
            levels=tuple(
                Level(
                    source.header.levels[index].width,
                    source.header.levels[index].height,
                    resolution.mpp * ratio,
                )
                for index, ratio in kept
            ),
            mpp_source=resolution.source,
            objective_power=source.header.objective_power,
            vendor=source.header.vendor,
            cautions=(
                *source.header.cautions,
                *resolution.cautions,
                *cautions,
                *([frame.text] if frame.any else []),
            ),
            frame=frame,
        )

    def __getstate__(self) -> object:
        raise TypeError("an open slide cannot be sent to another process; send its path and open it there")

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """See `tme.slide.types.Slide.read`.

        Raises
        ------
        TileError
            If a tile cannot be decoded; the message names level, column and row.
        """
        return self.read_from(self._level_for(mpp), x, y, width, height, mpp)

    def read_from(self, level: int, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        """`read`, from a level of one's own choice."""
        scale = mpp / self.info.levels[level].mpp
        scale = round(scale) if round(scale) and abs(scale / round(scale) - 1) < SAME_MPP else scale
        if scale == 1:
            return self._crop(level, Box(y, x, y + height, x + width))
        out = np.full((height, width, 3), 255, np.uint8)
        step = _block_side(scale)
        for top in range(0, height, step):
            for left in range(0, width, step):
                rows, columns = min(step, height - top), min(step, width - left)
                block = self._averaged(level, x + left, y + top, columns, rows, scale)
                out[top : top + rows, left : left + columns] = block
        return out

    def source_tile(self, level: int) -> int:
        """Larger side of the file's own tiles of a level, px: reads in whole tiles decode nothing twice."""
        raw = self._raw[level][1]
        return max(raw.tile_width, raw.tile_height)

    def tiles(self) -> Iterator[TileKey]:
        """Every tile of the levels in use."""
        for index, raw in self._raw:
            for row in range(-(-raw.height // raw.tile_height)):
                for column in range(-(-raw.width // raw.tile_width)):
                    yield index, column, row

    def decode(self, key: TileKey) -> None:
        """Decode one tile and forget it.

        Raises
        ------
        TileError
        """
        self._decoded(key)

    def tile_um(self, key: TileKey) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a tile, µm from the slide's corner."""
        place = next(k for k, (index, _) in enumerate(self._raw) if index == key[0])
        raw, mpp = self._raw[place][1], self.info.levels[place].mpp
        left, top = key[1] * raw.tile_width, key[2] * raw.tile_height
        right, bottom = min(left + raw.tile_width, raw.width), min(top + raw.tile_height, raw.height)
        return left * mpp, top * mpp, right * mpp, bottom * mpp

    def close(self) -> None:
        """Release the file and the cache."""
        self._tiles.clear()
        self._source.close()

    def _level_for(self, mpp: float) -> int:
        """The coarsest level that is not coarser than ``mpp``; level 0 if all are."""
        fine = [i for i, level in enumerate(self.info.levels) if level.mpp <= mpp * (1 + SAME_MPP)]
        return max(fine, key=lambda i: self.info.levels[i].mpp) if fine else 0

    def _averaged(self, level: int, x: int, y: int, width: int, height: int, scale: float) -> RGB:
        x0, x1 = source_range(x, width, scale)
        y0, y1 = source_range(y, height, scale)
        size = self.info.levels[level]
        if y0 >= size.height or x0 >= size.width or y1 <= 0 or x1 <= 0:
            return np.full((height, width, 3), 255, np.uint8)
        # Between pixel centres the picture's rim has no outer neighbour: it is its own, not white.
        pixels = self._crop(level, Box(y0, x0, y1, x1), repeat_rim=scale < 1)
        out = resample(pixels, x, y, width, height, scale)
        if scale < 1:
            _whiten_outside(out, x, y, size, scale)
        return out

    def _crop(self, level: int, box: Box, repeat_rim: bool = False) -> RGB:
        """Pixels of a box of one level; white outside it, or its rim again, which a frame always is."""
        raw = self._raw[level][1]
        inside = box.clip(raw.width, raw.height)
        if inside.empty:
            return np.full((box.height, box.width, 3), 255, np.uint8)
        frame = self.info.frame.at(self.info.levels[level].mpp / self.info.mpp)
        picture = Box(frame.top, frame.left, raw.height - frame.bottom, raw.width - frame.right)
        seen = inside if not repeat_rim else box
        if seen == seen.intersect(picture):
            return self._stored(level, box)
        rows = np.clip(np.arange(box.y0, box.y1), picture.y0, picture.y1 - 1)
        columns = np.clip(np.arange(box.x0, box.x1), picture.x0, picture.x1 - 1)
        part = self._stored(level, Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
        out = part[np.ix_(rows - rows[0], columns - columns[0])]
        if not repeat_rim and inside != box:
            out[: inside.y0 - box.y0] = out[inside.y1 - box.y0 :] = 255
            out[:, : inside.x0 - box.x0] = out[:, inside.x1 - box.x0 :] = 255
        return out

    def _stored(self, level: int, box: Box) -> RGB:
        """Pixels of a box of one level as the file holds them, white outside it."""
        out = np.full((box.height, box.width, 3), 255, np.uint8)
        index, raw = self._raw[level]
        inside = box.clip(raw.width, raw.height)
        if inside.empty:
            return out
        for row in range(inside.y0 // raw.tile_height, -(-inside.y1 // raw.tile_height)):
            for column in range(inside.x0 // raw.tile_width, -(-inside.x1 // raw.tile_width)):
                tile = self._tile(index, column, row)
                if tile is not None:
                    _paste(out, box, tile, inside, Box(row * raw.tile_height, column * raw.tile_width, 0, 0))
        return out

    def _find_frame(self) -> Frame:
        index, raw = self._raw[0]

        def read(box: Box) -> RGB:
            columns = range(box.x0 // raw.tile_width, -(-box.x1 // raw.tile_width))
            rows = range(box.y0 // raw.tile_height, -(-box.y1 // raw.tile_height))
            if any((index, column, row) in self._left_out for column in columns for row in rows):
                raise TileError("left out", where=shown(self._path))
            return self._stored(0, box)

        found = black_frame(read, raw.width, raw.height)
        # Whoever reads a damaged tile next tells of it.
        self.failed = frozenset()
        return found

    def _tile(self, index: int, column: int, row: int) -> RGB | None:
        key = (index, column, row)
        if key in self._left_out:
            return None
        found, tile = self._tiles.get(key)
        if not found:
            tile = self._decoded(key)
            self._tiles.put(key, tile)
        return tile

    def _decoded(self, key: TileKey) -> RGB | None:
        index, column, row = key
        what = f"the tile at level {index}, column {column}, row {row} cannot be decoded"
        try:
            with decoding(self._path, what, TileError):
                return self._source.tile(index, column, row)
        except TileError:
            self.failed |= {key}
            raise


class TileCache:
    """Decoded tiles, least recently used dropped first; thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._tiles: OrderedDict[tuple[int, int, int], RGB | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> tuple[bool, RGB | None]:
        """(whether it is held, the tile)."""
        with self._lock:
            if key not in self._tiles:
                return False, None
            self._tiles.move_to_end(key)
            return True, self._tiles[key]

    def put(self, key: tuple[int, int, int], tile: RGB | None) -> None:
        """Hold a tile. The newest is kept whatever its size, so one huge strip is not decoded twice."""
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._held += _bytes(tile)
            while len(self._tiles) > 1 and self._held > self._limit:
                _, dropped = self._tiles.popitem(last=False)
                self._held -= _bytes(dropped)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._tiles.clear()
            self._held = 0


def _bytes(tile: RGB | None) -> int:
    # A missing tile costs its entry in the table.
    return 200 if tile is None else tile.nbytes


def _block_side(scale: float) -> int:
    """Side of the output blocks that keep the source pixels held at once bounded."""
    return max(1, int(MAX_SOURCE_PIXELS**0.5 / max(scale, 1.0)))


def _paste(out: RGB, box: Box, tile: RGB, inside: Box, corner: Box) -> None:
    part = Box(corner.y0, corner.x0, corner.y0 + tile.shape[0], corner.x0 + tile.shape[1]).intersect(inside)
    if part.empty:
        return
    out[part.y0 - box.y0 : part.y1 - box.y0, part.x0 - box.x0 : part.x1 - box.x0] = tile[
        part.y0 - corner.y0 : part.y1 - corner.y0, part.x0 - corner.x0 : part.x1 - corner.x0
    ]


def _whiten_outside(out: RGB, x: int, y: int, size: Level, scale: float) -> None:
    rows = (np.arange(y, y + out.shape[0]) + 0.5) * scale
    columns = (np.arange(x, x + out.shape[1]) + 0.5) * scale
    out[(rows < 0) | (rows >= size.height)] = 255
    out[:, (columns < 0) | (columns >= size.width)] = 255


def _honest_levels(levels: tuple[RawLevel, ...]) -> tuple[list[tuple[int, float]], list[str]]:
    """(index, downsample) of level 0 and of every level whose sizes agree with it, and cautions."""
    base = levels[0]
    kept, cautions = [(0, 1.0)], []
    for index, level in enumerate(levels[1:], start=1):
        if min(level.width, level.height) < SMALLEST_LEVEL:
            continue
        across, down = base.width / level.width, base.height / level.height
        ratio = level.downsample or (across + down) / 2
        # One pixel is lost or added by rounding at a level's edge; one more is leniency.
        tolerance = 2 / min(level.width, level.height) + 1e-3
        if abs(across / ratio - 1) > tolerance or abs(down / ratio - 1) > tolerance or ratio <= kept[-1][1]:
            cautions.append(
                f"level {index} ({level.width} x {level.height}) does not fit level 0 and is not used"
            )
            continue
        kept.append((index, ratio))
    return kept, cautions
