"""Slide -> TissueMask: where tissue is, and which of it cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from tme.config import TissueSettings
from tme.slide.types import Slide, SlideInfo
from tme.tissue.fat import find_fat, find_weak_level
from tme.tissue.focus import MAX_NATIVE_MPP, find_blur
from tme.tissue.fold import find_folds
from tme.tissue.foreground import threshold
from tme.tissue.glass import Glass, estimate_glass
from tme.tissue.light import Fall, find_blocks, find_fall
from tme.tissue.lines import Lines, find_lines
from tme.tissue.morphology import Mask, drop_small, enlarged, even, fill_holes, reduced
from tme.tissue.pen import find_pen, tissue_under_pen
from tme.tissue.plain import find_plain, smooth_share
from tme.tissue.runs import find_pieces
from tme.tissue.scan import COARSE, EVIDENCE_PER_OD, TEXTURE, Scan, make_raster, read_sample, scan_slide
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.units import mm2_to_um2, px_to_mm2, um2_to_px

MIN_FIELD_MM2 = 0.3
MIN_TISSUE_SHARE = 0.02
ROUGH_ENERGY = 0.012**2
UNIFORM_ENERGY = 0.0005**2
LARGE_FALL = 0.10
LARGE_PLAIN = 0.02
LARGE_SMOOTH = 0.05


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
    sample = read_sample(slide, raster)
    blocks = find_blocks(sample, raster.read_height, raster.read_width)
    glass = estimate_glass(sample, blocks)
    fall = find_fall(blocks, glass.rgb, raster.read_height, raster.read_width) if glass.found else None
    scan = scan_slide(slide, raster, glass, fall)
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
    tissue = threshold(scan.evidence, EVIDENCE_PER_OD, mask.mpp, mask.coverage())
    hole_px = um2_to_px(mm2_to_um2(settings.max_hole_mm2), COARSE * mask.mpp)
    plain = find_plain(reduced(tissue, TEXTURE), scan, glass, hole_px)
    if plain.any():
        tissue &= ~enlarged(plain, COARSE, mask.shape)
    over = _find_overlays(tissue, scan, glass, plain, mask.mpp) if judged else _no_overlays(plain)
    tissue, has_glass = _find_foreground(tissue, scan, glass, over, mask, settings)
    _leave_frame(tissue, slide.info, mask)
    # The largest map has done its work.
    scan = replace(scan, evidence=scan.evidence[:0])
    if judged:
        _mark_all(mask, over, scan, glass, tissue, slide.info.mpp)
    pieces = find_pieces(tissue, diagonal=True).count
    return replace(
        mask,
        tissue=tissue,
        has_glass=has_glass or pieces == 0,
        n_pieces=pieces,
        cautions=_cautions(fall, float(plain.mean()), 0.0 if has_glass else smooth_share(scan, hole_px)),
    )


def _cautions(fall: Fall | None, plain: float, smooth: float) -> tuple[str, ...]:
    said = []
    if fall is not None and fall.share >= LARGE_FALL:
        said.append(
            f"the light falls by {100 * fall.share:.0f} % over the slide; stain was measured as if it did not"
        )
    if plain >= LARGE_PLAIN:
        said.append(f"{100 * plain:.0f} % of the picture is a plain area that is not glass; it is no tissue")
    if smooth >= LARGE_SMOOTH:
        said.append(
            f"no glass was found though {100 * smooth:.0f} % of the picture is as smooth: it is tissue"
        )
    return tuple(said)


def _leave_frame(tissue: Mask, info: SlideInfo, mask: TissueMask) -> None:
    """Take off, in place, pixels whose middle lies in a black frame around the picture."""
    frame, mpp = info.frame, info.mpp
    down, across = ((np.arange(count) + 0.5) * mask.mpp for count in tissue.shape)
    tissue[down < frame.top * mpp] = False
    tissue[:, across < frame.left * mpp] = False
    # The last pixels of the mask may reach over the picture's end.
    if frame.bottom:
        tissue[down > mask.height_um - frame.bottom * mpp] = False
    if frame.right:
        tissue[:, across > mask.width_um - frame.right * mpp] = False


@dataclass(frozen=True, eq=False)
class _Overlays:
    """What lies over the glass, over tissue and beside both, on the coarse grid."""

    pen: Mask
    lines: Lines
    plain: Mask


def _find_overlays(tissue: Mask, scan: Scan, glass: Glass, plain: Mask, mpp: float) -> _Overlays:
    pen = find_pen(scan.coarse, glass, COARSE * mpp)
    seen = (reduced(tissue, COARSE) > 0) & ~pen
    return _Overlays(pen, find_lines(seen, scan.coarse, glass, COARSE * mpp), plain)


def _no_overlays(plain: Mask) -> _Overlays:
    nothing = np.zeros(plain.shape, np.bool_)
    return _Overlays(nothing, Lines(nothing, nothing, nothing), plain)


def _find_foreground(
    tissue: Mask, scan: Scan, glass: Glass, over: _Overlays, mask: TissueMask, settings: TissueSettings
) -> tuple[Mask, bool]:
    """Tissue among what is not glass, and whether there is glass beside it."""
    mpp, weights = mask.mpp, mask.coverage()
    hole_px = um2_to_px(mm2_to_um2(settings.max_hole_mm2), mpp)
    ruled_out = scan.black | over.plain | over.lines.on_glass
    if over.pen.any():
        tissue = _without_ink(tissue, scan, over.pen, mpp)
        ruled_out |= over.pen & (reduced(tissue, COARSE) == 0)
    tissue &= ~enlarged(ruled_out, COARSE, mask.shape)
    seen = float(tissue.mean())
    _add_fat(tissue, scan, ruled_out, mpp, hole_px)
    if hole_px > 0:
        fill_holes(tissue, hole_px, weights)
    if not glass.found or (
        seen >= MIN_TISSUE_SHARE and not _shows_glass(tissue, over.pen | over.plain, hole_px)
    ):
        outside = scan.black | over.plain
        drop_small(outside, hole_px / COARSE**2, even(outside.shape), spare_edge=False)
        return ~enlarged(outside, COARSE, mask.shape), False
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


def _shows_glass(tissue: Mask, other: Mask, hole_px: float) -> bool:
    """Whether a part that is neither tissue nor ``other`` is larger than any hole."""
    covered = tissue | enlarged(other, COARSE, tissue.shape) if other.any() else tissue
    gaps = find_pieces(~covered, diagonal=False)
    return float(gaps.areas(*even(tissue.shape)).max(initial=0.0)) > hole_px


def _mark_all(
    mask: TissueMask, over: _Overlays, scan: Scan, glass: Glass, tissue: Mask, native_mpp: float
) -> None:
    """Set the bits of all artefacts, in place; what is found first is not judged again."""
    _mark(mask, "pen", over.pen, COARSE)
    _mark(mask, "edge", over.lines.edge, COARSE)
    _mark(mask, "bubble", over.lines.bubble, COARSE)
    if native_mpp <= MAX_NATIVE_MPP:
        share = reduced(tissue & (mask.artefacts == 0), TEXTURE)
        _mark(mask, "blur", find_blur(scan.fine, scan.middle, share, TEXTURE * mask.mpp), TEXTURE)
    share = reduced(tissue & (mask.artefacts == 0), COARSE)
    _mark(mask, "fold", find_folds(scan.coarse, glass, share, COARSE * mask.mpp), COARSE)
    mask.artefacts[~tissue] = 0


def _mark(mask: TissueMask, name: str, found: Mask, multiple: int) -> None:
    """Set an artefact's bit where there is no other yet."""
    if found.any():
        where = enlarged(found, multiple, mask.shape) & (mask.artefacts == 0)
        mask.artefacts[where] |= np.uint8(1 << ARTEFACTS.index(name))
