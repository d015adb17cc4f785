"""How the slide is read: once, in bounded blocks, from a coarser level, and without block borders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.tissue_scenes import develop, section
from tme.config import TissueSettings
from tme.slide.types import RGB, Level, SlideInfo
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue
from tme.tissue.scan import BLOCK_PX, SAMPLE_ALL_PX


class Counting(ArraySlide):
    """Remembers every read."""

    def __init__(self, pixels: RGB, mpp: float) -> None:
        super().__init__(pixels, mpp)
        self.reads: list[tuple[int, int, int, int, float]] = []

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        self.reads.append((x, y, width, height, mpp))
        return super().read(x, y, width, height, mpp)


class Huge:
    """A pyramid far too large for memory: a square section amid glass, made up where it is read."""

    def __init__(self, side: int) -> None:
        levels = tuple(Level(side // d, side // d, 0.25 * d) for d in (1, 4, 16))
        self.info = SlideInfo("huge", "memory", levels, "sheet")
        self.largest = self.total = 0

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> RGB:
        self.largest = max(self.largest, width * height)
        self.total += width * height
        out = np.full((height, width, 3), 243, np.uint8)
        side = self.info.width * self.info.mpp / mpp
        low, high = round(0.4 * side), round(0.6 * side)
        box = slice(max(low - y, 0), max(high - y, 0)), slice(max(low - x, 0), max(high - x, 0))
        rows, columns = np.ogrid[y : y + height, x : x + width]
        pattern = ((rows // 3 + columns // 4) % 2 * 60 + 120).astype(np.uint8)
        out[box] = np.stack([pattern + 40, pattern, pattern + 30], axis=-1)[box]
        return out

    def close(self) -> None:
        """Nothing to release."""


def test_every_pixel_is_read_once_for_the_mask() -> None:
    slide = Counting(develop(section(700, 900)[0]), 0.5)
    find_tissue(slide, TissueSettings())
    seen = np.zeros((175, 225), np.int64)
    for x, y, width, height, mpp in slide.reads:
        assert mpp == 2.0
        seen[y : y + height, x : x + width] += 1
    # Once for the glass, as the slide is small, and once for the mask.
    assert (seen == 2).all()


def test_a_huge_slide_is_read_in_blocks_from_a_coarser_level() -> None:
    slide = Huge(40_000)
    found = find_tissue(slide, TissueSettings(detect_artefacts=False))
    assert found.shape == (2500, 2500)
    assert slide.largest <= BLOCK_PX * BLOCK_PX
    assert slide.total <= 5000 * 5000 + SAMPLE_ALL_PX
    assert found.area_mm2(found.tissue) == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("block", [64, 96, 256])
def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    pixels = develop(section()[0])
    pixels[300:500, 300:700] = cv2.GaussianBlur(pixels, (0, 0), 4)[300:500, 300:700]
    whole = find_tissue(ArraySlide(pixels, 1.0), TissueSettings())
    monkeypatch.setattr("tme.tissue.scan.BLOCK_PX", block)
    blocks = find_tissue(ArraySlide(pixels, 1.0), TissueSettings())
    np.testing.assert_array_equal(whole.tissue, blocks.tissue)
    np.testing.assert_array_equal(whole.artefacts, blocks.artefacts)


def test_a_level_near_the_wanted_resolution_is_used_as_it_is() -> None:
    pixels = develop(section()[0])
    slide = Counting(pixels, 0.5)
    levels = (Level(1000, 800, 0.5), Level(250, 200, 2.02))
    slide.info = SlideInfo("pyramid", "memory", levels, "metadata")
    found = find_tissue(slide, TissueSettings())
    assert {read[4] for read in slide.reads} == {2.02}
    assert found.mpp == 4.04
