"""Blocks as they were before ADR 11, kept to compare with: strips over the full width of each piece."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tme.metrics.blocks import Blocks, pixels_by_label
from tme.metrics.spill import WHOLE
from tme.tissue.types import Mask, TissueMask

STRIPS = 6
SMALLEST_MM2 = 0.25


def strip_blocks(mask: Mask, tissue: TissueMask, block_mm2: float) -> Blocks:
    """Strips of equal area across the longer side of each piece; nothing made good at their borders.

    Parameters
    ----------
    mask : (H, W) bool
    tissue : TissueMask
    block_mm2 : float
        Wanted area, mm²; smaller ones where fewer than six would result.
    """
    total = tissue.area_mm2(mask)
    target = min(block_mm2, max(total / STRIPS, SMALLEST_MM2 * block_mm2))
    labels = np.full(mask.shape, -1, np.int32)
    pieces, number = ndimage.label(mask, np.ones((3, 3), bool))
    count = 0
    for piece in range(1, number + 1):
        places = np.argwhere(pieces == piece)
        parts = max(1, round(tissue.area_mm2(pieces == piece) / target))
        along = places[:, int(np.argmax(np.ptp(places, axis=0)))]
        order = np.argsort(along, kind="stable")
        labels[tuple(places[order].T)] = count + np.arange(len(places)) * parts // len(places)
        count += parts
    whole = pixels_by_label(labels, count)
    return Blocks(labels, whole, whole * (total / whole.sum()), WHOLE)
