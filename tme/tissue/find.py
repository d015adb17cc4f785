"""Slide -> TissueMask: where tissue is, and which of it cannot be trusted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import TissueSettings
from tme.slide.types import Slide
from tme.tissue import foreground
from tme.tissue.focus import MAX_NATIVE_MPP, find_blur
from tme.tissue.fold import find_folds
from tme.tissue.foreground import Weights
from tme.tissue.glass import Glass, estimate_glass
from tme.tissue.pen import find_pen, tissue_under_pen
from tme.tissue.runs import find_pieces
from tme.tissue.scan import COARSE, EVIDENCE_PER_OD, TEXTURE, Scan, make_raster, read_sample, scan_slide
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.units import mm2_to_um2, px_to_mm2, um2_to_px

MIN_FIELD_MM2 = 0.3
MIN_TISSUE_SHARE = 0.02
ROUGH_ENERGY = 0.012**2
UNIFORM_ENERGY = 0.0005**2

Mask = NDArray[np.bool_]


def find_tissue(slide: Slide, settings: TissueSettings) -> TissueMask:
    """Tissue and artefacts of one slide.

    Everything that decides pixels is estimated once for the slide, and the slide is read in fixed
    blocks, so the mask depends on nothing but the slide and the settings.

    Parameters
    ----------
    slide : Slide
    settings : TissueSettings

    Returns
    -------
    TissueMask
        On a grid of ``settings.mpp`` µm/px, or of a level within the slide's snapping tolerance
        of it. Without any tissue the mask is empty.
    """
    raster = make_raster(slide, settings.mpp)
    glass = estimate_glass(read_sample(slide, raster))
    scan = scan_slide(slide, raster, glass)
    empty = TissueMask(
        raster.mask_mpp,
        slide.info.width * slide.info.mpp,
        slide.info.height * slide.info.mpp,
        np.zeros(raster.shape(1), np.bool_),
        np.zeros(raster.shape(1), np.uint8),
        True,
        0,
    )
    if not glass.found and float(scan.fine.max()) < UNIFORM_ENERGY:
        return empty
    judged = settings.detect_artefacts and _area_mm2(empty) >= MIN_FIELD_MM2
    pen = _find_pen(scan, glass, empty) if judged else np.zeros(empty.shape, np.bool_)
    tissue, has_glass = _find_foreground(scan, glass, pen, empty, settings)
    artefacts = {"pen": pen}
    if judged:
        artefacts |= _find_others(scan, glass, tissue & ~pen, empty, slide.info.mpp)
    return _assemble(empty, tissue, artefacts, has_glass)


def _area_mm2(empty: TissueMask) -> float:
    """Area of the slide. A small field gives too little to judge artefacts by."""
    return px_to_mm2(float(np.prod(empty.shape)), empty.mpp)


def _find_foreground(
    scan: Scan, glass: Glass, pen: Mask, empty: TissueMask, settings: TissueSettings
) -> tuple[Mask, bool]:
    mpp, weights = empty.mpp, empty.coverage()
    max_hole_px = um2_to_px(mm2_to_um2(settings.max_hole_mm2), mpp)
    min_piece_px = um2_to_px(mm2_to_um2(settings.min_piece_mm2), mpp)
    seen = foreground.threshold(scan.evidence, EVIDENCE_PER_OD, mpp, weights) & ~scan.black
    if pen.any():
        # The smallest of a neighbourhood, so that a stroke's own edges do not look like structure.
        least = cv2.erode(scan.middle, np.ones((3, 3), np.uint8))
        rough = _enlarged(least >= ROUGH_ENERGY, TEXTURE, empty.shape)
        seen = tissue_under_pen(seen, pen, rough, mpp)
    ruled_out = (pen & ~seen) | scan.black
    evidence = np.where(ruled_out, np.uint8(0), scan.evidence)
    tissue = foreground.add_fat(seen, evidence, EVIDENCE_PER_OD, mpp, max_hole_px, weights)
    tissue &= ~ruled_out
    if settings.max_hole_mm2 > 0:
        tissue = foreground.fill_holes(tissue, max_hole_px, weights)
    if not _has_glass(glass, tissue | pen, seen, max_hole_px, weights):
        return ~_black_border(scan, max_hole_px, weights), False
    return foreground.drop_small(tissue, min_piece_px, weights, spare_edge=True), True


def _has_glass(glass: Glass, covered: Mask, seen: Mask, max_hole_px: float, weights: Weights) -> bool:
    """Glass is visible if a part without tissue or ink is larger than any hole, or hardly any tissue is."""
    if not glass.found:
        return False
    gap = foreground.largest_gap_px(covered, weights)
    return gap > max_hole_px or float(seen.mean()) < MIN_TISSUE_SHARE


def _black_border(scan: Scan, max_hole_px: float, weights: Weights) -> Mask:
    return foreground.drop_small(scan.black, max_hole_px, weights, spare_edge=False)


def _find_pen(scan: Scan, glass: Glass, empty: TissueMask) -> Mask:
    pen = find_pen(scan.coarse, glass, COARSE * empty.mpp)
    return _enlarged(pen, COARSE, empty.shape)


def _find_others(
    scan: Scan, glass: Glass, clear: Mask, empty: TissueMask, native_mpp: float
) -> dict[str, Mask]:
    """Artefacts within tissue that is free of ink, on the mask grid."""
    blur = np.zeros(empty.shape, np.bool_)
    if native_mpp <= MAX_NATIVE_MPP:
        share = _reduced(clear, TEXTURE)
        found = find_blur(scan.fine, scan.middle, share, TEXTURE * empty.mpp)
        blur = _enlarged(found, TEXTURE, empty.shape) & clear
    folds = find_folds(glass.density(scan.coarse), _reduced(clear & ~blur, COARSE), COARSE * empty.mpp)
    return {"blur": blur, "fold": _enlarged(folds, COARSE, empty.shape) & clear}


def _reduced(mask: Mask, multiple: int) -> NDArray[np.float32]:
    """Share of set pixels on a grid ``multiple`` times coarser, float32."""
    below, right = (-size % multiple for size in mask.shape)
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // multiple, padded.shape[0] // multiple)
    small = cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255.0)


def _enlarged(mask: Mask, multiple: int, shape: tuple[int, int]) -> Mask:
    """A mask on a grid ``multiple`` times coarser, brought to the mask grid."""
    large = cv2.resize(
        mask.view(np.uint8),
        (mask.shape[1] * multiple, mask.shape[0] * multiple),
        interpolation=cv2.INTER_NEAREST,
    )
    return large[: shape[0], : shape[1]] > 0


def _assemble(empty: TissueMask, tissue: Mask, artefacts: dict[str, Mask], has_glass: bool) -> TissueMask:
    bits = np.zeros(empty.shape, np.uint8)
    for name, mask in artefacts.items():
        bits[mask & tissue] |= np.uint8(1 << ARTEFACTS.index(name))
    pieces = find_pieces(tissue, diagonal=True).count
    return TissueMask(
        empty.mpp, empty.width_um, empty.height_um, tissue, bits, has_glass or pieces == 0, pieces
    )
