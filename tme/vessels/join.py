"""Packed masks of all windows -> Vessels, joined over the whole slide.

Passes over the windows, each holding one at a time: stained pieces are connected across borders and
kept where they are positive and no pigment; empty regions that they line, and holes that their
walls enclose but for a gap, are lumens; kept pieces, widened by half the joining distance, and lumens are
connected again, which says what belongs together; each such object is put together in its own box, filled,
parted where vessels touch, measured and judged. Nothing depends on the order or number of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tme.config import VesselSettings
from tme.slide.types import SlideInfo
from tme.stains.pigment import is_pigment
from tme.stains.types import Stain, StainProfile
from tme.units import um_to_whole_px
from tme.vessels.fill import CONTACT_UM, join_radius
from tme.vessels.group import Group, group_parts
from tme.vessels.link import in_line
from tme.vessels.lumen import find_lumens, gapped_parts
from tme.vessels.measure import measure_vessels
from tme.vessels.packed import PackedPlane, WindowMask
from tme.vessels.stained import stained_area
from tme.vessels.supported import keep_supported
from tme.vessels.table import Row, vessel_table
from tme.vessels.types import Vessels
from tme.vessels.windows import CORE_PX, vessel_mpp

MOST_IN_CELLS = 0.5
"""Share of the stained area outside vessels: 0.02 and 0.05 on two fields of CD31."""
LEAST_JUDGED_UM2 = 1000.0
"""Stained area that says something, that of some 20 cells."""

Measure = Callable[[Group], list[Row]]


def join_masks(
    parts: Iterable[WindowMask],
    info: SlideInfo,
    profile: StainProfile,
    stain: Stain,
    settings: VesselSettings,
) -> Vessels:
    """Join the masks of all windows into vessels.

    Parameters
    ----------
    parts : iterable of WindowMask
        Every window of the slide's grid, in any order.
    info : SlideInfo
    profile : StainProfile
        The one the masks were made with.
    stain : Stain
    settings : VesselSettings

    Returns
    -------
    Vessels
        ``compartment`` and ``in_hotspot`` are null: they need regions and densities.
    """
    mpp = vessel_mpp(info, settings)
    windows = sorted(parts, key=lambda part: part.core)
    kept = keep_supported(windows, mpp, partial(is_pigment, stain=stain, profile=profile))
    stained = PackedPlane(CORE_PX, ((window.core, window.bits) for window in kept))
    pale = PackedPlane(CORE_PX, ((window.core, window.pale) for window in windows))
    dark = PackedPlane(CORE_PX, ((window.core, window.dark) for window in windows))
    lumens = find_lumens([window.core for window in windows], stained, pale, settings, mpp)
    lumens = lumens.united(gapped_parts(kept, stained, lumens, pale, dark, settings, mpp))
    contact = um_to_whole_px(CONTACT_UM, mpp)
    groups = group_parts(kept, stained, lumens, join_radius(settings, mpp), contact)
    threshold = profile.dab_threshold_od or 1.0
    measure = partial(
        measure_vessels, pale=pale, dark=dark, settings=settings, mpp=mpp, threshold_od=threshold
    )
    table = vessel_table(_lines_joined(groups, measure, settings.line_um, mpp), mpp, info.mpp)
    everything = stained_area(kept, mpp)
    provenance = {
        "work_mpp_um": mpp,
        "dab_threshold_od": profile.dab_threshold_od,
        "threshold_source": profile.threshold_source,
        "stained": everything.to_json(),
        "cautions": [*filter(None, [_mostly_cells(stain, table, everything.total_um2)])],
    }
    return Vessels(table, provenance)


def _mostly_cells(stain: Stain, table: pa.Table, stained_um2: float) -> str:
    """What to say where most of what is stained lies in small round cells."""
    wall = float(np.nansum(table["endothelium_area_um2"].to_numpy()))
    if stained_um2 < LEAST_JUDGED_UM2 or wall >= (1 - MOST_IN_CELLS) * stained_um2:
        return ""
    return (
        f"may not be {stain.name}: {100 * (1 - wall / stained_um2):.0f} % of what is stained lies in small "
        "round cells, as with a marker of leucocytes or of the tumour, not in vessels"
    )


def _lines_joined(groups: Iterable[Group], measure: Measure, gap_um: float, mpp: float) -> list[Row]:
    """Rows of all groups, those that lie end to end measured as one."""
    rows, single, owners = [], [], []
    for group in groups:
        found = measure(group)
        if len(found) == 1 and group.step() == 1:
            single += found
            owners.append(group)
        else:
            rows += found
    pairs = in_line(single, gap_um, mpp)
    for members in _chains(pairs, len(single)):
        whole = Group(tuple(part for index in members for part in owners[index].parts))
        rows += (measure(whole) if len(members) > 1 else None) or [single[index] for index in members]
    return rows


def _chains(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Indices below ``count`` that pairs hold together."""
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), (count, count))
    number, label = connected_components(graph, directed=False)
    chains: list[list[int]] = [[] for _ in range(number)]
    for index, chain in enumerate(label):
        chains[chain].append(index)
    return chains
