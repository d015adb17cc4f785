"""Slide + TissueMask -> StainProfile: everything about colour that is fixed once per slide.

In: an open slide, its tissue mask, the stain named in the sheet. Out: background colour, stain
vectors, the levels engines normalise by and, for DAB, the threshold with its source, interval and histogram.
All from one seeded sample over the whole slide, so that tiles, workers and other slides change
nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tme.config import StainSettings
from tme.slide.types import RGB, Slide
from tme.stains.calibration import Frozen, drift_note
from tme.stains.deconvolve import FloatImage, channel_od, stain_od, stain_vectors, unmixing
from tme.stains.direction import haematoxylin_direction, hue_caution, stained, wrong_stain
from tme.stains.nuclear import nuclear_detail, nuclear_levels, nuclear_signal
from tme.stains.pigment import find_pigment
from tme.stains.points import dark_points
from tme.stains.sample import background_caution, background_colour, read_sample
from tme.stains.threshold import FOR_CELLS, FOR_VESSELS, DabThreshold, dab_threshold, weak_caution
from tme.stains.types import Stain, StainProfile, Vector
from tme.tissue.types import TissueMask

SAMPLE_MPP = 0.5
EVERY = 4


def estimate_profile(
    slide: Slide,
    tissue: TissueMask,
    stain: Stain,
    settings: StainSettings,
    sample_mpp: float = SAMPLE_MPP,
    frozen: Frozen | None = None,
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
    frozen : Frozen, optional
        What the calibration named in the settings has for the slide.

    Returns
    -------
    StainProfile
    """
    mpp = slide.info.working_mpp(max(sample_mpp, slide.info.mpp))
    sample = read_sample(slide, tissue, mpp, settings.sample_windows, settings.seed)
    background = background_colour(slide, tissue, sample, settings.seed)
    densities = _stained_pixels(sample, background)
    cautions = [hue_caution(stain, densities), background_caution(background)]
    vectors = stain_vectors(*stain.vectors)
    found_points = [dark_points(channel_od(pixels, background), mpp) for pixels in sample]
    points = np.concatenate(found_points) if found_points else np.zeros((0, 3), np.float32)
    if stain.kind == "dab":
        blue, found = haematoxylin_direction(points, stain.vectors[0])
        vectors = stain_vectors(blue, stain.vectors[1])
        if not found:
            cautions.append("hardly any counterstain: the reference direction of haematoxylin is used")
    plain = StainProfile(stain.name, background, vectors, wrong_stain=wrong_stain(stain, densities))
    stains = [stain_od(pixels, plain) for pixels in sample]
    signals = [nuclear_signal(pair, stain.kind, mpp) for pair in stains]
    levels = {**nuclear_levels(signals), "detail": nuclear_detail(signals, mpp)}
    dab = unmixing(plain)[1]
    profile = replace(plain, cautions=tuple(caution for caution in cautions if caution), levels=levels)
    if stain.kind != "dab":
        return profile
    total = densities.sum(axis=1)
    pale = densities[total <= np.median(total)] if len(total) else densities
    rule = FOR_VESSELS if "vessels" in stain.targets else FOR_CELLS
    own = dab_threshold(
        [window @ dab for window in found_points], densities @ dab, settings.seed, pale @ dab, rule
    )
    if profile.wrong_stain:
        return replace(profile, histogram=own.histogram)
    if own.value is not None:
        pigment = find_pigment(stain, profile, points[points @ dab >= own.value])
        profile = replace(
            profile,
            cautions=(*profile.cautions, *pigment.cautions),
            haematoxylin_under_dab=pigment.haematoxylin_under_dab,
            least_green=pigment.least_green,
        )
        own = DabThreshold(None, "", pigment.section, own.histogram) if pigment.section else own
    profile = _with_threshold(profile, own, settings, frozen)
    weak = weak_caution(points @ dab, profile.dab_threshold_od)
    return replace(profile, cautions=(*profile.cautions, weak)) if weak else profile


def _stained_pixels(sample: list[RGB], background: Vector) -> FloatImage:
    """(n, 3) channel densities of every fourth pixel of the sample that carries stain."""
    parts = [stained(channel_od(pixels, background).reshape(-1, 3)[::EVERY]) for pixels in sample]
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)


def _with_threshold(
    profile: StainProfile, own: DabThreshold, settings: StainSettings, frozen: Frozen | None
) -> StainProfile:
    """The profile with the threshold that holds: of the config, of control slides, else the slide's own.

    Control slides do not make a section that is brown all over or full of pigment one with positive cells;
    who names a number in the config has looked at it.
    """
    own_od = own.value if own.low is not None else None
    used = own
    if settings.dab_threshold_od is not None:
        used = DabThreshold(settings.dab_threshold_od, "config")
    elif frozen is not None and frozen.threshold_od is None:
        used = replace(own, note="; ".join(filter(None, (own.note, frozen.note))))
    elif frozen is not None and own.value is not None:
        note = "; ".join(filter(None, (frozen.note, drift_note(own_od, frozen))))
        used = DabThreshold(frozen.threshold_od, frozen.source, note, {}, frozen.low_od, frozen.high_od)
    return replace(
        profile,
        dab_threshold_od=used.value,
        threshold_source=used.source,
        threshold_note=used.note,
        threshold_low_od=used.low,
        threshold_high_od=used.high,
        slide_threshold_od=own_od,
        histogram=own.histogram,
    )
