"""Slide + TissueMask -> StainProfile: everything about colour that is fixed once per slide.

In: an open slide, its tissue mask, the stain named in the sheet. Out: background colour, stain
vectors, the levels engines normalise by and, for DAB, the threshold with its source and histogram.
All from one seeded sample over the whole slide, so that tiles, workers and other slides change
nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tme.config import StainSettings
from tme.slide.types import Slide
from tme.stains.deconvolve import reference_profile, stain_od
from tme.stains.nuclear import nuclear_levels, nuclear_signal
from tme.stains.sample import background_colour, read_sample
from tme.stains.threshold import DabThreshold, dab_threshold
from tme.stains.types import Stain, StainProfile
from tme.tissue.types import TissueMask

SAMPLE_MPP = 0.5


def estimate_profile(
    slide: Slide,
    tissue: TissueMask,
    stain: Stain,
    settings: StainSettings,
    sample_mpp: float = SAMPLE_MPP,
) -> StainProfile:
    """The stain profile of one slide.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    stain : Stain
    settings : StainSettings
    sample_mpp : float
        µm/px of the sample; a coarser slide is sampled at its own resolution.

    Returns
    -------
    StainProfile
    """
    mpp = slide.info.working_mpp(max(sample_mpp, slide.info.mpp))
    sample = read_sample(slide, tissue, mpp, settings.sample_windows, settings.seed)
    background = background_colour(slide, tissue, sample, settings.seed)
    plain = reference_profile(stain, background)
    densities = [stain_od(pixels, plain) for pixels in sample]
    signals = [nuclear_signal(density, stain.kind, mpp) for density in densities]
    levels = nuclear_levels(signals)
    threshold = _threshold(stain, settings, densities, signals, levels)
    return StainProfile(
        stain=stain.name,
        background=background,
        vectors=plain.vectors,
        dab_threshold_od=threshold.value if threshold else None,
        threshold_source=threshold.source if threshold else "",
        threshold_note=threshold.note if threshold else "",
        cautions=(),
        histogram=threshold.histogram if threshold else {},
        levels=levels,
    )


def _threshold(
    stain: Stain,
    settings: StainSettings,
    densities: list[NDArray[np.float32]],
    signals: list[NDArray[np.float32]],
    levels: dict[str, float],
) -> DabThreshold | None:
    if stain.kind != "dab":
        return None
    dab = [
        density[..., 1][signal > levels["nuclear"]]
        for density, signal in zip(densities, signals, strict=True)
    ]
    found = dab_threshold(np.concatenate(dab) if dab else np.zeros(0, np.float32))
    if settings.dab_threshold_od is not None:
        return DabThreshold(settings.dab_threshold_od, "config", "", found.histogram)
    return found
