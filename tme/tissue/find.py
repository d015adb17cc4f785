"""Slide -> TissueMask: where tissue is, and which of it cannot be trusted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import TissueSettings
from tme.slide.types import Slide
from tme.tissue import foreground
from tme.tissue.foreground import Weights
from tme.tissue.glass import Glass, estimate_glass
from tme.tissue.pen import find_pen, tissue_under_pen
from tme.tissue.runs import find_pieces
from tme.tissue.scan import COARSE, EVIDENCE_PER_OD, TEXTURE, Scan, make_raster, read_sample, scan_slide
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.units import mm2_to_um2, px_to_mm2, um2_to_px

MIN_FIELD_MM2 = 0.3
MIN_TISSUE_SHARE = 0.02
ROUGH_FINE = 0.010

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
    artefacts = _find_artefacts(scan, glass, empty) if settings.detect_artefacts else {}
    tissue, has_glass = _find_foreground(scan, glass, artefacts, empty, settings)
    return _assemble(empty, tissue, artefacts, has_glass)


def _find_foreground(
    scan: Scan, glass: Glass, artefacts: dict[str, Mask], empty: TissueMask, settings: TissueSettings
) -> tuple[Mask, bool]:
    mpp, weights = empty.mpp, empty.coverage()
    max_hole_px = um2_to_px(mm2_to_um2(settings.max_hole_mm2), mpp)
    min_piece_px = um2_to_px(mm2_to_um2(settings.min_piece_mm2), mpp)
    seen = foreground.threshold(scan.evidence, EVIDENCE_PER_OD, mpp, weights) & ~scan.black
    pen = artefacts.get("pen")
    if pen is not None and pen.any():
        rough = _enlarged(scan.fine >= ROUGH_FINE**2, TEXTURE, empty.shape)
        seen = tissue_under_pen(seen, pen, rough, mpp)
    tissue = foreground.join_fat(seen, mpp)
    if settings.max_hole_mm2 > 0:
        tissue = foreground.fill_holes(tissue, max_hole_px, weights)
    if not _has_glass(tissue, seen, max_hole_px, weights):
        return ~_large_black(scan, max_hole_px, weights), False
    return foreground.drop_small(tissue, min_piece_px, weights, spare_edge=True), True


def _has_glass(tissue: Mask, seen: Mask, max_hole_px: float, weights: Weights) -> bool:
    """Glass is visible if a part without tissue is larger than any hole, or hardly any tissue is."""
    gap = foreground.largest_gap_px(tissue, weights)
    return gap > max_hole_px or seen.mean() < MIN_TISSUE_SHARE


def _large_black(scan: Scan, max_hole_px: float, weights: Weights) -> Mask:
    return foreground.drop_small(scan.black, max_hole_px, weights, spare_edge=False)


def _find_artefacts(scan: Scan, glass: Glass, empty: TissueMask) -> dict[str, Mask]:
    """Masks of artefacts on the mask grid. A small field gives too little to judge by: none."""
    area_mm2 = px_to_mm2(float(np.prod(empty.shape)), empty.mpp)
    if area_mm2 < MIN_FIELD_MM2:
        return {}
    coarse_mpp = COARSE * empty.mpp
    pen = find_pen(scan.coarse, glass, coarse_mpp)
    return {"pen": _enlarged(pen, COARSE, empty.shape)}


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
