"""Packed masks of all windows -> Vessels, joined over the whole slide.

Passes over the windows, each holding one at a time: stained pieces are connected across borders and
kept where they are positive; empty regions that they line, and holes that their walls enclose but for
a gap, are lumens; kept pieces, widened by half the joining distance, and lumens are connected again,
which says what belongs together; each such object is put together in its own box, filled, parted where
vessels touch, measured and judged. Nothing depends on the order or number of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable

from tme.config import VesselSettings
from tme.slide.types import SlideInfo
from tme.stains.types import StainProfile
from tme.units import um_to_whole_px
from tme.vessels.fill import CONTACT_UM, join_radius
from tme.vessels.group import group_parts
from tme.vessels.lumen import find_lumens, gapped_parts
from tme.vessels.measure import measure_vessels
from tme.vessels.packed import PackedPlane, WindowMask
from tme.vessels.supported import keep_supported
from tme.vessels.table import vessel_table
from tme.vessels.types import Vessels
from tme.vessels.windows import CORE_PX, vessel_mpp


def join_masks(
    parts: Iterable[WindowMask], info: SlideInfo, profile: StainProfile, settings: VesselSettings
) -> Vessels:
    """Join the masks of all windows into vessels.

    Parameters
    ----------
    parts : iterable of WindowMask
        Every window of the slide's grid, in any order.
    info : SlideInfo
    profile : StainProfile
        The one the masks were made with.
    settings : VesselSettings

    Returns
    -------
    Vessels
        ``compartment`` and ``in_hotspot`` are null: they need regions and densities.
    """
    mpp = vessel_mpp(info, settings)
    windows = sorted(parts, key=lambda part: part.core)
    kept = keep_supported(windows, mpp)
    stained = PackedPlane(CORE_PX, ((window.core, window.bits) for window in kept))
    pale = PackedPlane(CORE_PX, ((window.core, window.pale) for window in windows))
    dark = PackedPlane(CORE_PX, ((window.core, window.dark) for window in windows))
    lumens = find_lumens([window.core for window in windows], stained, pale, settings, mpp)
    lumens = lumens.united(gapped_parts(kept, stained, lumens, pale, dark, settings, mpp))
    contact = um_to_whole_px(CONTACT_UM, mpp)
    groups = group_parts(kept, stained, lumens, join_radius(settings, mpp), contact)
    threshold = profile.dab_threshold_od or 1.0
    rows = [row for group in groups for row in measure_vessels(group, pale, dark, settings, mpp, threshold)]
    table = vessel_table(rows, mpp, info.mpp)
    provenance = {
        "work_mpp_um": mpp,
        "dab_threshold_od": profile.dab_threshold_od,
        "threshold_source": profile.threshold_source,
    }
    return Vessels(table, provenance)
