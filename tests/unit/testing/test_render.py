"""Synthetic slides: the truth is what was asked for, and the pixels show it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tme.errors import ConfigError
from tme.testing.render import Rendered, SlideSpec, lay_out, render_slide
from tme.testing.render_spec import MPP, PX, draw_look
from tme.testing.render_vessels import TOUCHING_SHARE

STAINS = ("HE", "CD8", "CD31")


def brown(pixels: np.ndarray) -> np.ndarray:
    """How much more blue than red light is lost, in optical density: high on DAB, below 0 on nuclei."""
    density = -np.log((pixels.astype(np.float32) + 1) / 256)
    return density[..., 2] - density[..., 0]


def dark(pixels: np.ndarray) -> np.ndarray:
    """Optical density in red, where haematoxylin absorbs and eosin does not."""
    return -np.log((pixels[..., 0].astype(np.float32) + 1) / 256)


def mean_at(image: np.ndarray, truth_x: np.ndarray, truth_y: np.ndarray, radius_um: float) -> np.ndarray:
    """Mean of an image within a square around points in µm."""
    side = int(2 * radius_um * PX) + 1
    smooth = cv2.blur(image, (side, side))
    rows = np.clip((truth_y / MPP).astype(int), 0, image.shape[0] - 1)
    return smooth[rows, np.clip((truth_x / MPP).astype(int), 0, image.shape[1] - 1)]


@pytest.mark.parametrize("stain", STAINS)
def test_same_seed_same_bytes_and_another_seed_another_slide(
    stain: str, small_slides: dict[str, Rendered]
) -> None:
    slide = small_slides[stain]
    again = render_slide(slide.truth.spec, 7)
    assert again.pixels.tobytes() == slide.pixels.tobytes()
    assert again.truth.summary() == slide.truth.summary()
    other = lay_out(slide.truth.spec, 8).truth()
    assert len(other.cells.x_um) != len(slide.truth.cells.x_um)


@pytest.mark.parametrize("stain", STAINS)
def test_pixels_are_a_small_rgb_slide_at_half_a_micrometre(
    stain: str, small_slides: dict[str, Rendered]
) -> None:
    slide = small_slides[stain]
    width, height = slide.truth.size_px
    assert slide.pixels.shape == (height, width, 3)
    assert slide.pixels.dtype == np.uint8
    assert slide.mpp == MPP == 0.5


@pytest.mark.parametrize("stain", STAINS)
def test_area_and_counts_are_those_asked_for(stain: str, small_slides: dict[str, Rendered]) -> None:
    truth = small_slides[stain].truth
    spec = truth.spec
    assert truth.tissue_area_mm2 == pytest.approx(spec.area_mm2, rel=0.01)
    assert truth.evaluable_area_mm2 == truth.tissue_area_mm2
    assert truth.cells.is_til.sum() == (
        0 if stain == "CD31" else round(spec.til_density_per_mm2 * spec.area_mm2)
    )
    assert len(truth.vessels.x_um) == round(spec.mvd_per_mm2 * spec.area_mm2)
    assert truth.n_nuclei > 500


@pytest.mark.parametrize("stain", STAINS)
def test_everything_lies_on_tissue(stain: str, small_slides: dict[str, Rendered]) -> None:
    truth = small_slides[stain].truth
    assert truth.cells.evaluable.all()
    assert truth.vessels.evaluable.all()


@pytest.mark.parametrize("stain", STAINS)
def test_glass_is_near_white_and_tissue_is_not(stain: str, small_slides: dict[str, Rendered]) -> None:
    slide = small_slides[stain]
    step = round(slide.truth.mask_um / MPP)
    seen = cv2.resize(slide.pixels, slide.truth.tissue.shape[::-1], interpolation=cv2.INTER_AREA)
    assert step * slide.truth.tissue.shape[0] == slide.pixels.shape[0]
    far = cv2.erode((~slide.truth.tissue).astype(np.uint8), np.ones((9, 9))) > 0
    assert np.percentile(seen[far], 1) > 228
    assert seen[slide.truth.tissue].mean() < seen[far].mean() - 15


def test_positive_cells_are_brown_and_negative_ones_are_not(small_slides: dict[str, Rendered]) -> None:
    slide = small_slides["CD8"]
    cells = slide.truth.cells
    value = mean_at(brown(slide.pixels), cells.x_um, cells.y_um, 3.5)
    positive = value[cells.is_til]
    negative = value[~cells.positive & (cells.kind == "tumour")]
    assert (positive > np.percentile(negative, 98)).mean() > 0.98
    assert np.median(positive) > np.median(negative) + 0.2


def test_lymphocytes_on_he_are_darker_than_tumour_nuclei(small_slides: dict[str, Rendered]) -> None:
    slide = small_slides["HE"]
    cells = slide.truth.cells
    value = mean_at(dark(slide.pixels), cells.x_um, cells.y_um, 1.5)
    lymphocyte, tumour = value[cells.kind == "lymphocyte"], value[cells.kind == "tumour"]
    assert np.median(lymphocyte) > np.percentile(tumour, 75)
    assert np.percentile(tumour, 25) > np.median(dark(slide.pixels)[::7, ::7])


def test_vessel_walls_are_brown_on_cd31_and_lumens_are_not(small_slides: dict[str, Rendered]) -> None:
    slide = small_slides["CD31"]
    vessels = slide.truth.vessels
    image = brown(slide.pixels)
    wall, lumen = np.zeros(image.shape, np.uint8), np.zeros(image.shape, np.uint8)
    for outline, inner in zip(vessels.outline, vessels.lumen, strict=True):
        cv2.fillPoly(wall, [np.round(outline).astype(np.int32)], 1)
        if inner is not None:
            cv2.fillPoly(lumen, [np.round(inner).astype(np.int32)], 1)
    inside = cv2.erode(lumen, np.ones((7, 7), np.uint8)) > 0
    assert np.median(image[(wall > 0) & (lumen == 0)]) > 0.25
    assert np.median(image[inside]) < 0.1


def test_he_and_cd8_show_no_brown_vessels(small_slides: dict[str, Rendered]) -> None:
    slide = small_slides["CD8"]
    vessels = slide.truth.vessels
    value = brown(slide.pixels)
    labels = cv2.resize(slide.truth.vessel_labels(), value.shape[::-1], interpolation=cv2.INTER_NEAREST)
    assert len(vessels.x_um) > 10
    assert np.median(value[labels > 0]) < 0.1


def test_vessel_label_map_agrees_with_areas_and_few_vessels_touch(
    small_slides: dict[str, Rendered],
) -> None:
    truth = small_slides["CD31"].truth
    labels = truth.vessel_labels()
    areas = np.bincount(labels.ravel(), minlength=len(truth.vessels.x_um) + 1)[1:]
    assert areas == pytest.approx(truth.vessels.area_um2, rel=0.05, abs=8)
    assert areas.sum() == pytest.approx(truth.vessels.area_um2.sum(), rel=0.01)
    count, _ = cv2.connectedComponents((labels > 0).astype(np.uint8))
    touching = len(areas) - (count - 1)
    assert 0 <= touching <= TOUCHING_SHARE / 2 * len(areas) + 0.5
    for label in range(1, len(areas) + 1):
        assert cv2.connectedComponents((labels == label).astype(np.uint8))[0] == 2
    assert (truth.vessels.lumen_area_um2 < truth.vessels.area_um2).all()
    assert 0 < truth.vessels.has_lumen.sum() < len(areas)


def test_pen_and_blur_leave_the_evaluable_area_and_what_lies_there(spoiled_slide: Rendered) -> None:
    truth = spoiled_slide.truth
    lost = truth.tissue & ~truth.evaluable
    assert 0.005 < lost.sum() / truth.tissue.sum() < 0.4
    assert not (truth.evaluable & ~truth.tissue).any()
    assert truth.n_til == (truth.cells.is_til & truth.cells.evaluable).sum() < truth.cells.is_til.sum()


def test_the_blurred_patch_is_smooth(spoiled_slide: Rendered) -> None:
    clean = lay_out(spoiled_slide.truth.spec, 3).plan
    grey = cv2.cvtColor(spoiled_slide.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sharpness = cv2.blur(np.abs(cv2.Laplacian(grey, cv2.CV_32F, ksize=3)), (9, 9))
    sharpness = cv2.resize(sharpness, clean.blur.shape[::-1], interpolation=cv2.INTER_AREA)
    open_tissue = (clean.inside > 20) & (clean.pen < 0.1)
    blurred, sharp = open_tissue & (clean.blur > 0.95), open_tissue & (clean.blur < 0.05)
    assert np.median(sharpness[blurred]) < 0.6 * np.median(sharpness[sharp])


def test_cells_do_not_lie_on_each_other(small_slides: dict[str, Rendered]) -> None:
    cells = small_slides["CD8"].truth.cells
    xy = np.stack([cells.x_um, cells.y_um], -1)[cells.kind == "lymphocyte"]
    gap = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 1e3 * np.eye(len(xy))
    assert gap.min() > 3.5


@pytest.mark.parametrize(
    "change",
    [
        {"stain": "PAS"},
        {"area_mm2": 0.0},
        {"area_mm2": float("nan")},
        {"til_density_per_mm2": -1.0},
        {"mvd_per_mm2": 1e6},
        {"cores": 9},
    ],
)
def test_specs_outside_the_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        SlideSpec(**({"stain": "HE"} | change))
    assert "SlideSpec" in str(caught.value)


@settings(max_examples=20)
@given(st.sampled_from(STAINS), st.integers(0, 2**60))
def test_looks_stay_within_what_can_be_seen(stain: str, seed: int) -> None:
    look = draw_look(stain, np.random.default_rng(seed))
    assert np.allclose(np.linalg.norm(look.vectors, axis=1), 1, atol=1e-5)
    assert (look.vectors > 0).all()
    assert look.white.max() <= 255
    assert look.lymphocyte_od > look.nucleus_od
    assert look.fat_share + look.necrosis_share + look.stroma_share < 0.6
