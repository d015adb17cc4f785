"""Labels to targets and back: what is unknown teaches nothing, and nothing moves on the way."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

from tests.learn.scenes import MPP, draw_scene
from tme.cells.instances import Decoding, decode
from tme.learn.augment import Strength, draw_crop, halved, place, plain_crop, quilt, with_pigment
from tme.learn.field import Field, from_masks, from_points
from tme.learn.targets import Crop, Targets, make_targets

SEEDS = st.integers(0, 10_000)
SCENES = [draw_scene(seed) for seed in range(4)]
WEIGHTS = ("w_nucleus", "w_centre", "w_offset", "w_lymphocyte")


def field_of(seed: int, classes: bool = True, complete: bool = True) -> Field:
    return SCENES[seed % len(SCENES)].field(classes=classes, complete=complete)


def answer_of(targets: Targets) -> NDArray[np.float32]:
    """What a network that is right would answer."""
    centre = np.log(np.clip(targets.centre, 1e-4, 1 - 1e-4) / np.clip(1 - targets.centre, 1e-4, 1))
    return np.stack(
        [targets.nucleus * 20 - 10, centre, *targets.offset, targets.lymphocyte * 20 - 10]
    ).astype(np.float32)


@given(SEEDS)
def test_what_a_right_answer_is_read_as(seed: int) -> None:
    crop = plain_crop(field_of(seed))
    found = decode(answer_of(make_targets(crop)), Decoding())
    assert len(found.peak) == len(crop.centres)
    for number in range(1, len(crop.centres) + 1):
        true = crop.instances == number
        owner = np.bincount(found.labels[true]).argmax()
        mine = found.labels == owner
        assert owner > 0
        assert (mine & true).sum() / (mine | true).sum() > 0.9
        assert (found.lymphocyte[owner - 1] > 0) == (crop.lymphocyte[number - 1] == 1)


@given(SEEDS, st.booleans(), st.booleans())
def test_outside_the_field_nothing_counts(seed: int, classes: bool, complete: bool) -> None:
    rng = np.random.default_rng(seed)
    crop = draw_crop(field_of(seed, classes, complete), 256, Strength(), rng)
    targets = make_targets(crop)
    assert (~crop.valid).any()
    for name in WEIGHTS:
        weight = getattr(targets, name)
        assert weight.shape == crop.valid.shape
        assert weight.min() >= 0
        assert not weight[~crop.valid].any()
    assert not targets.w_offset[targets.nucleus == 0].any()
    assert classes or not targets.w_lymphocyte.any()
    assert all(np.isfinite(plane).all() for plane in targets.stacked())


@given(SEEDS)
def test_where_nobody_knows_nothing_counts(seed: int) -> None:
    field = field_of(seed)
    labels = field.instances.copy()
    labels[40:90, 60:] = np.where(labels[40:90, 60:] == 0, -1, labels[40:90, 60:])
    crop = plain_crop(replace(field, instances=labels))
    targets = make_targets(crop)
    unknown = crop.instances < 0
    assert unknown.any()
    for name in WEIGHTS:
        assert not getattr(targets, name)[unknown].any()


@given(SEEDS)
def test_incomplete_labels_say_nothing_of_dark_places_between_them(seed: int) -> None:
    field = field_of(seed, complete=False)
    number = int(np.flatnonzero(field.lymphocyte == 1)[0]) + 1
    forgotten = field.instances == number
    labels = field.instances - (field.instances >= number)
    others = np.arange(len(field.centres)) != number - 1
    field = replace(
        field,
        instances=labels.astype(np.int32) * ~forgotten,
        centres=field.centres[others],
        lymphocyte=field.lymphocyte[others],
        certainty=field.certainty[others],
    )
    weight = make_targets(plain_crop(field)).w_nucleus
    assert weight[field.instances > 0].all()
    # The middle of a nucleus that was not labelled is neither pale nor beside a label.
    middle = np.argwhere(forgotten).mean(0).astype(int)
    assert weight[tuple(middle)] == 0


def test_each_nucleus_teaches_its_class_alike() -> None:
    crop = plain_crop(field_of(0))
    weight = make_targets(crop).w_lymphocyte
    sums = np.bincount(crop.instances.ravel(), weight.ravel())[1:]
    np.testing.assert_allclose(sums, 1, rtol=1e-4)


def test_points_teach_their_closest_surroundings() -> None:
    scene = SCENES[0]
    centres = scene.field().centres
    unknown = np.full(len(centres), np.nan, np.float32)
    crop = plain_crop(from_points("a", "own", "a", scene.rgb, MPP, centres, unknown, complete=False))
    targets = make_targets(crop)
    column, row = centres.astype(int).T
    assert targets.nucleus[row, column].all()
    assert targets.w_nucleus[row, column].all()
    assert not targets.w_lymphocyte.any()


@given(SEEDS)
def test_centres_lie_in_their_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = draw_crop(field_of(seed), 160, Strength(recolour=0), rng)
    inside = ((crop.centres >= 2) & (crop.centres < 158)).all(1)
    column, row = crop.centres[inside].astype(int).T
    np.testing.assert_array_equal(crop.instances[row, column], np.flatnonzero(inside) + 1)


@given(SEEDS)
def test_the_same_draw_is_the_same_crop(seed: int) -> None:
    one, two = (draw_crop(field_of(seed), 96, Strength(), np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one.rgb, two.rgb)
    np.testing.assert_array_equal(one.centres, two.centres)


@pytest.mark.parametrize("mpp", [0.25, 0.35, 0.5])
def test_labels_lie_on_what_they_label(mpp: float) -> None:
    """Within a twentieth of a pixel: half a pixel would cost a small nucleus a tenth of its overlap."""
    labels = np.zeros((600, 600), np.int32)
    for number, (y, x) in enumerate(np.ndindex(14, 14), 1):
        cv2.circle(labels, (40 * x + 40, 40 * y + 40), 6 + number % 8, number, -1)
    rgb = np.repeat(np.where(labels > 0, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    crop = plain_crop(
        from_masks("a", "made", "a", rgb, mpp, labels, np.full(labels.max(), np.nan, np.float32))
    )
    assert crop.instances is not None
    dark = (255.0 - crop.rgb[..., 0]) * crop.valid / 255
    around = cv2.dilate(crop.instances.astype(np.float32), np.ones((7, 7), np.uint8)).astype(int)
    numbers = np.unique(crop.instances[crop.instances > 0])
    painted, labelled = (center_of_mass(plane, around, numbers) for plane in (dark, crop.instances > 0))
    assert np.subtract(painted, labelled).mean(axis=0) == pytest.approx([0, 0], abs=0.05)
    assert (crop.instances > 0).sum() == pytest.approx(dark.sum(), rel=0.01)


SIDE = 192
TURNS = {
    "identity": ([[1, 0, 0], [0, 1, 0]], lambda m: m),
    "flip": ([[-1, 0, SIDE], [0, 1, 0]], lambda m: m[:, ::-1]),
    "quarter turn": ([[0, -1, SIDE], [1, 0, 0]], lambda m: np.rot90(m, -1)),
    "half turn": ([[-1, 0, SIDE], [0, -1, SIDE]], lambda m: m[::-1, ::-1]),
}


@pytest.mark.parametrize("turn", TURNS)
def test_whole_turns_and_flips_are_exact(turn: str) -> None:
    matrix, turned = TURNS[turn]
    field = field_of(1)
    crop = place(field, SIDE, np.array(matrix, np.float64))
    np.testing.assert_array_equal(crop.instances, turned(field.instances))
    assert crop.valid.all()
    # Twice finer and averaged again: within the rounding of the interpolation.
    assert np.abs(crop.rgb.astype(int) - turned(field.rgb)).mean() < 3
    x, y = field.centres.T
    expected = np.array(matrix) @ np.stack([x, y, np.ones_like(x)])
    np.testing.assert_allclose(crop.centres, expected.T, atol=1e-3)


def test_a_shift_by_whole_pixels_moves_labels_alone() -> None:
    field = field_of(2)
    crop = place(field, SIDE, np.array([[1, 0, 10], [0, 1, -4]], np.float64))
    np.testing.assert_array_equal(crop.instances[: SIDE - 4, 10:] > 0, field.instances[4:, : SIDE - 10] > 0)
    assert not crop.valid[:, :10].any()
    assert not crop.valid[SIDE - 4 :].any()


def parts_of(seed: int) -> list[Crop]:
    rng = np.random.default_rng(seed)
    return [draw_crop(field_of(seed + k), 80, Strength(recolour=0), rng) for k in range(4)]


@given(SEEDS)
def test_a_quilt_keeps_every_part_in_its_corner(seed: int) -> None:
    parts = parts_of(seed)
    whole = quilt(parts)
    first = 0
    for part, (top, left) in zip(parts, [(0, 0), (0, 80), (80, 0), (80, 80)], strict=True):
        corner = np.s_[top : top + 80, left : left + 80]
        np.testing.assert_array_equal(whole.rgb[corner], part.rgb)
        np.testing.assert_array_equal(whole.valid[corner], part.valid)
        # A nucleus whose centre lies beyond its part is nobody's.
        inside = ((part.centres >= 0) & (part.centres < 80)).all(1)
        number = np.concatenate([[0], np.where(inside, first + np.cumsum(inside), -1)])
        np.testing.assert_array_equal(whole.instances[corner], number[part.instances])
        own = np.s_[first : first + inside.sum()]
        np.testing.assert_allclose(whole.centres[own], part.centres[inside] + np.float32([left, top]))
        np.testing.assert_array_equal(whole.lymphocyte[own], part.lymphocyte[inside])
        first += inside.sum()
    assert whole.valid.shape == (160, 160)
    assert len(whole.centres) == first


def test_a_quilt_is_labelled_as_far_as_its_least_labelled_part() -> None:
    parts = parts_of(0)
    assert not quilt([*parts[:3], replace(parts[3], complete=False)]).complete
    assert quilt([*parts[:3], replace(parts[3], instances=None)]).instances is None


@given(labels=arrays(np.int32, (6, 8), elements=st.integers(-1, 4)))
def test_half_the_resolution_keeps_what_most_of_four_pixels_are(labels: np.ndarray) -> None:
    small = halved(labels)
    for y, x in np.ndindex(small.shape):
        four = labels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel()
        values, counts = np.unique(four, return_counts=True)
        assert small[y, x] in four
        if counts.max() > 2 or (counts == 2).sum() == 1:
            assert small[y, x] == values[counts.argmax()]


@given(seed=st.integers(0, 2000), brown=st.booleans())
def test_pigment_darkens_places_beside_nuclei_and_nothing_else(seed: int, brown: bool) -> None:
    labels = np.zeros((96, 96), np.int32)
    labels[20:40, 20:40] = 1
    pale = np.full((96, 96, 3), 220, np.uint8)
    soiled = with_pigment(pale, labels, brown, np.random.default_rng(seed))
    assert soiled.dtype == np.uint8
    assert (soiled <= 221).all()
    dark = soiled.max(axis=2) < 150
    assert dark.mean() < 0.4
    assert (soiled < 215).any()
    if not brown:
        # Dust is black: no colour is left in it.
        assert np.ptp(soiled[dark].astype(int), axis=1).max(initial=0) < 60


def test_ground_without_room_for_pigment_stays_as_it_is() -> None:
    rgb = np.full((32, 32, 3), 120, np.uint8)
    full = np.ones((32, 32), np.int32)
    np.testing.assert_array_equal(with_pigment(rgb, full, True, np.random.default_rng(0)), rgb)
