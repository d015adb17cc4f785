"""The same tissue through another scanner gives the same cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tme.cells.stage import find_cells
from tme.config import CellSettings, StainSettings, TissueSettings
from tme.slide.open import open_slide
from tme.slide.types import RGB, Slide
from tme.stains import STAINS
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide
from tme.testing.render import SlideSpec, render_slide
from tme.tissue import find_tissue

STAIN = "CD8"
MOST_SHARE_POINTS = 2.0
MOST_COUNT_PCT = 5.0


@dataclass(frozen=True)
class Count:
    """Nuclei and positive cells of one slide."""

    nuclei: int
    positive: int

    @property
    def share_pct(self) -> float:
        return 100 * self.positive / self.nuclei


def jpeg(quality: int) -> Callable[[RGB], RGB]:
    def encode(pixels: RGB) -> RGB:
        done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    return encode


def gamma(exponent: float) -> Callable[[RGB], RGB]:
    levels = np.round(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return lambda pixels: levels[pixels]


def white_balance(*gains: float) -> Callable[[RGB], RGB]:
    return lambda pixels: np.clip(np.round(pixels * np.array(gains)), 0, 255).astype(np.uint8)


def finer(pixels: RGB) -> RGB:
    """Twice the pixels each way, as a scanner at 0.25 µm/px would give them of what 0.5 µm/px can show."""
    return np.ascontiguousarray(cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


SCANS: dict[str, tuple[Callable[[RGB], RGB], float]] = {
    "0.25 µm/px": (finer, 0.25),
    "JPEG 95": (jpeg(95), 0.5),
    "JPEG 75": (jpeg(75), 0.5),
    "gamma 0.95": (gamma(0.95), 0.5),
    "gamma 1.05": (gamma(1.05), 0.5),
    "warm": (white_balance(1.0, 0.98, 0.96), 0.5),
    "cold": (white_balance(0.96, 0.98, 1.0), 0.5),
    "all at once": (
        lambda pixels: jpeg(75)(gamma(1.05)(white_balance(1.0, 0.98, 0.96)(finer(pixels)))),
        0.25,
    ),
}


@lru_cache(maxsize=1)
def scanned() -> RGB:
    return render_slide(SlideSpec(STAIN, 0.12, til_density_per_mm2=900), 11).pixels


def counted(slide: Slide, name: str = STAIN) -> Count:
    tissue, stain = find_tissue(slide, TissueSettings()), STAINS.get(name)
    profile = estimate_profile(slide, tissue, stain, StainSettings())
    positive = find_cells(slide, tissue, profile, stain, CellSettings()).table["positive"]
    return Count(len(positive), sum(positive.to_pylist()))


@lru_cache(maxsize=1)
def original() -> Count:
    return counted(ArraySlide(scanned(), 0.5))


@pytest.mark.parametrize("scan", SCANS)
def test_another_scan_of_the_tissue_gives_its_cells(scan: str) -> None:
    change, mpp = SCANS[scan]
    one, two = original(), counted(ArraySlide(change(scanned()), mpp))
    assert one.positive > 60
    assert abs(two.share_pct - one.share_pct) <= MOST_SHARE_POINTS, (one, two)
    assert abs(two.nuclei / one.nuclei - 1) <= MOST_COUNT_PCT / 100, (one, two)
    # Positive cells alone move by less than the Poisson error of the field.
    assert abs(two.positive - one.positive) <= one.positive**0.5, (one, two)


@lru_cache(maxsize=1)
def real(path: Path) -> tuple[RGB, Count]:
    pixels = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    return pixels, counted(ArraySlide(pixels, 0.25))


@pytest.mark.shared
@pytest.mark.parametrize("scan", ["JPEG 75", "gamma 0.95", "gamma 1.05", "warm", "cold"])
def test_another_scan_of_a_real_field_gives_its_cells(shared_data: Path, scan: str) -> None:
    pixels, one = real(shared_data / "ihc" / "unlabelled" / "ROI_127.png")
    two = counted(ArraySlide(SCANS[scan][0](pixels), 0.25))
    assert one.positive > 150
    assert abs(two.share_pct - one.share_pct) <= 1, (one, two)
    assert abs(two.nuclei / one.nuclei - 1) <= 0.03, (one, two)
    assert abs(two.positive - one.positive) <= one.positive**0.5 / 2, (one, two)


@pytest.mark.shared
def test_a_real_field_at_two_resolutions_gives_its_cells(shared_data: Path) -> None:
    # The coarser one was cut out with a black frame on three sides.
    paths = {0.25: "ki67_full/K13_full.jpg", 0.5: "ki67_points/K13_half.jpg"}
    fine, coarse = (
        counted(open_slide(shared_data / "ihc" / path, mpp), "KI67") for mpp, path in paths.items()
    )
    assert fine.positive > 25
    assert abs(coarse.share_pct - fine.share_pct) <= MOST_SHARE_POINTS, (fine, coarse)
    assert abs(coarse.nuclei / fine.nuclei - 1) <= MOST_COUNT_PCT / 100, (fine, coarse)
    assert abs(coarse.positive - fine.positive) <= fine.positive**0.5, (fine, coarse)
