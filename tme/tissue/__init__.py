"""Slide -> TissueMask: where tissue lies, and where pen, folds, blur and bubbles spoil it.

In: a `tme.slide.types.Slide` and `TissueSettings`. Out: a `TissueMask` on a fixed µm/px grid.
Assumes brightfield on glass; what looks like no stained section at all gives an empty mask.
"""

from tme.tissue.find import find_tissue
from tme.tissue.maskfile import load_mask, save_mask
from tme.tissue.quality import quality
from tme.tissue.unreadable import with_unreadable

__all__ = ["find_tissue", "load_mask", "quality", "save_mask", "with_unreadable"]
