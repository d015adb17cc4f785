"""The filled outline of what hangs together -> the outlines of the vessels in it, where several touch.

Two vessels touch where two rings of endothelium lie wall to wall: each has a lumen of its own, and a
notch from either side leaves a neck narrower than both. Around every lumen lies a zone, cut where a
watershed from the lumens meets; zones are united until every cut left is one between two vessels. What
one vessel also shows is not cut: a lumen crossed by a pillar thinner than the wall (intussusception),
or by a septum that leaves no notch; a tube pinched or collapsed across its axis, whose zones lie end to
end; small gaps in a solid wall, which are no lumens of a vessel; and a net, which is not made of rings.

Solid vessels that touch stay one. Their waist does not tell them from a single vessel: capillaries narrow
between nuclei and are cut at a slant (docs/benchmarks.md has the numbers).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from tme.config import VesselSettings
from tme.distance import distance_px
from tme.units import um2_to_px, um_to_px, um_to_whole_px
from tme.vessels.fill import CONTACT_UM, Filled, least_lumen_px
from tme.vessels.morphology import Bits, rim, widened, without_holes

NET_UM2 = 20_000.0
"""Filled area above which an object is a net, as where a tumour's own marker is told (`vessel_shape`)."""
MOST_LUMENS = 16
"""More in one object are the gaps of a net."""
LONGEST_UM = 1000.0
"""Side of an object's box above which it is not looked at: a vessel that long lies along others."""
NECK = 0.8
"""Width of a neck over that of the narrower vessel beside it; where two merely touch it is about one half."""
APART_UM = 6.0
"""Greatest distance of two lumens: two walls and a cleft. Farther apart, a wall is grazed between them."""
PILLAR = 0.5
"""Least distance of two lumens, in walls of the thinner vessel; a wall that two share is seen from both
sides, and so thinner than one with tissue behind it."""
LEAST_WALL_UM = 0.8
"""Wall that a ring has along three quarters of its lumen; a bay between fragments is open."""
LINED_SHARE = 0.7
"""Share of the lumen's rim that lies against endothelium."""
LUMEN_SHARE = 0.15
"""Lumen over area of a ring."""
LONG = 1.4
"""Length over width (of the ellipse with the same moments) from which a zone has an axis."""
END_DEG = 35.0
"""Angle between a zone's axis and the direction to its neighbour within which that lies at its end."""

Places = NDArray[np.int64]
Lengths = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Planes:
    """What is asked about pixels of an object's box, each (H, W).

    Attributes
    ----------
    depth : float32
        Distance to what is neither endothelium nor enclosed by it.
    within : float32
        The same for the outline, with gaps in the wall closed.
    away : float32
        Distance to the nearest lumen.
    lined : bool
        Against endothelium.
    """

    depth: Lengths
    within: Lengths
    away: Lengths
    lined: Bits


@dataclass(frozen=True, eq=False)
class Zone:
    """The pixels (flat indices) that belong to one or several lumens: all, and the rims of the lumens."""

    pixels: Places
    rims: Places
    lumen_px: int

    def united(self, other: Zone) -> Zone:
        """Both as one."""
        return Zone(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.rims, other.rims]),
            self.lumen_px + other.lumen_px,
        )


Zones = dict[int, Zone]
Cuts = dict[tuple[int, int], Places]


def parted(stained: Bits, filled: Filled, settings: VesselSettings, mpp: float) -> list[Bits]:
    """Outlines of the vessels in one object: no pixel in two, together the object's own outline.

    Parameters
    ----------
    stained : (H, W) bool
        Endothelium, with an empty margin.
    filled : Filled
        What `fill_vessel` made of it.
    settings : VesselSettings
    mpp : float

    Returns
    -------
    list of (H, W) bool
        The outline itself where it is one vessel.
    """
    lumens, count = _numbered(filled.lumen, least_lumen_px(settings, mpp))
    if _is_net(filled.outline, count, mpp) or not _neighbours(lumens, mpp):
        return [filled.outline]
    planes = _planes(stained, filled, lumens, mpp)
    labels = watershed(planes.away, lumens, connectivity=2, mask=filled.outline)
    zones, cuts = _zones(labels, lumens, count), _cuts(labels)
    while cuts:
        necks = {pair: _neck(zones, pair, cut, planes) for pair, cut in cuts.items()}
        wrong = [
            pair
            for pair, cut in cuts.items()
            if necks[pair] > NECK or not _between_two(zones, pair, cut, planes, mpp)
        ]
        if not wrong:
            break
        # The broadest first: what it unites may have a neck to the rest.
        _unite(zones, cuts, max(wrong, key=lambda pair: necks[pair]))
    return [_mask(zone, filled.outline.shape) for zone in zones.values()]


def _is_net(outline: Bits, count: int, mpp: float) -> bool:
    return bool(
        count > MOST_LUMENS
        or np.count_nonzero(outline) > um2_to_px(NET_UM2, mpp)
        or max(outline.shape) > um_to_px(LONGEST_UM, mpp)
    )


