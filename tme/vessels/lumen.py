"""Lumens whose wall has gaps wider than the joining distance.

In: the kept endothelium of a slide and its empty pixels and nuclei, all packed by window. Out: pixels
of lumens, packed by window. An empty region is a lumen when it is neither too small nor too large and
about half of its rim lies against endothelium: a crack or a fat cell is lined only in part. Blood
is not empty; there, a hole that the wall encloses but for a gap is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import VesselSettings
from tme.geometry import Box
from tme.units import um2_to_px, um_to_px, um_to_whole_px
from tme.vessels.connect import SlideLabels, label_pieces
from tme.vessels.fill import CONTACT_UM, gapped_lumens, wide_radius
from tme.vessels.group import group_parts, picture
from tme.vessels.morphology import Bits, Bytes, closed, opened, rim, widened, without_holes
from tme.vessels.packed import PackedPlane, pack, unpack
from tme.vessels.supported import KeptWindow

RED_CELL_UM = 3.0
"""Radius of a red cell; those against the wall are counted as part of the lumen, as is what floats in it."""
CLOT_UM2 = 1200.0
"""Largest area of what floats."""
LINED_SHARE = 0.45
CALM_UM = 0.5
"""Radius of the opening that parts a lumen from pale specks of the section around it."""
HALO_UM = 48.0


def find_lumens(
    cores: Sequence[Box], kept: PackedPlane, pale: PackedPlane, settings: VesselSettings, mpp: float
) -> PackedPlane:
    """The empty regions that endothelium lines.

    Parameters
    ----------
    cores : sequence of Box
        Cores of all windows, in the order of the grid.
    kept, pale : PackedPlane
        Endothelium and empty pixels.
    settings : VesselSettings
    mpp : float
    """
    near = kept.neighbourhood()
    labels = SlideLabels(kept.core_px)
    found: list[tuple[Box, bytes, int]] = []
    totals = [np.zeros((1, 3), np.int64)]
    for core in cores:
        if (core.y0 // kept.core_px, core.x0 // kept.core_px) in near:
            empty, border, lined = _empty_regions(core, kept, pale, mpp)
            pieces = label_pieces(empty)
            totals.append(np.stack([pieces.totals(each) for each in (empty, border, lined)], axis=1))
            found.append((core, pack(empty), labels.add(core, pieces)))
    good = _are_lumens(labels.joined(), np.concatenate(totals), settings, mpp)
    return PackedPlane(
        kept.core_px, [(core, _chosen(core, bits, good[offset:])) for core, bits, offset in found]
    )


def gapped_parts(
    kept: Sequence[KeptWindow],
    stained: PackedPlane,
    lumens: PackedPlane,
    pale: PackedPlane,
    dark: PackedPlane,
    settings: VesselSettings,
    mpp: float,
) -> Iterator[tuple[Box, Bits]]:
    """Holes that walls enclose but for a gap of up to `tme.vessels.fill.WIDE_GAP_UM`."""
    radius, contact = wide_radius(settings, mpp), um_to_whole_px(CONTACT_UM, mpp)
    for group in group_parts(kept, stained, lumens, radius, contact):
        # What is too large for its own pixels is no vessel whose wall has a gap.
        if group.step() > 1:
            continue
        shown = picture(group, radius + 2)
        around = shown.surroundings(pale, dark)
        found = gapped_lumens(shown.stained, shown.lumen, around, settings, mpp)
        # What the wall encloses without a gap is seen again when the vessel is filled.
        found &= without_holes((shown.stained | shown.lumen).view(np.uint8)) == 0
        if found.any():
            yield shown.box, found


def _empty_regions(core: Box, kept: PackedPlane, pale: PackedPlane, mpp: float) -> tuple[Bits, Bits, Bits]:
    """Empty regions of a core, red cells in them filled; their rims; the lined part of the rims."""
    halo = um_to_whole_px(HALO_UM, mpp)
    inside = slice(halo, -halo)
    endothelium = kept.read(core.grow(halo)).view(np.uint8)
    empty = opened(pale.read(core.grow(halo)).view(np.uint8), um_to_whole_px(CALM_UM, mpp))
    empty = closed(empty, um_to_whole_px(RED_CELL_UM, mpp)) & (1 - endothelium)
    _fill_small(empty, um2_to_px(CLOT_UM2, mpp))
    border = rim(empty)
    lined = border & widened(endothelium, um_to_whole_px(CONTACT_UM, mpp))
    empty, border, lined = (np.ascontiguousarray(each[inside, inside]) for each in (empty, border, lined))
    return empty.view(bool), border.view(bool), lined.view(bool)


def _fill_small(empty: Bytes, largest_px: float) -> None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - empty, connectivity=4, ltype=cv2.CV_32S)
    height, width = empty.shape
    x, y, w, h, area = stats.T
    inner = (x > 0) & (y > 0) & (x + w < width) & (y + h < height) & (area <= largest_px)
    inner[0] = False  # the empty regions themselves
    if count > 1 and inner.any():
        empty |= inner[labels].view(np.uint8)


def _are_lumens(
    joined: NDArray[np.int64], totals: NDArray[np.int64], settings: VesselSettings, mpp: float
) -> Bits:
    """For every number of a region, whether the region it is part of is a lumen; (count + 1,) bool."""
    whole = np.zeros((joined.max(initial=0) + 1, 3), np.int64)
    np.add.at(whole, joined, totals)
    area, rim, lined = whole.T
    least, most = (
        np.pi / 4 * um_to_px(diameter, mpp) ** 2
        for diameter in (settings.min_lumen_um, settings.max_lumen_um)
    )
    good = (area >= least) & (area <= most) & (lined >= LINED_SHARE * rim)
    good[0] = False
    return np.asarray(good[joined], bool)


def _chosen(core: Box, bits: bytes, good: Bits) -> bytes:
    """The part of a core's regions that are lumens; ``good[k]`` is the answer for piece k."""
    pieces = label_pieces(unpack(bits, (core.height, core.width)))
    keep = np.concatenate([[False], good[1 : pieces.count + 1]])
    return pack(keep[pieces.labels]) if keep.any() else b""
