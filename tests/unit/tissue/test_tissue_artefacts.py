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


GREY = np.float32((0.30, 0.31, 0.30))


def test_cover_slip_edges_that_meet_are_not_tissue() -> None:
    shape = (1400, 1600)
    density = glass_density(*shape)
    tissue = rectangle(shape, 400, 200, 1000, 1200)
    paint_tissue(density, tissue)
    lines = np.zeros(shape, np.uint8)
    cv2.line(lines, (20, 60), (1580, 90), 1, 20)
    cv2.line(lines, (1500, 20), (1520, 1380), 1, 20)
    density[lines > 0] += GREY
    found = find(develop(density))
    assert found.area_mm2(found.tissue) == pytest.approx(tissue.sum() * 1e-6, rel=0.02)
    assert not found.artefacts.any()


def test_cover_slip_edge_over_tissue_is_marked() -> None:
    density = glass_density(1000, 4000)
    tissue = rectangle((1000, 4000), 300, 2600, 700, 3500)
    paint_tissue(density, tissue)
    line = np.zeros((1000, 4000), np.uint8)
    cv2.line(line, (50, 480), (3950, 520), 1, 20)
    density[line > 0] += GREY
    found = find(develop(density))
    assert found.area_mm2(found.tissue) == pytest.approx(tissue.sum() * 1e-6, rel=0.03)
    assert not found.tissue[:, : 2500 // 4].any()
    band = rectangle((1000, 4000), 470, 2650, 550, 3450)
    edge = found.artefact("edge")
    assert edge[:, 2700 // 4 : 3400 // 4].any(axis=0).all()
    assert edge[~on_mask_grid(band, found)].sum() < 0.2 * edge.sum()


def test_air_bubble_marks_what_it_encloses() -> None:
    density = glass_density(1400, 2400)
    tissue = rectangle((1400, 2400), 500, 200, 900, 1300)
    paint_tissue(density, tissue)
    ring = np.zeros((1400, 2400), np.uint8)
    cv2.circle(ring, (1500, 700), 450, 1, 24)
    density[ring > 0] += GREY
    found = find(develop(density))
    assert found.area_mm2(found.tissue) == pytest.approx(tissue.sum() * 1e-6, rel=0.03)
    bubble = found.artefact("bubble")
    assert bubble[700 // 4, 1200 // 4]
    assert not bubble[:, : 1000 // 4].any()


def test_a_stained_strand_is_tissue() -> None:
    density = _density()
    strand = np.zeros(SHAPE, np.uint8)
    cv2.line(strand, (20, 60), (1380, 90), 1, 30)
    paint_tissue(density, TISSUE | (strand > 0))
    found = find(develop(density))
    assert found.tissue[75 // 4, 700 // 4]
    assert not found.artefact("edge").any()


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