def _numbered(lumen: Bits, least_px: float) -> tuple[NDArray[np.int32], int]:
    """Lumens of at least the least size, numbered from 1."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        lumen.view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return numbers[labels], int(keep.sum())


def _neighbours(lumens: NDArray[np.int32], mpp: float) -> bool:
    """Whether any two lumens lie near enough to each other; most objects have one or none."""
    count = int(lumens.max())
    if count < 2:
        return False
    reach = um_to_whole_px(APART_UM / 2, mpp) + 1
    together, _ = cv2.connectedComponents(widened((lumens > 0).view(np.uint8), reach), connectivity=8)
    return together - 1 < count


def _planes(stained: Bits, filled: Filled, lumens: NDArray[np.int32], mpp: float) -> Planes:
    whole = (stained | filled.lumen).view(np.uint8)
    return Planes(
        depth=distance_px(without_holes(whole) & filled.outline.view(np.uint8)),
        within=distance_px(filled.outline),
        away=distance_px(lumens == 0),
        lined=widened(stained.view(np.uint8), um_to_whole_px(CONTACT_UM, mpp)).view(bool),
    )


def _zones(labels: NDArray[np.int32], lumens: NDArray[np.int32], count: int) -> Zones:
    zones = {}
    for number in range(1, count + 1):
        lumen = lumens == number
        rims = np.flatnonzero(rim(lumen.view(np.uint8)))
        zones[number] = Zone(np.flatnonzero(labels == number), rims, int(np.count_nonzero(lumen)))
    return zones


def _cuts(labels: NDArray[np.int32]) -> Cuts:
    """Where two zones meet: the pixels on both sides, by pair."""
    found: dict[tuple[int, int], list[Places]] = {}
    height, width = labels.shape
    places = np.arange(labels.size).reshape(labels.shape)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
        one, other = labels[here], labels[there]
        met = (one > 0) & (other > 0) & (one != other)
        low, high = np.minimum(one[met], other[met]), np.maximum(one[met], other[met])
        both = np.stack([places[here][met], places[there][met]])
        for pair in set(zip(low.tolist(), high.tolist(), strict=True)):
            found.setdefault(pair, []).append(both[:, (low == pair[0]) & (high == pair[1])].ravel())
    return {pair: np.concatenate(found[pair]) for pair in sorted(found)}


def _unite(zones: Zones, cuts: Cuts, pair: tuple[int, int]) -> None:
    """Make two zones one, in place, with their cuts to all others."""
    low, high = pair
    zones[low] = zones[low].united(zones.pop(high))
    for old in list(cuts):
        if high in old:
            cut = cuts.pop(old)
            other = old[0] if old[1] == high else old[1]
            if other != low:
                new = (min(low, other), max(low, other))
                cuts[new] = np.concatenate([cuts.get(new, cut[:0]), cut])


def _neck(zones: Zones, pair: tuple[int, int], cut: Places, planes: Planes) -> float:
    """Width at the cut over the greatest width of the narrower zone."""
    narrower = min(float(planes.depth.ravel()[zones[number].pixels].max()) for number in pair)
    return float(planes.depth.ravel()[cut].max()) / narrower


def _between_two(zones: Zones, pair: tuple[int, int], cut: Places, planes: Planes, mpp: float) -> bool:
    """Whether a narrow cut lies between two vessels: two rings, about two walls apart, not end to end."""
    walls = [_wall(zones[number], planes) for number in pair]
    apart = 2 * float(planes.away.ravel()[cut].min()) - 1
    return (
        PILLAR * min(walls) <= apart <= um_to_px(APART_UM, mpp)
        and min(walls) >= um_to_px(LEAST_WALL_UM, mpp)
        and all(_is_ring(zones[number], planes) for number in pair)
        and not all(_ends_at(zones[number], cut, planes.depth.shape) for number in pair)
    )


def _wall(zone: Zone, planes: Planes) -> float:
    """Thickness of the wall, px: a quarter of the rim has less. Towards a neighbour there is no outside."""
    return float(np.percentile(planes.within.ravel()[zone.rims], 25)) - 1


def _is_ring(zone: Zone, planes: Planes) -> bool:
    lined = np.count_nonzero(planes.lined.ravel()[zone.rims])
    return bool(lined >= LINED_SHARE * len(zone.rims) and zone.lumen_px >= LUMEN_SHARE * len(zone.pixels))


def _ends_at(zone: Zone, cut: Places, shape: tuple[int, ...]) -> bool:
    """Whether a zone is elongated and has the cut at one of its ends."""
    middle, spread, axis = _axis(zone.pixels, shape)
    if spread < LONG:
        return False
    towards = np.stack(np.unravel_index(cut, shape), axis=1).mean(axis=0) - middle
    along = abs(float(towards @ axis)) / max(float(np.linalg.norm(towards)), 1e-9)
    return along >= np.cos(np.radians(END_DEG))


def _axis(pixels: Places, shape: tuple[int, ...]) -> tuple[NDArray, float, NDArray]:
    """Centre, length over width, and direction of the longer axis."""
    points = np.stack(np.unravel_index(pixels, shape), axis=1).astype(np.float64)
    middle = points.mean(axis=0)
    # A pixel is a square, not a point: its own second moment is 1/12.
    moments = np.cov((points - middle).T, bias=True) + np.eye(2) / 12
    sizes, axes = np.linalg.eigh(moments)
    return middle, float(np.sqrt(sizes[1] / sizes[0])), axes[:, 1]


def _mask(zone: Zone, shape: tuple[int, ...]) -> Bits:
    mask = np.zeros(shape, bool)
    mask.ravel()[zone.pixels] = True
    return mask
