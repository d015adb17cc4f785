"""What a synthetic slide shall be (`SlideSpec`) and how it happens to look (`Look`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.errors import ConfigError

MPP = 0.5
"""µm/px of every synthetic slide."""
PX = 2
"""Pixels per µm at `MPP`."""
COARSE_PX = 8
"""Pixels per cell of the grids that carry smooth fields (4 µm)."""
MASK_PX = 4
"""Pixels per cell of the truth masks (2 µm)."""

STAINS = ("HE", "CD8", "CD31")

Colour = NDArray[np.float32]


@dataclass(frozen=True)
class SlideSpec:
    """What a synthetic slide shall hold; everything else about it is drawn from the seed.

    Attributes
    ----------
    stain : {"HE", "CD8", "CD31"}
    area_mm2 : float
        Area of the tissue's outline, artefacts included.
    til_density_per_mm2 : float
        Lymphocytes (H&E) or CD8-positive lymphocytes (CD8) per mm² of tissue.
    mvd_per_mm2 : float
        Vessels per mm² of tissue.
    cores : int
        Needle cores the tissue is laid out in; 0 for irregular fragments.
    pen, blur : bool
        Whether a pen stroke and an out-of-focus patch lie on the tissue.
    """

    stain: str
    area_mm2: float = 1.7
    til_density_per_mm2: float = 250.0
    mvd_per_mm2: float = 80.0
    cores: int = 1
    pen: bool = False
    blur: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises
        ------
        ConfigError
            For an unknown stain or a number outside what the renderer was looked at for.
        """
        checks = {
            f"the stain {self.stain!r} cannot be rendered": self.stain in STAINS,
            f"an area of {self.area_mm2} mm² cannot be rendered": 0.05 <= self.area_mm2 <= 12.0,
            f"{self.til_density_per_mm2} lymphocytes per mm² do not fit": 0
            <= self.til_density_per_mm2
            <= 2500,
            f"{self.mvd_per_mm2} vessels per mm² do not fit": 0 <= self.mvd_per_mm2 <= 250,
            f"{self.cores} cores cannot be laid out": 0 <= self.cores <= 4,
        }
        for what, good in checks.items():
            if not good:
                raise ConfigError(
                    what,
                    where="SlideSpec",
                    why=f"stain one of {', '.join(STAINS)}; 0.05-12 mm²; at most 2500 lymphocytes and 250"
                    " vessels per mm²; 0-4 cores",
                    fix="choose a value inside these ranges",
                )


@dataclass(frozen=True, eq=False)
class Look:
    """How one slide looks, drawn over the ranges found in real fields.

    Optical densities are natural logarithms (white is 0). ``vectors`` has one row per stain canvas
    (haematoxylin, eosin, DAB) and one column per colour (red, green, blue). The colour of DAB drifts from
    cell to cell by ``hue_spread``: on real CD3, CD8 and CD31 fields green over the mean of red and blue
    ranges over 0.09 to 0.18 from the 5th to the 95th percentile of stained places.
    """

    vectors: Colour
    white: Colour
    nucleus_od: float
    lymphocyte_od: float
    cytoplasm_od: float
    collagen_od: float
    basophilia_od: float
    marker_od: float
    marker_spread: float
    haze_od: float
    nuclear_scale: float
    pleomorphism: float
    tumour_per_mm2: float
    stroma_per_mm2: float
    stroma_share: float
    fat_share: float
    necrosis_share: float
    unevenness: float
    softness_px: float
    grain: float
    hue_spread: float


def draw_look(stain: str, rng: np.random.Generator) -> Look:
    """Draw a slide's look.

    Ranges were read off public H&E, CD3/CD8 and CD31 fields: median nuclear optical density, background of
    the section, DAB colour and strength, white point, nuclear size and density.
    """
    ihc = stain != "HE"

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    return Look(
        vectors=_vectors(ihc, rng),
        white=(between(240, 251) + rng.uniform(-2, 2, 3)).astype(np.float32),
        nucleus_od=between(0.4, 0.75) if ihc else between(0.8, 1.2),
        lymphocyte_od=between(0.8, 1.2) if ihc else between(1.4, 1.8),
        cytoplasm_od=between(0.10, 0.18) if ihc else between(0.36, 0.7),
        collagen_od=between(0.06, 0.13) if ihc else between(0.45, 0.75),
        basophilia_od=between(0.04, 0.22) if ihc else between(0.1, 0.26),
        marker_od=between(1.15, 2.0) if stain == "CD8" else between(0.85, 1.4),
        marker_spread=between(0.16, 0.3),
        haze_od=between(0.01, 0.07) if ihc else 0.0,
        nuclear_scale=between(0.9, 1.2),
        pleomorphism=between(0.12, 0.3),
        tumour_per_mm2=between(3200, 6200),
        stroma_per_mm2=between(700, 1400),
        stroma_share=between(0.12, 0.35),
        fat_share=float(rng.choice([0.0, between(0.02, 0.1)])),
        necrosis_share=float(rng.choice([0.0, 0.0, between(0.01, 0.06)])),
        unevenness=between(0.03, 0.1),
        softness_px=between(0.45, 0.75),
        grain=between(0.8, 1.6),
        hue_spread=between(0.015, 0.035) if ihc else 0.0,
    )


def _vectors(ihc: bool, rng: np.random.Generator) -> Colour:
    """Stain vectors (haematoxylin, eosin or the section's own grey, DAB), each jittered; rows of length 1."""
    if ihc:
        haematoxylin = _absorbing_green((0.62, 0.43), 0.07, (1.1, 1.45), rng)
        second = np.array([0.56, 0.60, 0.57]) + rng.uniform(-0.04, 0.04, 3)
    else:
        haematoxylin = np.array([0.58, 0.72, 0.38]) + rng.uniform(-0.05, 0.05, 3)
        second = np.array([0.17, 0.86, 0.48]) + rng.uniform(-0.06, 0.06, 3)
    if ihc:
        dab = _absorbing_green((0.40, 0.69), 0.05, (1.14, 1.24), rng)
    else:
        # Of dust alone.
        dab = np.array([0.40, 0.60, 0.69]) + rng.uniform(-0.05, 0.05, 3)
    rows = np.stack([haematoxylin, second, dab])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _absorbing_green(
    red_blue: tuple[float, float], jitter: float, green: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A vector by its red and blue and by its green over their geometric mean.

    Ranges of ``green`` are those of CD3, CD8 and CD31 fields of two scanners (`tme.stains.brown`): drawn for
    itself it would leave them, and DAB would have the colour of melanin.
    """
    red, blue = np.array(red_blue) + rng.uniform(-jitter, jitter, 2)
    return np.array([red, rng.uniform(*green) * np.sqrt(red * blue), blue])
