"""Invariants of the vessels stage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vessel_scenes import MPP, Scene, vessels_of
from tme.config import VesselSettings
from tme.geometry import Box
from tme.vessels.connect import SlideLabels, label_pieces
from tme.vessels.fill import Filled
from tme.vessels.packed import PackedPlane, pack, unpack
from tme.vessels.part import parted
from tme.vessels.shape import measure_shape, outline_polygon

SIDE_UM = 150


def few_vessels() -> Scene:
    """A ring, a broken ring, a slit and a winding vessel on a plain section."""
    scene = Scene(SIDE_UM, SIDE_UM)
    scene.vessel(40, 40, 14, 14)
    scene.vessel(105, 40, 16, 12, angle=30, gap=40)
    scene.vessel(40, 105, 18, 4.5, angle=60)
    scene.path([(85, 90), (105, 110), (125, 100)], wall=4)
    return scene


def measures(table, dx_um=0.0, dy_um=0.0):
    """What a translation must not change, place corrected."""
    rows = []
    for row in table.to_pylist():
        shape = [row[name] for name in ("area_um2", "endothelium_area_um2", "lumen_area_um2", "min_feret_um")]
        rows.append([round(row["x_um"] - dx_um, 6), round(row["y_um"] - dy_um, 6), *shape])
    return sorted(rows)


def with_ground(pixels, left_px, top_px):
    """The pixels on a larger plain section."""
    margins = ((top_px, 180), (left_px, 180), (0, 0))
    return np.pad(pixels, margins, mode="edge")


@settings(max_examples=8)
@given(dx=st.integers(0, 1100), dy=st.integers(0, 1100))
def test_a_translation_moves_vessels_and_changes_nothing_else(dx, dy):
    pixels = few_vessels().rgb()
    still = measures(vessels_of(with_ground(pixels, 120, 120)).table)
    moved = measures(vessels_of(with_ground(pixels, 120 + dx, 120 + dy)).table, dx * MPP, dy * MPP)
    assert len(moved) == 4
    assert moved == still


@settings(max_examples=8)
@given(gap=st.integers(40, 300))
def test_areas_of_two_sections_add_up(gap):
    pixels = few_vessels().rgb()
    between = np.tile(pixels[:1, :1], (pixels.shape[0], gap, 1))
    alone = vessels_of(np.concatenate([pixels, between], axis=1)).table
    both = vessels_of(np.concatenate([pixels, between, pixels, between], axis=1)).table
    assert both.num_rows == 2 * alone.num_rows
    for name in ("area_um2", "endothelium_area_um2", "lumen_area_um2"):
        assert sum(both[name].to_pylist()) == pytest.approx(2 * sum(alone[name].to_pylist()), rel=1e-6)


@settings(max_examples=20)
@given(a=st.floats(6, 40), ratio=st.floats(0.4, 1.0), angle=st.floats(0, 180), wall=st.floats(2, 3))
def test_a_row_is_consistent_with_itself(a, ratio, angle, wall):
    scene = Scene(120, 120)
    scene.vessel(60, 60, a, max(5.0, a * ratio), angle=angle, wall=wall)
    table = vessels_of(scene).table
    assert table.num_rows == 1
    row = table.to_pylist()[0]
    outline = shapely.from_wkb(row["geometry"])
    assert outline.is_valid
    assert row["lumen_area_um2"] + row["endothelium_area_um2"] <= row["area_um2"] * (1 + 1e-6)
    assert row["min_feret_um"] <= row["max_feret_um"] * (1 + 1e-6)
    assert row["perimeter_um"] >= 0.97 * math.sqrt(4 * math.pi * row["area_um2"])
    assert 0 <= row["eccentricity"] < 1
    assert 0 < row["solidity"] <= 1
    assert 0 <= row["object_prob"] <= 1
    assert outline.area * MPP**2 == pytest.approx(row["area_um2"], rel=0.02)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), fill=st.floats(0.05, 0.7), side=st.integers(3, 9))
def test_pieces_joined_across_windows_are_the_pieces_of_the_whole(seed, fill, side):
    mask = np.random.default_rng(seed).random((20, 23)) < fill
    labels = SlideLabels(side)
    numbers = np.zeros(mask.shape, np.int64)
    for y0 in range(0, 20, side):
        for x0 in range(0, 23, side):
            core = Box(y0, x0, min(y0 + side, 20), min(x0 + side, 23))
            pieces = label_pieces(np.ascontiguousarray(mask[core.y0 : core.y1, core.x0 : core.x1]))
            offset = labels.add(core, pieces)
            numbers[core.y0 : core.y1, core.x0 : core.x1] = np.where(pieces.labels, pieces.labels + offset, 0)
    joined = labels.joined()[numbers]
    whole = label_pieces(mask).labels
    pairs = {(int(one), int(other)) for one, other in zip(joined.ravel(), whole.ravel(), strict=True)}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), fill=st.sampled_from([0.0, 0.02, 0.5]), data=st.data())
def test_packed_planes_give_back_any_box(seed, fill, data):
    mask = np.random.default_rng(seed).random((20, 23)) < fill
    assert np.array_equal(unpack(pack(mask), mask.shape), mask)
    cores = [Box(y, x, min(y + 7, 20), min(x + 7, 23)) for y in range(0, 20, 7) for x in range(0, 23, 7)]
    plane = PackedPlane(7, [(core, pack(mask[core.y0 : core.y1, core.x0 : core.x1])) for core in cores])
    y0, x0 = data.draw(st.integers(-5, 19)), data.draw(st.integers(-5, 22))
    box = Box(y0, x0, y0 + data.draw(st.integers(1, 30)), x0 + data.draw(st.integers(1, 30)))
    padded = np.zeros((80, 80), bool)
    padded[10:30, 10:33] = mask
    expected = padded[box.y0 + 10 : box.y1 + 10, box.x0 + 10 : box.x1 + 10]
    assert np.array_equal(plane.read(box), expected)


@settings(max_examples=30)
@given(radius=st.floats(6, 60), dx=st.floats(0, 1), dy=st.floats(0, 1))
def test_a_disc_is_measured_as_a_disc(radius, dx, dy):
    side = int(2 * radius) + 8
    y, x = np.mgrid[:side, :side] + 0.5
    disc = (x - side / 2 - dx) ** 2 + (y - side / 2 - dy) ** 2 <= radius**2
    shape = measure_shape(disc)
    assert shape.area == np.count_nonzero(disc)
    assert shape.x == pytest.approx(side / 2 + dx, abs=0.3)
    assert shape.perimeter == pytest.approx(math.sqrt(4 * math.pi * shape.area), rel=0.05)
    assert shape.min_feret == pytest.approx(2 * radius, abs=1.5)
    assert shape.max_feret == pytest.approx(2 * radius, abs=1.5)
    assert shape.eccentricity < 0.4
    assert outline_polygon(disc).area == pytest.approx(shape.area, rel=0.03)


def test_calibre_is_right_at_any_angle():
    """Of a capillary of 16 by 28 px, drawn at a hundred angles: within 3 % on average."""
    y, x = np.mgrid[:64, :64] + 0.5 - 32.3
    found = []
    for angle in np.linspace(0, np.pi, 100, endpoint=False):
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        shape = measure_shape((along / 14) ** 2 + (across / 8) ** 2 <= 1)
        found.append((shape.min_feret, shape.max_feret))
    assert np.mean(found, axis=0) == pytest.approx([16, 28], rel=0.03)


def touching(distance, first, second, angle):
    """Pixels of two rings whose middles lie so far apart, µm and degrees."""
    dx, dy = distance / 2 * math.cos(math.radians(angle)), distance / 2 * math.sin(math.radians(angle))
    scene = Scene(SIDE_UM, SIDE_UM)
    scene.vessel(75 - dx, 75 - dy, first, first)
    scene.vessel(75 + dx, 75 + dy, second, second)
    return scene.rgb()


@settings(max_examples=15)
@given(
    first=st.floats(8, 20),
    ratio=st.floats(0.6, 1.0),
    pressed=st.floats(-0.5, 1.0),
    angle=st.floats(0, 180),
    turns=st.integers(1, 3),
)
def test_rings_that_touch_are_two_however_the_section_lies(first, ratio, pressed, angle, turns):
    second = max(7.0, ratio * first)
    pixels = touching(first + second + 2 - pressed, first, second, angle)
    table = vessels_of(pixels).table
    assert table.num_rows == 2
    assert vessels_of(np.ascontiguousarray(np.rot90(pixels, turns))).table.num_rows == 2


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 6))
def test_parting_keeps_every_pixel_and_gives_it_once(seed, n):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:90, :90]
    stained, lumen = np.zeros((90, 90), bool), np.zeros((90, 90), bool)
    for _ in range(n):
        cy, cx = rng.uniform(25, 65, 2)
        radius = rng.uniform(7, 18)
        inside = (y - cy) ** 2 + (x - cx) ** 2
        stained |= inside <= radius**2
        lumen |= inside <= (radius - rng.uniform(3, 5)) ** 2
    outline = label_pieces(stained | lumen).labels == 1  # an object is one piece
    lumen &= outline
    parts = parted(outline & ~lumen, Filled(outline, lumen), VesselSettings(), MPP)
    assert np.array_equal(np.sum(parts, axis=0), outline)
    assert len(parts) <= max(1, label_pieces(lumen).count)
    assert all(label_pieces(part).count == 1 for part in parts)
    again = parted(outline & ~lumen, Filled(outline, lumen), VesselSettings(), MPP)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))
