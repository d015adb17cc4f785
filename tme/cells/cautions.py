"""What was counted while cells were joined -> what to know before trusting them."""

from __future__ import annotations

from tme.cells.edge import edge_caution
from tme.cells.stitch import Tally
from tme.stains.types import Stain
from tme.tissue.types import TissueMask

FEWEST_UNSEEN = 20
MOST_UNSEEN = 0.25
"""Share of positive objects without a nucleus from which on, if there are `FEWEST_UNSEEN`, it is said."""
NUCLEUS_UM2, FEWEST_SIZED = (18.0, 80.0), 200
"""Third quartile of the area of nuclei that are not positive: 3 of 168 labelled fields lie below the first
number and none above the second; declared half and twice as coarse as they are 12 of 17 and 13 of 15 do."""
MOST_LONG, FEWEST_LONG = 0.8, 30
"""Median eccentricity of positive cells that are lymphocytes: 0.66 and 0.67 on two fields of CD3 and CD8,
0.78 on one of CD31 read as such, 0.92 to 0.94 on rendered ones."""


def cell_cautions(tally: Tally, tissue: TissueMask, stain: Stain) -> list[str]:
    """Sentences on the cells of a slide.

    Parameters
    ----------
    tally : Tally
    tissue : TissueMask
    stain : Stain
    """
    edge = edge_caution(tally.at_edge, tally.deep, tissue)
    return list(filter(None, [_unseen(tally), _strange_size(tally), _strange_shape(tally, stain), edge]))


def _unseen(tally: Tally) -> str:
    """What to say where much that is positive shows no nucleus."""
    positive = tally.left_out + tally.positive
    if tally.left_out < FEWEST_UNSEEN or tally.left_out < MOST_UNSEEN * positive:
        return ""
    return (
        f"in {tally.left_out} of {positive} positive objects (clumps by their area) no nucleus is seen, and "
        "they are not counted: brown pigment, debris, vessel walls, or nuclei hidden under DAB; they have no "
        "outline on the overlay"
    )


def _strange_size(tally: Tally) -> str:
    """What to say where nuclei have a size that a wrong µm/px gives them."""
    low, high = NUCLEUS_UM2
    if tally.unstained < FEWEST_SIZED or low <= tally.nucleus_um2 <= high:
        return ""
    size = "small" if tally.nucleus_um2 < low else "large"
    return (
        f"nuclei are unusually {size} (three quarters are under {tally.nucleus_um2:.0f} µm², {low:g} to "
        f"{high:g} where this was validated): is µm/px right? Areas and densities follow its square"
    )


def _strange_shape(tally: Tally, stain: Stain) -> str:
    """What to say where positive cells are too long for the lymphocytes the marker stands for."""
    if not stain.til_marker or tally.positive < FEWEST_LONG or tally.eccentricity <= MOST_LONG:
        return ""
    return (
        f"may not be {stain.name}: positive cells are long (median eccentricity {tally.eccentricity:.2f}), "
        "as walls of vessels and spindle cells are and lymphocytes are not"
    )
