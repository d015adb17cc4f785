"""The same pixels whatever the format, the box, the thread; white where there is nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from slide_files import MPP, halved, tissue, write_ome, write_png, write_tiff, write_zarr

from tme.errors import SlideError
from tme.slide.open import open_slide
from tme.slide.reader import TileCache, TiledSlide

Opener = Callable[..., TiledSlide]
PICTURE = tissue(203, 317)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "plain.tif": lambda path: write_tiff(path, PICTURE),
    "strips.tif": lambda path: write_tiff(path, PICTURE, compression="lzw", rowsperstrip=17),
    "tiles.tif": lambda path: write_tiff(path, PICTURE, tile=(64, 48), compression="deflate", predictor=2),
    "big.tif": lambda path: write_tiff(path, PICTURE, tile=(64, 64), bigtiff=True, compression="zstd"),
    "motorola.tif": lambda path: write_tiff(path, PICTURE, byteorder=">"),
    "planar.tif": lambda path: write_tiff(path, PICTURE.transpose(2, 0, 1), planarconfig="separate"),
    "planar_tiles.tif": lambda path: write_tiff(
        path, PICTURE.transpose(2, 0, 1), planarconfig="separate", tile=(64, 64), compression="lzw"
    ),
    "jpeg2000.tif": lambda path: write_tiff(path, PICTURE, tile=(64, 64), compression="jpeg2000"),
    "webp.tif": lambda path: write_tiff(
        path, PICTURE, tile=(64, 64), compression="webp", compressionargs={"level": -1}
    ),
    "one.ome.tif": lambda path: write_ome(path, PICTURE),
    "field.png": lambda path: write_png(path, PICTURE),
    "v5.zarr": lambda path: write_zarr(path, PICTURE, "0.5"),
    "v4.zarr": lambda path: write_zarr(path, PICTURE, "0.4"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("mpp", [MPP, 0.77, 2.0, 0.3])
def test_every_lossless_format_gives_the_same_bytes(
    tmp_path: Path, opened: Opener, name: str, mpp: float
) -> None:
    slide = opened(WRITERS[name](tmp_path / name), MPP)
    reference = opened(write_png(tmp_path / "reference.png", PICTURE), MPP)
    width, height = slide.info.size_at(mpp)
    assert (width, height) == reference.info.size_at(mpp)
    result = slide.read(-5, -3, width + 9, height + 7, mpp)
    assert result.tobytes() == reference.read(-5, -3, width + 9, height + 7, mpp).tobytes()
    if mpp == MPP:
        assert (result[3 : 3 + height, 5 : 5 + width] == PICTURE).all()


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> TiledSlide:
    return open_slide(write_ome(tmp_path_factory.mktemp("pyramid") / "a.ome.tif", tissue(400, 600), levels=2))


@given(
    mpp=st.sampled_from([0.4, 0.5, 0.61, 1.0, 1.37, 2.0, 3.3, 11.0]),
    x=st.integers(-40, 700),
    y=st.integers(-40, 500),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
)
def test_a_read_is_a_cut_of_the_whole(
    pyramid: TiledSlide, mpp: float, x: int, y: int, width: int, height: int
) -> None:
    full = pyramid.read(-40, -40, 900, 700, mpp)
    part = pyramid.read(x, y, width, height, mpp)
    inside = full[y + 40 : y + 40 + height, x + 40 : x + 40 + width]
    assert (part[: inside.shape[0], : inside.shape[1]] == inside).all()


def test_outside_is_white(pyramid: TiledSlide) -> None:
    for mpp in (0.4, 0.5, 0.9, 1.0, 4.0):
        width, height = pyramid.info.size_at(mpp)
        assert (pyramid.read(-30, 0, 28, 20, mpp) == 255).all()
        assert (pyramid.read(0, height + 2, 20, 9, mpp) == 255).all()
        assert (pyramid.read(10 * width, 10 * height, 5, 5, mpp) == 255).all()


def test_levels_and_the_one_that_is_read(pyramid: TiledSlide) -> None:
    assert [level.mpp for level in pyramid.info.levels] == [0.5, 1.0, 2.0]
    assert pyramid.info.mpp_source == "metadata"
    level_one = halved(tissue(400, 600))
    assert (pyramid.read(7, 9, 50, 40, 1.0) == level_one[9:49, 7:57]).all()
    # 1.9 µm/px is averaged from the level at 1.0, not from the one at 2.0.
    assert (pyramid.read(0, 0, 60, 60, 1.9) == pyramid.read_from(1, 0, 0, 60, 60, 1.9)).all()


def test_threads_read_what_one_thread_reads(pyramid: TiledSlide) -> None:
    rng = np.random.default_rng(1)
    boxes = [
        (int(x), int(y), 70, 60, mpp)
        for x, y, mpp in zip(
            rng.integers(0, 500, 120),
            rng.integers(0, 300, 120),
            rng.choice([0.5, 0.8, 2.5], 120),
            strict=True,
        )
    ]
    serial = [pyramid.read(*box) for box in boxes]
    pyramid._tiles.clear()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda box: pyramid.read(*box), boxes))
    assert all((a == b).all() for a, b in zip(serial, together, strict=True))


def test_a_handle_does_not_travel(pyramid: TiledSlide) -> None:
    with pytest.raises(TypeError, match="send its path"):
        pickle.dumps(pyramid)


def test_transparent_pixels_are_white_never_black(tmp_path: Path, opened: Opener) -> None:
    pixels = np.zeros((80, 100, 4), np.uint8)
    pixels[:40, :, :3] = 200
    pixels[:40, :, 3] = 255
    pixels[60:, :, 3] = 51
    for name, extra in (("plain.tif", "unassalpha"), ("premultiplied.tif", "assocalpha")):
        write_tiff(tmp_path / name, pixels, extrasamples=[extra], tile=(32, 32))
        result = opened(tmp_path / name).read(0, 0, 100, 80, MPP)
        assert (result[:40] == 200).all()
        assert (result[40:60] == 255).all()
        assert (result[60:] == 204).all()
    png = opened(write_png(tmp_path / "a.png", pixels), MPP).read(0, 0, 100, 80, MPP)
    assert (png[40:60] == 255).all()


def _sparse(path: Path) -> Path:
    """Tiles (0, 1) and (1, 0) of 64 px hold no bytes."""
    write_tiff(path, np.zeros((128, 128, 3), np.uint8), tile=(64, 64), compression="lzw")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        counts = tiff.pages.first.tags[325]
        counts.overwrite([count if index in (0, 3) else 0 for index, count in enumerate(counts.value)])
    return path


def test_missing_tiles_are_white(tmp_path: Path, opened: Opener) -> None:
    result = opened(_sparse(tmp_path / "sparse.tif")).read(0, 0, 128, 128, MPP)
    assert (result[:64, 64:] == 255).all()
    assert (result[64:, :64] == 255).all()
    assert (result[:64, :64] == 0).all()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_missing_zarr_chunks_are_white(tmp_path: Path, opened: Opener, version: str) -> None:
    path = write_zarr(tmp_path / "a.zarr", PICTURE, version)
    (path / ("0/c/0/1/1" if version == "0.5" else "0/0.1.1")).unlink()
    result = opened(path).read(0, 0, 317, 203, MPP)
    assert (result[50:100, 70:140] == 255).all()
    assert (result[:50] == PICTURE[:50]).all()


def test_a_level_that_does_not_fit_is_left_out(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "lying.ome.tif"
    first, second = tissue(256, 256), tissue(128, 100)
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        from slide_files import ome_xml

        tiff.write(first, description=ome_xml(256, 256), subifds=1, **options)
        tiff.write(second, subfiletype=1, **options)
    info = opened(path).info
    assert len(info.levels) == 1
    assert "does not fit" in info.cautions[0]


def test_a_coarse_level_with_holes_is_left_out(tmp_path: Path, opened: Opener) -> None:
    path = write_ome(tmp_path / "a.ome.tif", tissue(256, 256), levels=1)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        counts = tiff.pages.first.pages[0].tags[325]
        counts.overwrite([0, *counts.value[1:]])
    info = opened(path).info
    assert len(info.levels) == 1
    assert "lack tiles" in info.cautions[0]


def test_a_damaged_tile_is_named(tmp_path: Path, opened: Opener) -> None:
    path = write_tiff(tmp_path / "a.tif", PICTURE, tile=(64, 64), compression="zstd")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages.first.dataoffsets[7], tiff.pages.first.databytecounts[7]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(count))
    slide = opened(path)
    assert (slide.read(0, 0, 100, 50, MPP) == PICTURE[:50, :100]).all()
    with pytest.raises(SlideError, match=r"a\.tif .* level 0, column 2, row 1"):
        slide.read(100, 60, 100, 50, MPP)


def test_the_cache_is_bounded_but_keeps_the_newest() -> None:
    cache = TileCache(1000)
    tile = np.zeros((10, 10, 3), np.uint8)
    for column in range(10):
        cache.put((0, column, 0), tile)
    assert [cache.get((0, column, 0))[0] for column in range(10)] == [False] * 7 + [True] * 3
    cache.put((1, 0, 0), np.zeros((100, 100, 3), np.uint8))
    assert cache.get((1, 0, 0))[0]
    assert not cache.get((0, 9, 0))[0]


def test_the_colour_a_png_calls_transparent_is_white(tmp_path: Path, opened: Opener) -> None:
    from PIL import Image

    pixels = np.full((40, 50, 3), 120, np.uint8)
    pixels[:10] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(0, 0, 0))
    result = opened(tmp_path / "a.png", MPP).read(0, 0, 50, 40, MPP)
    assert (result[:10] == 255).all()
    assert (result[10:] == 120).all()
