"""Directions in optical-density space: the slide's own haematoxylin, and whether the hue fits the name.

In: channel densities of the whole-slide sample. Out: unit vectors and cautions.

On DAB sections the blue of the counterstain differs between laboratories from violet to cyan; with
the wrong direction every blue nucleus has a false DAB density. The direction is therefore read from
the slide, where blue pixels abound. DAB keeps its reference direction: on a slide with few positive
cells nothing could be read for it, and two slides of one patient must be measured alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.stains.deconvolve import unit
from tme.stains.types import Stain, Vector

Densities = NDArray[np.float32]

STAINED_OD = 0.15
SATURATED_OD = 1.3
BLUE_RATIO = 1.0
FEWEST_BLUE = 100
WIDEST_ANGLE_DEG = 35.0

# Share of green in the summed density of all stained pixels, over 330 labelled H&E fields (0.67-0.94,
# one of them below 0.715) and 30 DAB fields and slides (0.36-0.70): eosin absorbs green, DAB blue.
MOST_GREEN_DAB = 0.71
LEAST_GREEN_HE = 0.665
# Beyond these the name is wrong: as far again from the fields of the stain named (docs/benchmarks.md).
FAR_GREEN_DAB = 0.74
FAR_GREEN_HE = 0.62
FEWEST_STAINED = 5000


def stained(densities: Densities) -> Densities:
    """Rows of (n, 3) channel densities that carry stain and are not saturated."""
    size = np.linalg.norm(densities, axis=1)
    return np.asarray(densities[(size > STAINED_OD) & (densities.max(axis=1) < SATURATED_OD)])


def haematoxylin_direction(densities: Densities, reference: Vector) -> tuple[Vector, bool]:
    """Median direction of blue points, and whether it was found; else the reference.

    Parameters
    ----------
    densities : (n, 3) float32
        Channel densities at the dark points of a DAB section (`tme.stains.points`).
    reference : Vector
    """
    blue = densities[densities[:, 0] > BLUE_RATIO * densities[:, 2]]
    if len(blue) < FEWEST_BLUE:
        return unit(reference), False
    directions = blue / np.linalg.norm(blue, axis=1, keepdims=True)
    middle = np.median(directions, axis=0)
    found = unit((round(float(middle[0]), 4), round(float(middle[1]), 4), round(float(middle[2]), 4)))
    cosine = float(np.dot(found, unit(reference)))
    if cosine < np.cos(np.deg2rad(WIDEST_ANGLE_DEG)):
        return unit(reference), False
    return found, True


def green_share(densities: Densities) -> float | None:
    """Green part of the direction of the summed density; None with too few stained pixels."""
    if len(densities) < FEWEST_STAINED:
        return None
    total = densities.sum(axis=0, dtype=np.float64)
    return float(total[1] / np.linalg.norm(total))


def hue_caution(stain: Stain, densities: Densities) -> str:
    """A sentence where the slide's hue contradicts the stain named; empty where it does not."""
    return _against(stain, densities, LEAST_GREEN_HE, MOST_GREEN_DAB)


def wrong_stain(stain: Stain, densities: Densities) -> str:
    """The sentence of `hue_caution` where the hue is so far off that nothing can be counted; else empty."""
    return _against(stain, densities, FAR_GREEN_HE, FAR_GREEN_DAB)


def _against(stain: Stain, densities: Densities, least_he: float, most_dab: float) -> str:
    """What speaks against the name; a chromogen that is itself as green as eosin (Fast Red) is not judged."""
    green = green_share(densities)
    if green is None:
        return ""
    if stain.kind == "he" and green < least_he:
        return f"does not look like {stain.name}: hardly any eosin, the hue is that of a DAB section"
    if stain.kind == "dab" and green > most_dab and unit(stain.vectors[1])[1] <= MOST_GREEN_DAB:
        return f"does not look like {stain.name}: the hue is that of eosin, not of DAB"
    return ""
