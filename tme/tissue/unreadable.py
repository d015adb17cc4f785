"""Places of a slide that cannot be decoded -> the same mask with their tissue marked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tme.tissue.types import ARTEFACTS, TissueMask

BoxUm = tuple[float, float, float, float]


def with_unreadable(mask: TissueMask, boxes: Iterable[BoxUm]) -> TissueMask:
    """``mask`` with the tissue of ``boxes`` (left, top, right, bottom, µm) marked as unreadable.

    A mask pixel that a box touches is marked whole.
    """
    bit = np.uint8(1 << ARTEFACTS.index("unreadable"))
    artefacts = mask.artefacts.copy()
    for left, top, right, bottom in boxes:
        rows = slice(math.floor(top / mask.mpp), math.ceil(bottom / mask.mpp))
        columns = slice(math.floor(left / mask.mpp), math.ceil(right / mask.mpp))
        artefacts[rows, columns] |= np.where(mask.tissue[rows, columns], bit, np.uint8(0))
    return replace(mask, artefacts=artefacts)
