"""Sections of one block found on each other, and others that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.made_objects import plain_slide, tissue_mask
from tests.section_scenes import block, noise, section, true_error_um, turned_about_middle
from tme.errors import ArtefactError
from tme.register import (
    CORE_UM,
    MAP_MPP,
    Patch,
    Registration,
    SectionMap,
    load_map,
    read_map,
    register_sections,
    save_map,
    write_picture,
)
from tme.register.refine import _fitted
from tme.register.register import MAX_ERROR_UM
from tme.stains import STAINS
from tme.stains.deconvolve import reference_profile

STILL = Registration(0.0, 0.0, 0.0)


def laid(seed: int, angle_deg: float, own: float = 0.04) -> tuple[SectionMap, SectionMap, Registration]:
    """Two sections of one block, and how the second lies."""
    tissue = block(seed)
    lies = turned_about_middle(angle_deg, tissue, 250, 180)
    return section(tissue, STILL, seed + 10, own), section(tissue, lies, seed + 11, own), lies


@pytest.mark.parametrize(("seed", "angle_deg"), [(1, 25), (2, -140), (6, 180)])
def test_a_section_is_found_however_it_was_laid_on_the_glass(seed: int, angle_deg: float) -> None:
    fixed, moving, lies = laid(seed, angle_deg)
    found = register_sections(fixed, moving)
    assert found.reason == ""
    error = true_error_um(found, lies, fixed)
    assert error.max() < 5
    # The estimate may be too large, as it holds how exactly a patch is found, but not too small.
    assert error.max() - 1 < found.error_um() < 15


def test_the_same_maps_give_the_same_registration() -> None:
    fixed, moving, _ = laid(1, 25)
    assert register_sections(fixed, moving) == register_sections(fixed, moving)


def test_the_error_is_that_of_a_section_pulled_out_of_shape() -> None:
    tissue = block(4)
    lies = turned_about_middle(8, tissue, 250, 180)
    height, width = (length + 75 for length in tissue.density.shape)
    warp = np.stack([noise((height, width), 600, seed) for seed in (81, 82)]) * np.float32(10)
    moving = section(tissue, lies, 15, warp=warp)
    fixed = section(tissue, STILL, 14)
    found = register_sections(fixed, moving)
    rows, columns = np.nonzero(tissue.usable)
    places = np.stack([columns, rows, np.ones(len(rows))])
    there = lies.matrix(MAP_MPP, MAP_MPP) @ places
    torn = warp[:, there[1].astype(int), there[0].astype(int)] / MAP_MPP
    apart = np.hypot(*(found.matrix(MAP_MPP, MAP_MPP) @ places - there - torn)) * MAP_MPP
    assert found.error_um() == pytest.approx(float(np.quantile(apart, 0.9)), abs=6)
    assert found.error_um(0.5) == pytest.approx(float(np.median(apart)), abs=4)


def test_sections_of_two_blocks_are_refused() -> None:
    fixed, _, _ = laid(1, 25)
    _, moving, _ = laid(55, 25)
    found = register_sections(fixed, moving)
    assert "found again" in found.reason or "no angle" in found.reason


def test_a_section_pulled_far_out_of_shape_is_refused() -> None:
    tissue = block(5)
    height, width = (length + 75 for length in tissue.density.shape)
    warp = np.stack([noise((height, width), 500, seed) for seed in (83, 84)]) * np.float32(70)
    found = register_sections(section(tissue, STILL, 14), section(tissue, STILL, 15, warp=warp))
    assert found.reason


def test_a_part_torn_off_is_not_taken_as_checked() -> None:
    """The right third lies 90 µm lower: the rest is registered, and the third left out."""
    tissue = block(6)
    height, width = (length + 75 for length in tissue.density.shape)
    warp = np.zeros((2, height, width), np.float32)
    warp[1, :, 250:] = 90
    found = register_sections(section(tissue, STILL, 14), section(tissue, STILL, 15, warp=warp))
    checked = found.checked((height, width), MAP_MPP, CORE_UM, MAX_ERROR_UM)
    assert checked[:, :230].any()
    assert not checked[:, 280:].any()


def test_tissue_without_structure_cannot_be_checked() -> None:
    flat = SectionMap(np.full((300, 300), 0.2, np.float32), np.ones((300, 300), bool), MAP_MPP)
    assert register_sections(flat, flat).reason


@pytest.mark.parametrize("side", [20, 60])
def test_a_crumb_cannot_be_checked(side: int) -> None:
    density = 0.2 + 0.05 * noise((side, side), 30, 3)
    crumb = SectionMap(density, np.ones((side, side), bool), MAP_MPP)
    assert register_sections(crumb, crumb).reason


def test_no_tissue_and_maps_of_two_resolutions() -> None:
    fixed, moving, _ = laid(1, 25)
    nothing = replace(moving, usable=np.zeros_like(moving.usable))
    assert register_sections(fixed, nothing).reason == "no usable tissue"
    with pytest.raises(ValueError, match="maps of 8 and 4"):
        register_sections(fixed, replace(moving, mpp=4.0))


def test_a_registration_and_its_matrix_are_the_same() -> None:
    lies = Registration(37.0, 120.0, -45.0)
    back = Registration.from_matrix(lies.matrix(8.0, 8.0), 8.0)
    assert (back.angle_deg, back.right_um, back.down_um) == pytest.approx((37, 120, -45))
    # The corner of a pixel of 4 µm is a place on a grid of 2 µm.
    column, row = lies.matrix(4.0, 2.0) @ np.array([-0.5, -0.5, 1.0])
    assert ((column + 0.5) * 2, (row + 0.5) * 2) == pytest.approx((120, -45))


def test_only_patches_near_their_place_are_checked() -> None:
    patches = (Patch(400.0, 400.0, 3.0, 4.0, 0.9), Patch(1200.0, 400.0, 40.0, 0.0, 0.9))
    found = Registration(0.0, 0.0, 0.0, patches, 2)
    mask = found.checked((100, 200), 8.0, 400.0, 30.0)
    assert mask.sum() == 50 * 50
    assert mask[26:74, 26:74].all()
    assert (found.patches[0].apart_um, found.error_um(0.5)) == pytest.approx((5, 22.5))
    assert replace(found, patches=()).error_um() == np.inf


def test_a_map_is_read_saved_and_found_again(tmp_path: Path) -> None:
    slide = plain_slide()
    mask = tissue_mask(slide, artefact="pen")
    steps = read_map(slide, reference_profile(STAINS.get("HE")))
    assert steps.shape == (75, 100)
    assert steps.max() > steps.min()
    save_map(tmp_path / "section.png", steps)
    found = load_map(tmp_path / "section.png", mask)
    assert np.array_equal(found.density, steps.astype(np.float32) / 200)
    assert found.usable.mean() == pytest.approx(mask.usable.mean(), abs=0.02)
    (tmp_path / "section.png").write_bytes(b"no")
    with pytest.raises(ArtefactError):
        load_map(tmp_path / "section.png", mask)
    with pytest.raises(ArtefactError):
        load_map(tmp_path / "none.png", mask)


def test_the_picture_shows_both_sections(tmp_path: Path) -> None:
    fixed, moving, lies = laid(1, 25)
    write_picture(tmp_path / "picture.jpg", fixed, moving, replace(lies, reason="not checked"))
    assert (tmp_path / "picture.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_patches_that_fix_no_motion_leave_the_guess() -> None:
    here = [(400, 200), (200, 200), (200, 0), (400, 0), (200, 0)]
    there = [(-239, 515), (491, 847), (-177, 845), (256, 787), (-16, -368)]
    scattered = [
        Patch(float(x), float(y), float(to_x - x), float(to_y - y), 0.9)
        for (x, y), (to_x, to_y) in zip(here, there, strict=True)
    ]
    assert _fitted(STILL, scattered) == STILL
