"""What the training fields look like to tme's own stain stage: the ranges a slide is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tme.cells.domain import domain_values
from tme.config import Config
from tme.learn.field import Field
from tme.stains import STAINS
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue

SHARE = 0.01
"""Share of fields left out at either end: a range is not made by a single odd field."""
WIDER = 0.10
FINEST_MPP, COARSEST_MPP = 0.2, 0.65
"""µm/px tried in training: fields of 0.25 to 0.55 µm/px, magnified and shrunk by a quarter."""


def training_domain(fields: Sequence[Field]) -> dict[str, tuple[float, float]]:
    """Low and high end of every measure over H&E fields."""
    settings = Config()
    rows = []
    for field in fields:
        slide = ArraySlide(field.rgb, field.mpp)
        tissue = find_tissue(slide, settings.tissue)
        if tissue.tissue.any():
            profile = estimate_profile(slide, tissue, STAINS.get("HE"), settings.stain)
            rows.append(domain_values(profile, field.mpp))
    ranges = {}
    for name in sorted({name for row in rows for name in row} - {"mpp"}):
        low, high = np.quantile([row[name] for row in rows if name in row], [SHARE, 1 - SHARE])
        margin = WIDER * (high - low)
        ranges[name] = (round(float(max(low - margin, 0)), 4), round(float(high + margin), 4))
    return {**ranges, "mpp": (FINEST_MPP, COARSEST_MPP)}
