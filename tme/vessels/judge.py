"""Which objects are vessels, and how sure that is.

In: one object's shape and stain. Out: kept or not, and a score. Leucocytes that carry CD31 or CD34
are small, round and solid; whatever is too small to be a capillary's cross-section is a speck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tme.config import VesselSettings

LEUCOCYTE_SOLIDITY = 0.86
LEUCOCYTE_ROUNDNESS = 0.6
"""Least over greatest calliper width from which a small object counts as round."""
LEUCOCYTE_PALE = 0.05
LEUCOCYTE_DARK = 0.2
"""Shares of its convex hull: a capillary is empty inside, a leucocyte holds a nucleus."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one object, in µm.

    Attributes
    ----------
    area_um2, endothelium_um2, lumen_um2 : float
    min_feret_um, max_feret_um, solidity : float
    contrast : float
        Mean DAB density of the stain over the slide's threshold.
    dark_share, pale_share : float
        Shares of the object's convex hull that are nuclei, and empty.
    """

    area_um2: float
    endothelium_um2: float
    lumen_um2: float
    min_feret_um: float
    max_feret_um: float
    solidity: float
    contrast: float
    dark_share: float
    pale_share: float


def is_vessel(evidence: Evidence, settings: VesselSettings) -> bool:
    """False for specks and for leucocytes."""
    if evidence.area_um2 < settings.min_area_um2:
        return False
    return not is_leucocyte(evidence, settings)


def is_leucocyte(evidence: Evidence, settings: VesselSettings) -> bool:
    """Small and round, nothing empty in it, and either solid or a broken ring around a nucleus."""
    return (
        evidence.max_feret_um <= settings.max_leucocyte_um
        and evidence.min_feret_um >= LEUCOCYTE_ROUNDNESS * evidence.max_feret_um
        and evidence.pale_share < LEUCOCYTE_PALE
        and (evidence.solidity >= LEUCOCYTE_SOLIDITY or evidence.dark_share >= LEUCOCYTE_DARK)
    )


def vessel_score(evidence: Evidence, settings: VesselSettings) -> float:
    """Score in 0-1 that rises with contrast, size, lumen and length; not a calibrated probability."""
    size = math.log2(evidence.area_um2 / settings.min_area_um2)
    stretch = evidence.max_feret_um / max(evidence.min_feret_um, 1e-6) - 1
    lumen = evidence.lumen_um2 / evidence.area_um2
    logit = -2.5 + 1.6 * (evidence.contrast - 0.5) + 0.7 * size + 0.6 * min(stretch, 3.0) + 2.0 * lumen
    return 1 / (1 + math.exp(-logit))
