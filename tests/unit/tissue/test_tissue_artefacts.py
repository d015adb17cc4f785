"""Pen, blur and folds: found where they are, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.tissue_scenes import (
    INKS,
    develop,
    find,
    glass_density,
    on_mask_grid,
    paint_ink,
    paint_tissue,
    rectangle,
)
from tme.config import TissueSettings
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue
from tme.tissue.types import TissueMask

SHAPE = (1000, 1400)
TISSUE = rectangle(SHAPE, 150, 150, 850, 1250)


def _density() -> NDArray[np.float32]:
    density = glass_density(*SHAPE)
    paint_tissue(density, TISSUE)
    return density


def _overlap(found: TissueMask, name: str, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Recall and precision of an artefact within tissue."""
    wanted = on_mask_grid(truth, found) & found.tissue
    got = found.artefact(name)
    both = float((wanted & got).sum())
    return both / float(wanted.sum()), both / max(float(got.sum()), 1.0)


def test_clean_tissue_has_no_artefacts() -> None:
    found = find(develop(_density()))
    assert found.tissue.any()
    assert not found.artefacts.any()


@pytest.mark.parametrize("colour", sorted(INKS))
def test_pen_over_tissue_is_found_and_pen_on_glass_is_not_tissue(colour: str) -> None:
    density = _density()
    stroke = np.zeros(SHAPE, np.uint8)
    cv2.line(stroke, (700, 0), (700, 600), 1, 180)
    paint_ink(density, stroke > 0, colour)
    found = find(develop(density))
    recall, precision = _overlap(found, "pen", (stroke > 0) & TISSUE)
    assert recall > 0.9
    assert precision > 0.7
    assert not found.tissue[: 100 // 4].any()
    assert found.area_mm2(found.tissue) == pytest.approx(TISSUE.sum() * 1e-6, rel=0.04)
    assert not found.artefact("fold").any()


@pytest.mark.parametrize("sigma_um", [3.0, 5.0, 8.0])
def test_blur_is_found(sigma_um: float) -> None:
    pixels = develop(_density(), noise=0.0)
    patch = rectangle(SHAPE, 150, 150, 850, 600)
    soft = cv2.GaussianBlur(pixels, (0, 0), sigma_um)
    pixels[patch] = soft[patch]
    found = find(pixels)
    recall, precision = _overlap(found, "blur", patch & TISSUE)
    assert recall > 0.85
    assert precision > 0.9


def test_smooth_stroma_and_fat_are_not_blur() -> None:
    density = _density()
    rng = np.random.default_rng(3)
    plain = rectangle(SHAPE, 300, 300, 700, 700)
    texture = 1 + 0.03 * cv2.GaussianBlur(rng.standard_normal(SHAPE).astype(np.float32), (0, 0), 0.8)
    density[plain] = (np.float32((0.05, 0.2, 0.1)) * texture[..., None])[plain]
    found = find(develop(density))
    assert found.tissue[400 // 4, 400 // 4]
    assert not found.artefact("blur").any()


def test_fold_is_found() -> None:
    density = _density()
    band = np.zeros(SHAPE, np.uint8)
    cv2.line(band, (300, 300), (1000, 700), 1, 60)
    density[band > 0] *= 2.0
    found = find(develop(density))
    recall, precision = _overlap(found, "fold", band > 0)
    assert recall > 0.7
    assert precision > 0.7


def test_a_row_of_nuclei_is_not_a_fold() -> None:
    density = _density()
    band = np.zeros(SHAPE, np.uint8)
    cv2.line(band, (300, 300), (1000, 700), 1, 60)
    density[band > 0] += np.float32((0.30, 0.26, 0.10))
    assert not find(develop(density)).artefact("fold").any()


def test_artefacts_lie_within_tissue_and_can_be_switched_off() -> None:
    density = _density()
    stroke = np.zeros(SHAPE, np.uint8)
    cv2.line(stroke, (700, 0), (700, 600), 1, 180)
    paint_ink(density, stroke > 0, "green")
    pixels = develop(density)
    found = find(pixels)
    assert found.artefacts.any()
    assert not (found.artefacts[~found.tissue]).any()
    unjudged = find_tissue(ArraySlide(pixels, 1.0), TissueSettings(detect_artefacts=False))
    assert not unjudged.artefacts.any()


def test_a_small_field_is_not_judged() -> None:
    pixels = develop(_density())[300:700, 300:700]
    soft = cv2.GaussianBlur(pixels, (0, 0), 5)
    assert not find(np.ascontiguousarray(soft)).artefacts.any()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "low", "high"), [("tcga-green-pen.png", 0.15, 0.30), ("tcga-red-pen.png", 0.15, 0.35)]
)
def test_real_pen(shared_data: Path, name: str, low: float, high: float) -> None:
    pixels = np.array(Image.open(shared_data / "wsi" / "thumbs_penmarks" / name).convert("RGB"))
    found = find(pixels, mpp=2.0)
    assert low < found.area_mm2(found.artefact("pen")) / found.area_mm2(found.tissue) < high


@pytest.mark.shared
def test_real_fields_are_clean(shared_data: Path) -> None:
    worst = {}
    for path in sorted((shared_data / "ihc" / "ki67_points").glob("*.jpg")):
        found = find(np.array(Image.open(path).convert("RGB")), mpp=0.5)
        worst[path.name] = found.area_mm2(found.artefacts != 0) / found.area_mm2(found.tissue)
    assert len(worst) == 13
    assert max(worst.values()) < 0.01
