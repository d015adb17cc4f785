"""Slide -> TissueMask: where tissue is, and which of it cannot be trusted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from tme.config import TissueSettings
from tme.slide.types import Slide
from tme.tissue.fat import find_fat, find_weak_level
from tme.tissue.focus import MAX_NATIVE_MPP, find_blur
from tme.tissue.fold import find_folds
from tme.tissue.foreground import threshold
from tme.tissue.glass import Glass, estimate_glass
from tme.tissue.morphology import Mask, drop_small, enlarged, even, fill_holes, reduced
from tme.tissue.pen import find_pen, tissue_under_pen
from tme.tissue.runs import find_pieces
from tme.tissue.scan import COARSE, EVIDENCE_PER_OD, TEXTURE, Scan, make_raster, read_sample, scan_slide
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.units import mm2_to_um2, px_to_mm2, um2_to_px

MIN_FIELD_MM2 = 0.3
MIN_TISSUE_SHARE = 0.02
ROUGH_ENERGY = 0.012**2
UNIFORM_ENERGY = 0.0005**2


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
    mask = TissueMask(
        raster.mask_mpp,
        slide.info.width * slide.info.mpp,
        slide.info.height * slide.info.mpp,
        np.zeros(raster.shape(1), np.bool_),
        np.zeros(raster.shape(1), np.uint8),
        True,
        0,
    )
    if not glass.found and float(scan.fine.max()) < UNIFORM_ENERGY:
        return mask
    judged = settings.detect_artefacts and px_to_mm2(mask.tissue.size, mask.mpp) >= MIN_FIELD_MM2
    pen = find_pen(scan.coarse, glass, COARSE * mask.mpp) if judged else np.zeros_like(scan.black)
    tissue, has_glass = _find_foreground(scan, glass, pen, mask, settings)
    # The largest map has done its work.
    scan = replace(scan, evidence=scan.evidence[:0])
    if judged:
        _mark(mask, "pen", pen, COARSE)
        _mark_others(mask, scan, glass, tissue, slide.info.mpp)
        mask.artefacts[~tissue] = 0
    pieces = find_pieces(tissue, diagonal=True).count
    return TissueMask(
        mask.mpp, mask.width_um, mask.height_um, tissue, mask.artefacts, has_glass or pieces == 0, pieces
    )


def _find_foreground(
    scan: Scan, glass: Glass, pen: Mask, mask: TissueMask, settings: TissueSettings
) -> tuple[Mask, bool]:
    """Tissue, and whether there is glass beside it."""
    mpp, weights = mask.mpp, mask.coverage()
    hole_px = um2_to_px(mm2_to_um2(settings.max_hole_mm2), mpp)
    tissue = threshold(scan.evidence, EVIDENCE_PER_OD, mpp, weights)
    seen = float(tissue.mean())
    ruled_out = scan.black.copy()
    if pen.any():
        tissue = _without_ink(tissue, scan, pen, mpp)
        ruled_out |= pen & (reduced(tissue, COARSE) == 0)
    tissue &= ~enlarged(ruled_out, COARSE, mask.shape)
    _add_fat(tissue, scan, ruled_out, mpp, hole_px)
    if hole_px > 0:
        fill_holes(tissue, hole_px, weights)
    if not glass.found or (seen >= MIN_TISSUE_SHARE and not _shows_glass(tissue, pen, hole_px)):
        drop_small(scan.black, hole_px / COARSE**2, even(scan.black.shape), spare_edge=False)
        return ~enlarged(scan.black, COARSE, mask.shape), False
    drop_small(tissue, um2_to_px(mm2_to_um2(settings.min_piece_mm2), mpp), weights, spare_edge=True)
    return tissue, True


def _without_ink(tissue: Mask, scan: Scan, pen: Mask, mpp: float) -> Mask:
    # The smallest of a neighbourhood, so that a stroke's own edges do not look like structure.
    least = cv2.erode(scan.middle, np.ones((3, 3), np.uint8))
    rough = enlarged(least >= ROUGH_ENERGY, TEXTURE, tissue.shape)
    return tissue_under_pen(tissue, enlarged(pen, COARSE, tissue.shape), rough, mpp)


def _add_fat(tissue: Mask, scan: Scan, ruled_out: Mask, mpp: float, hole_px: float) -> None:
    evidence = np.where(ruled_out, np.uint8(0), scan.strongest)
    strong = reduced(tissue, COARSE) > 0
    weak_level = find_weak_level(scan.evidence, EVIDENCE_PER_OD, mpp)
    fat = find_fat(strong, evidence, weak_level, COARSE * mpp, hole_px / COARSE**2)
    fat &= ~ruled_out
    tissue |= enlarged(fat, COARSE, tissue.shape)


def _shows_glass(tissue: Mask, pen: Mask, hole_px: float) -> bool:
    """Whether a part without tissue or ink is larger than any hole."""
    covered = tissue | enlarged(pen, COARSE, tissue.shape) if pen.any() else tissue
    gaps = find_pieces(~covered, diagonal=False)
    return float(gaps.areas(*even(tissue.shape)).max(initial=0.0)) > hole_px


def _mark_others(mask: TissueMask, scan: Scan, glass: Glass, tissue: Mask, native_mpp: float) -> None:
    """Mark what is out of focus or folded in tissue that is free of ink."""
    if native_mpp <= MAX_NATIVE_MPP:
        share = reduced(tissue & (mask.artefacts == 0), TEXTURE)
        _mark(mask, "blur", find_blur(scan.fine, scan.middle, share, TEXTURE * mask.mpp), TEXTURE)
    share = reduced(tissue & (mask.artefacts == 0), COARSE)
    _mark(mask, "fold", find_folds(scan.coarse, glass, share, COARSE * mask.mpp), COARSE)


def _mark(mask: TissueMask, name: str, found: Mask, multiple: int) -> None:
    """Set an artefact's bit where there is no other yet."""
    if found.any():
        where = enlarged(found, multiple, mask.shape) & (mask.artefacts == 0)
        mask.artefacts[where] |= np.uint8(1 << ARTEFACTS.index(name))
