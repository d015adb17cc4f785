"""On which grid vessels are looked for, and on which slides they can be."""

from __future__ import annotations

from tme.config import VesselSettings
from tme.slide.types import SlideInfo
from tme.vessels.mask import halo_px

CORE_PX = 1024
COARSEST_MPP = 1.1


def vessels_possible(info: SlideInfo) -> str:
    """Why vessels cannot be found on a slide; empty if they can."""
    if info.mpp > COARSEST_MPP:
        return f"{info.mpp:.3g} µm/px is too coarse for vessels (at most {COARSEST_MPP} µm/px)"
    return ""


def vessel_mpp(info: SlideInfo, settings: VesselSettings) -> float:
    """µm/px of the vessel mask: what the settings ask for, never finer than the slide itself."""
    return info.working_mpp(max(settings.mpp, info.mpp))


def vessel_window_px(mpp: float) -> tuple[int, int]:
    """Side of a core and width of the halo in pixels at ``mpp``, for `tme.tiles.make_grid`."""
    return CORE_PX, halo_px(mpp)
