"""A black frame around a picture is no tissue."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slide_files import MPP, tissue, write_ome, write_png

from tme.config import TissueSettings
from tme.errors import TileError
from tme.geometry import Box
from tme.slide.frame import SOFT_PX, black_frame
from tme.slide.open import open_slide
from tme.slide.reader import TiledSlide
from tme.slide.types import Frame
from tme.tissue import find_tissue

Opener = Callable[..., TiledSlide]
PICTURE = tissue(240, 320)
widths = st.tuples(*[st.integers(0, 6)] * 4)


def framed(pixels: np.ndarray, top: int, right: int, bottom: int, left: int) -> np.ndarray:
    out = pixels.copy()
    out[:top], out[:, :left] = 3, 3
    out[out.shape[0] - bottom :], out[:, out.shape[1] - right :] = 3, 3
    return out


def found(pixels: np.ndarray) -> Frame:
    height, width = pixels.shape[:2]
    return black_frame(lambda box: pixels[box.y0 : box.y1, box.x0 : box.x1], width, height)


def inner(pixels: np.ndarray, frame: Frame) -> Box:
    return Box(frame.top, frame.left, pixels.shape[0] - frame.bottom, pixels.shape[1] - frame.right)


@given(widths)
def test_every_side_has_the_width_that_was_painted(sides: tuple[int, int, int, int]) -> None:
    expected = Frame(*(px + SOFT_PX if px else 0 for px in sides))
    assert found(framed(PICTURE, *sides)) == expected
    assert expected.any is any(sides)


@given(st.integers(1, 6), st.integers(60, 95))
def test_a_frame_is_found_after_jpeg(px: int, quality: int) -> None:
    data = BytesIO()
    Image.fromarray(framed(PICTURE, px, 0, 0, px)).save(data, "JPEG", quality=quality)
    frame = found(np.array(Image.open(data)))
    assert (frame.right, frame.bottom) == (0, 0)
    assert abs(frame.top - px - SOFT_PX) <= 1
    assert abs(frame.left - px - SOFT_PX) <= 1


def test_what_is_dark_but_no_frame_is_left_alone() -> None:
    for dark in (np.zeros_like(PICTURE), framed(PICTURE, 40, 0, 0, 0), framed(PICTURE, 0, 0, 0, 100)):
        # Black throughout, or beside the picture as a scanner fills it: the tissue mask sees to that.
        assert not found(dark).any
    nuclei = PICTURE.copy()
    nuclei[:12, 40:200], nuclei[:, :3] = 20, 90
    assert not found(nuclei).any
    assert not found(np.zeros((8, 8, 3), np.uint8)).any


@given(
    sides=widths,
    y=st.integers(-9, 250),
    x=st.integers(-9, 330),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
)
def test_reads_give_the_picture_and_its_rim_again(
    tmp_path_factory: pytest.TempPathFactory,
    sides: tuple[int, int, int, int],
    y: int,
    x: int,
    height: int,
    width: int,
) -> None:
    pixels = framed(PICTURE, *sides)
    slide = open_slide(write_png(tmp_path_factory.mktemp("frame") / "a.png", pixels), MPP)
    box = inner(pixels, slide.info.frame)
    rows, columns = np.arange(y, y + height), np.arange(x, x + width)
    expected = PICTURE[np.ix_(np.clip(rows, box.y0, box.y1 - 1), np.clip(columns, box.x0, box.x1 - 1))].copy()
    expected[(rows < 0) | (rows >= PICTURE.shape[0])] = 255
    expected[:, (columns < 0) | (columns >= PICTURE.shape[1])] = 255
    assert np.array_equal(slide.read(x, y, width, height, MPP), expected)
    slide.close()


@pytest.mark.parametrize("mpp", [0.3, MPP, 0.7, 2.0])
def test_no_black_is_left_at_any_resolution(tmp_path: Path, opened: Opener, mpp: float) -> None:
    slide = opened(write_ome(tmp_path / "a.ome.tif", framed(PICTURE, 3, 1, 2, 5), levels=2))
    assert len(slide.info.levels) == 3
    assert slide.info.cautions == (
        "a black frame around the picture is left out (6 px top, 4 px right, 5 px bottom, 8 px left)",
    )
    width, height = slide.info.size_at(mpp)
    assert slide.read(0, 0, width, height, mpp).max(axis=2).min() > 90


def test_no_tissue_lies_in_a_wide_frame(tmp_path: Path, opened: Opener) -> None:
    rng = np.random.default_rng(0)
    # What has no structure at all is no tissue.
    fibres = cv2.GaussianBlur(rng.normal(0, 60, (700, 900, 1)), (0, 0), 3)[..., None]
    plain = (rng.normal((226, 178, 205), 6, (700, 900, 3)) + fibres).clip(0, 255).astype(np.uint8)
    wide = opened(write_png(tmp_path / "a.png", framed(plain, 30, 24, 0, 40)), MPP)
    assert wide.info.frame == Frame(30 + SOFT_PX, 24 + SOFT_PX, 0, 40 + SOFT_PX)
    tissue = find_tissue(wide, TissueSettings())
    inside = (700 - 30 - SOFT_PX) * (900 - 64 - 2 * SOFT_PX) * (MPP / 1000) ** 2
    assert tissue.area_mm2(tissue.tissue) == pytest.approx(inside, rel=0.02)


def test_a_damaged_place_is_not_asked_and_many_tell_nothing() -> None:
    pixels = framed(PICTURE, 3, 0, 0, 4)

    def damaged(columns: int) -> Frame:
        def read(box: Box) -> np.ndarray:
            if box.x0 < columns:
                raise TileError("damaged", where="a")
            return pixels[box.y0 : box.y1, box.x0 : box.x1]

        return black_frame(read, 320, 240)

    assert damaged(40) == Frame(top=3 + SOFT_PX)
    assert damaged(250) == Frame()
