"""The profile of a whole slide: read from a seeded sample, with cautions where it contradicts the name."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import pytest

from tests.cell_scenes import all_tissue, nuclei_field, painted, profile_of
from tme.config import StainSettings, TissueSettings
from tme.stains import STAINS
from tme.stains.calibration import DRIFT_OD, Frozen
from tme.stains.deconvolve import stain_vectors, unit
from tme.stains.estimate import estimate_profile
from tme.stains.sample import background_caution, background_colour, sample_windows
from tme.stains.types import StainProfile
from tme.testing.memory import ArraySlide
from tme.testing.render import SlideSpec, render_slide
from tme.tissue import find_tissue
from tme.tissue.types import TissueMask

SETTINGS = StainSettings(sample_windows=16)


@lru_cache(maxsize=8)
def rendered(stain: str, seed: int = 5) -> tuple[ArraySlide, TissueMask]:
    slide = render_slide(SlideSpec(stain, 0.15, til_density_per_mm2=600, mvd_per_mm2=60), seed)
    memory = ArraySlide(slide.pixels, slide.mpp)
    return memory, find_tissue(memory, TissueSettings())


def profile(drawn: str, named: str, settings: StainSettings = SETTINGS) -> StainProfile:
    return estimate_profile(*rendered(drawn), STAINS.get(named), settings)


@pytest.mark.parametrize(
    ("drawn", "named"), [("HE", "CD8"), ("HE", "CD31"), ("HE", "KI67"), ("CD8", "HE"), ("CD31", "HE")]
)
def test_a_slide_named_wrongly_does_not_look_like_its_name(drawn: str, named: str) -> None:
    assert any(
        caution.startswith(f"does not look like {named}") for caution in profile(drawn, named).cautions
    )


@pytest.mark.parametrize(("drawn", "named"), [("HE", "HE"), ("CD8", "CD8"), ("CD8", "CD3"), ("CD31", "CD31")])
def test_a_slide_named_rightly_has_no_caution(drawn: str, named: str) -> None:
    assert profile(drawn, named).cautions == ()


def test_what_a_profile_of_a_dab_section_holds() -> None:
    found = profile("CD8", "CD8")
    assert found.stain == "CD8"
    assert found.threshold_source == "slide"
    assert found.threshold_note == ""
    assert found.dab_threshold_od is not None
    assert 0.05 < found.dab_threshold_od < 0.4
    assert found.threshold_low_od <= found.dab_threshold_od <= found.threshold_high_od
    assert found.slide_threshold_od == found.dab_threshold_od
    assert sum(found.histogram["counts"]) > 100
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-9)
    assert min(found.background) > 225
    assert found.levels["background"] < found.levels["nuclear"] < found.levels["nucleus"]


def test_he_has_no_threshold() -> None:
    found = profile("HE", "HE")
    assert found.dab_threshold_od is None
    assert (found.threshold_source, found.threshold_note, found.histogram) == ("", "", {})
    assert 0.2 < found.levels["nucleus"] < 1.5


def test_a_threshold_of_the_config_is_used_and_named() -> None:
    found = profile("CD8", "CD8", replace_settings(dab_threshold_od=0.37))
    assert (found.dab_threshold_od, found.threshold_source, found.threshold_note) == (0.37, "config", "")
    assert found.histogram == profile("CD8", "CD8").histogram
    assert profile("HE", "HE", replace_settings(dab_threshold_od=0.37)).dab_threshold_od is None


def test_a_frozen_threshold_is_used_and_the_slides_own_is_kept_beside_it() -> None:
    own = profile("CD8", "CD8")
    frozen = Frozen(own.dab_threshold_od + 0.03, 0.12, 0.19, "control")
    found = estimate_profile(*rendered("CD8"), STAINS.get("CD8"), SETTINGS, frozen=frozen)
    assert (found.dab_threshold_od, found.threshold_source) == (frozen.threshold_od, "control")
    assert (found.threshold_low_od, found.threshold_high_od, found.threshold_note) == (0.12, 0.19, "")
    assert (found.slide_threshold_od, found.histogram) == (own.dab_threshold_od, own.histogram)
    assert (found.vectors, found.background, found.levels) == (own.vectors, own.background, own.levels)
    far = Frozen(own.dab_threshold_od + DRIFT_OD + 0.01, 0.1, 0.3, "control")
    note = estimate_profile(*rendered("CD8"), STAINS.get("CD8"), SETTINGS, frozen=far).threshold_note
    assert "not stained or scanned as they are" in note


def test_a_stain_the_calibration_lacks_takes_the_slides_own_threshold_and_says_so() -> None:
    found = estimate_profile(
        *rendered("CD8"), STAINS.get("CD8"), SETTINGS, frozen=Frozen(note="none for CD8")
    )
    assert (found.dab_threshold_od, found.threshold_source) == (
        profile("CD8", "CD8").dab_threshold_od,
        "slide",
    )
    assert found.threshold_note == "none for CD8"


def test_controls_give_no_threshold_to_a_section_brown_all_over_and_one_to_a_section_of_few_nuclei() -> None:
    frozen = Frozen(0.15, 0.13, 0.17, "calibration")
    density = np.zeros((300, 400, 2), np.float32)
    density[20:, :, 1] = 0.5
    brown = ArraySlide(painted(density, profile_of("CD8")), 0.5)
    found = estimate_profile(brown, all_tissue(brown), STAINS.get("CD8"), SETTINGS, frozen=frozen)
    assert (found.dab_threshold_od, found.threshold_source, found.slide_threshold_od) == (None, "", None)
    assert "brown" in found.no_count
    blank = ArraySlide(np.full((300, 400, 3), 243, np.uint8), 0.5)
    found = estimate_profile(blank, all_tissue(blank), STAINS.get("CD8"), SETTINGS, frozen=frozen)
    assert (found.dab_threshold_od, found.slide_threshold_od, found.threshold_note) == (0.15, None, "")


def test_a_section_of_pigment_has_no_threshold_but_the_one_of_the_config() -> None:
    density, centres = nuclei_field((400, 500), 2)
    pixels = painted(density, profile_of("CD8"))
    for x, y in centres[::3].astype(int):
        pixels[y - 5 : y + 5, x - 5 : x + 5] = 40
    slide = ArraySlide(pixels, 0.5)

    def found(settings: StainSettings = SETTINGS, frozen: Frozen | None = None) -> StainProfile:
        return estimate_profile(slide, all_tissue(slide), STAINS.get("CD8"), settings, frozen=frozen)

    for made in (found(), found(frozen=Frozen(0.15, 0.13, 0.17, "calibration"))):
        assert (made.dab_threshold_od, made.threshold_source, made.slide_threshold_od) == (None, "", None)
        assert "black, not brown" in made.no_count
    named = found(replace_settings(dab_threshold_od=0.2))
    assert (named.dab_threshold_od, named.no_count) == (0.2, "")
    assert estimate_profile(slide, all_tissue(slide), STAINS.get("KI67"), SETTINGS).dab_threshold_od


@pytest.mark.parametrize(("dab", "said"), [(0.6, 0), (0.13, 1)])
def test_a_weak_stain_is_a_caution(dab: float, said: int) -> None:
    density, centres = nuclei_field((400, 500), 2, second=0.0)
    rows, columns = np.mgrid[:400, :500]
    for x, y in centres[::3]:
        density[np.hypot(columns - x, rows - y) < 8, 1] = dab
    slide = ArraySlide(painted(density, profile_of("CD8")), 0.5)
    found = estimate_profile(slide, all_tissue(slide), STAINS.get("CD8"), SETTINGS)
    assert found.dab_threshold_od is not None
    assert len([one for one in found.cautions if one.startswith("weak stain")]) == said
    # It is asked of the threshold in use.
    named = estimate_profile(
        slide, all_tissue(slide), STAINS.get("CD8"), replace_settings(dab_threshold_od=0.75 * dab)
    )
    assert [one for one in named.cautions if f"threshold ({0.75 * dab:.2f})" in one]


def replace_settings(**changes: object) -> StainSettings:
    return SETTINGS.model_copy(update=changes)


@pytest.mark.parametrize("stain", ["HE", "CD8"])
def test_the_same_seed_gives_the_same_profile(stain: str) -> None:
    few = replace_settings(sample_windows=4, seed=3)
    assert profile(stain, stain, few) == profile(stain, stain, few)
    other = profile(stain, stain, replace_settings(sample_windows=4, seed=4))
    assert other != profile(stain, stain, few)
    assert other.levels["nucleus"] == pytest.approx(profile(stain, stain, few).levels["nucleus"], rel=0.3)


def test_a_profile_survives_json() -> None:
    found = profile("CD8", "CD8")
    assert StainProfile.from_json(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize("stain", STAINS.names())
@pytest.mark.parametrize("level", [255, 243, 0])
def test_blank_tissue_gives_a_profile_that_says_so(stain: str, level: int) -> None:
    slide = ArraySlide(np.full((300, 400, 3), level, np.uint8), 0.5)
    found = estimate_profile(slide, all_tissue(slide), STAINS.get(stain), SETTINGS)
    assert np.isfinite(np.array(found.vectors)).all()
    assert all(np.isfinite(value) for value in found.levels.values())
    if STAINS.get(stain).kind == "dab":
        assert "too few nuclei" in found.threshold_note
        assert any("hardly any counterstain" in caution for caution in found.cautions)


def test_a_slide_without_tissue_gives_a_profile() -> None:
    slide = ArraySlide(np.full((300, 400, 3), 243, np.uint8), 0.5)
    mask = all_tissue(slide)
    none = replace(mask, tissue=np.zeros_like(mask.tissue), has_glass=True, n_pieces=0)
    found = estimate_profile(slide, none, STAINS.get("CD8"), SETTINGS)
    assert found.background == (243.0, 243.0, 243.0)
    assert "too few nuclei" in found.threshold_note


def test_a_slide_smaller_than_a_window() -> None:
    slide = ArraySlide(np.full((7, 5, 3), 120, np.uint8), 0.5)
    assert estimate_profile(slide, all_tissue(slide), STAINS.get("HE"), SETTINGS).stain == "HE"


def test_windows_of_the_sample_are_seeded_and_on_usable_tissue() -> None:
    slide, tissue = rendered("CD8")
    size = slide.info.size_at(0.5)
    boxes = sample_windows(tissue, size, 0.5, 6, 1)
    assert len(boxes) == 6
    assert boxes == sample_windows(tissue, size, 0.5, 6, 1)
    assert boxes == sorted(boxes, key=lambda box: (box.y0, box.x0))
    everything = sample_windows(tissue, size, 0.5, 1000, 1)
    assert everything == sample_windows(tissue, size, 0.5, 1000, 2)
    assert set(boxes) <= set(everything)
    spoiled = replace(tissue, artefacts=np.where(tissue.tissue, 1, 0).astype(np.uint8))
    assert sample_windows(spoiled, size, 0.5, 6, 1), "tissue that is all artefact is still sampled"


@pytest.mark.parametrize(
    ("background", "unusual"),
    [
        ((245.0, 244.0, 243.0), False),
        ((186.0, 190.0, 200.0), False),
        ((184.0, 190.0, 200.0), True),
        ((250.0, 240.0, 204.0), True),
    ],
)
def test_unusual_glass_is_said(background: tuple[float, float, float], unusual: bool) -> None:
    assert bool(background_caution(background)) is unusual


@pytest.mark.parametrize("margin", [120, 205])
def test_a_plain_margin_is_not_the_background(margin: int) -> None:
    plain = render_slide(SlideSpec("CD8", 0.1, 250.0, 80.0, 1), 5)
    width = plain.pixels.shape[1]
    wide = np.pad(plain.pixels, ((0, 0), (0, 2 * width), (0, 0)), constant_values=margin)
    found = []
    for pixels in (plain.pixels, wide):
        slide = ArraySlide(pixels, plain.mpp)
        found.append(background_colour(slide, find_tissue(slide, TissueSettings()), [], 0))
    np.testing.assert_allclose(found[1], found[0], atol=3.0)


def test_the_colour_of_dim_glass_is_kept() -> None:
    plain = render_slide(SlideSpec("CD8", 0.1, 250.0, 80.0, 1), 5)
    slide = ArraySlide((plain.pixels * 0.65 + 0.5).astype(np.uint8), plain.mpp)
    background = background_colour(slide, find_tissue(slide, TissueSettings()), [], 0)
    assert 145 < min(background) <= max(background) < 168
    assert background_caution(background)


def test_the_slides_own_haematoxylin_is_used() -> None:
    own = unit((0.60, 0.62, 0.50))
    vectors = stain_vectors(own, STAINS.get("KI67").vectors[1])
    density, _ = nuclei_field((500, 500), 0, second=0.0)
    slide = ArraySlide(painted(density, StainProfile("KI67", (245.0,) * 3, vectors)), 0.5)
    found = estimate_profile(slide, all_tissue(slide), STAINS.get("KI67"), SETTINGS)
    assert np.dot(found.vectors[0], own) > np.cos(np.deg2rad(2))
    assert np.dot(STAINS.get("KI67").vectors[0], own) < np.cos(np.deg2rad(10))
    assert found.vectors[1] == pytest.approx(unit(STAINS.get("KI67").vectors[1]))
    assert not any("counterstain" in caution for caution in found.cautions)
