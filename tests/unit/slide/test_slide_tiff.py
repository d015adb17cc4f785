"""The TIFF reader against OpenSlide, and layouts a field meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from slide_files import MPP, Pixels, halved, ome_xml, tissue, write_ome, write_tiff

from tme.slide.backends.openslide import OpenSlideBackend
from tme.slide.open import open_slide
from tme.slide.reader import TiledSlide

Opener = Callable[..., TiledSlide]
PICTURE = tissue(300, 420)
DESCRIPTION = "Aperio Image Library v11\r\n420x300 |AppMag = 20|MPP = 0.5"


def by_openslide(path: Path, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
    with openslide.OpenSlide(path) as slide:
        return np.array(slide.read_region((x, y), level, (width, height)))[..., :3]


def encoded(pixels: Pixels, encode: Callable[[Pixels], bytes], side: int = 128) -> Iterator[bytes]:
    for y in range(0, pixels.shape[0], side):
        for x in range(0, pixels.shape[1], side):
            tile = np.full((side, side, 3), 255, np.uint8)
            part = pixels[y : y + side, x : x + side]
            tile[: part.shape[0], : part.shape[1]] = part
            yield encode(tile)


def write_svs(path: Path, encode: Callable[[Pixels], bytes], compression: int, **options: object) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            encoded(PICTURE, encode),
            shape=PICTURE.shape,
            dtype="uint8",
            tile=(128, 128),
            compression=compression,
            photometric="rgb",
            description=DESCRIPTION,
            metadata=None,
            **options,
        )
    return path


def jpeg2000(pixels: Pixels, **options: object) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", **options))


def jpeg2000_ycbcr(pixels: Pixels) -> bytes:
    return jpeg2000(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]], mct=False)


def jpeg(pixels: Pixels) -> bytes:
    """RGB without any marker that says so, as Aperio scanners write it."""
    data = bytes(imagecodecs.jpeg_encode(pixels, level=80, colorspace="RGB", outcolorspace="RGB"))
    assert data[2:4] == b"\xff\xee"
    return data[:2] + data[4 + int.from_bytes(data[4:6]) :]


@pytest.mark.shared
def test_every_pixel_of_a_scanned_slide_equals_openslide(shared_data: Path) -> None:
    path = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    slide = open_slide(path)
    width, height = slide.info.width, slide.info.height
    assert slide.info.backend == "tiff"
    whole = slide.read(0, 0, width, height, slide.info.mpp)
    assert (whole == by_openslide(path, 0, 0, width, height)).all()

    rng = np.random.default_rng(5)
    for x, y in zip(rng.integers(0, width - 300, 20), rng.integers(0, height - 200, 20), strict=True):
        box = slide.read(int(x), int(y), 300, 200, slide.info.mpp)
        assert (box == by_openslide(path, int(x), int(y), 300, 200)).all()


@pytest.mark.parametrize("name", ["rgb", "rgb-jpeg", "jfif-jpeg", "ycbcr"])
def test_svs_equals_openslide(tmp_path: Path, opened: Opener, name: str) -> None:
    path = tmp_path / f"{name}.svs"
    if "jpeg" in name:
        stored = "rgb" if name == "rgb-jpeg" else "ycbcr"
        encode = jpeg if name == "rgb-jpeg" else imagecodecs.jpeg_encode
        write_svs(path, encode, 7, compressionargs={"outcolorspace": stored})
    else:
        write_svs(path, *((jpeg2000, 33005) if name == "rgb" else (jpeg2000_ycbcr, 33003)))
    slide = opened(path)
    assert slide.info.backend == ("openslide" if name == "ycbcr" else "tiff")
    assert (slide.read(0, 0, 420, 300, MPP) == by_openslide(path, 0, 0, 420, 300)).all()
    error = np.abs(slide.read(0, 0, 420, 300, MPP).astype(int) - PICTURE)
    assert error.mean() <= {"rgb": 0, "ycbcr": 1}.get(name, 6)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_generic_jpeg_tiles_equal_openslide(
    tmp_path: Path, opened: Opener, subsampling: tuple[int, int]
) -> None:
    path = write_tiff(
        tmp_path / "a.tif",
        PICTURE,
        tile=(128, 128),
        compression="jpeg",
        photometric="ycbcr",
        subsampling=subsampling,
        compressionargs={"level": 85},
    )
    slide = opened(path)
    assert slide.info.backend == "tiff"
    assert (slide.read(0, 0, 420, 300, MPP) == by_openslide(path, 0, 0, 420, 300)).all()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[TiledSlide, TiledSlide]:
    """One pyramid behind either backend."""
    path = tmp_path_factory.mktemp("both") / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        pixels = tissue(512, 768)
        for level in range(3):
            tiff.write(
                pixels,
                tile=(64, 64),
                photometric="rgb",
                compression="deflate",
                subfiletype=min(level, 1),
                resolution=(20_000 / 2**level,) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            pixels = halved(pixels)
    return open_slide(path), TiledSlide(path, "openslide", OpenSlideBackend().open(path), None)


@settings(max_examples=25)
@given(
    st.integers(-50, 900),
    st.integers(-50, 700),
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from([0.5, 0.7, 1.0, 2.0, 2.6]),
)
def test_both_backends_give_the_same_boxes(
    both: tuple[TiledSlide, TiledSlide], x: int, y: int, width: int, height: int, mpp: float
) -> None:
    first, second = both
    assert [level.width for level in first.info.levels] == [level.width for level in second.info.levels]
    assert (first.read(x, y, width, height, mpp) == second.read(x, y, width, height, mpp)).all()


def test_label_macro_and_thumbnail_are_not_levels(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "a.svs"
    common = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PICTURE, tile=(64, 64), description=DESCRIPTION, **common)
        tiff.write(PICTURE[::7, ::7], description="Aperio thumbnail", **common)
        tiff.write(halved(PICTURE), tile=(64, 64), description="Aperio", **common)
        tiff.write(PICTURE[::4, ::4], description="Aperio label 1x1", subfiletype=1, **common)
        tiff.write(tissue(64, 160), tile=(64, 64), description="Aperio macro 1x1", subfiletype=9, **common)
    assert [level.width for level in opened(path).info.levels] == [420, 210]


def test_one_huge_raw_strip_is_read_in_bands(tmp_path: Path, opened: Opener) -> None:
    picture = tissue(64, 200).repeat(40, axis=0).repeat(12, axis=1)
    path = write_tiff(tmp_path / "a.tif", picture, rowsperstrip=picture.shape[0])
    slide = opened(path)
    assert slide._raw[0][1].tile_height == (1 << 20) // picture.shape[1]
    assert (slide.read(100, 400, 1800, 900, MPP) == picture[400:1300, 100:1900]).all()


def test_ome_with_one_page_per_colour(tmp_path: Path, opened: Opener) -> None:
    colours = {"Red": -16776961, "Green": 16711935, "Blue": 65535}
    channels = "".join(
        f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1" Color="{colour}"/>'
        for i, colour in enumerate(colours.values())
    )
    text = ome_xml(420, 300).replace('<Channel ID="Channel:0:0" SamplesPerPixel="3"/>', channels)
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as tiff:
        for index in range(3):
            tiff.write(
                PICTURE[..., index],
                tile=(64, 64),
                photometric="minisblack",
                description=text if index == 0 else None,
                metadata=None,
            )
    assert (opened(path).read(0, 0, 420, 300, MPP) == PICTURE).all()


def test_ome_pyramid_in_subifds(tmp_path: Path, opened: Opener) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PICTURE, levels=2)
    slide = opened(path)
    assert [level.mpp for level in slide.info.levels] == [0.5, 1.0, 2.0]
    assert (slide.read(0, 0, 210, 150, 1.0) == halved(PICTURE)).all()


def test_a_renamed_ome_file_is_still_itself(tmp_path: Path, opened: Opener) -> None:
    uuid = "urn:uuid:00000000-0000-0000-0000-000000000001"
    inner = f'<TiffData IFD="0"><UUID FileName="old.ome.tif">{uuid}</UUID></TiffData>'
    path = tmp_path / "new.ome.tif"
    text = ome_xml(420, 300, inner, f'UUID="{uuid}"')
    tifffile.imwrite(path, PICTURE, photometric="rgb", description=text, metadata=None)
    assert opened(path).info.width == 420
