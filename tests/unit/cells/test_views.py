"""The mean of a network's answers to several views of a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tme.cells.engines import halo_px
from tme.cells.engines._views import STRIDE, VIEWS, Viewed, turned, turned_back, viewed
from tme.cells.engines.tmenet import NucleusSegmenter
from tme.config import CellSettings
from tme.testing.render import SlideSpec, render_slide

RGBImage = NDArray[np.uint8]
Answer = NDArray[np.float32]


def by_pixel(rgb: RGBImage) -> Answer:
    """A network that looks at single pixels and gives no arrows: no view changes its answer."""
    plane = rgb.astype(np.float32).transpose(2, 0, 1) / 255
    return np.concatenate([plane[:2], np.zeros_like(plane[:2]), plane[2:]])


def by_place(rgb: RGBImage) -> Answer:
    """A network that answers 1 in the first row and column of each of its steps, else 0."""
    answer = np.zeros((5, *rgb.shape[:2]), np.float32)
    answer[0, ::STRIDE] = 1
    answer[0, :, ::STRIDE] = 1
    return answer


def to_the_marked(rgb: RGBImage) -> Answer:
    """A network whose arrows all point at the one black pixel."""
    row, column = np.argwhere(rgb[..., 0] == 0)[0]
    down, right = np.indices(rgb.shape[:2], np.float32)
    none = np.zeros_like(down)
    return np.stack([none, none, column - right, row - down, none])


@given(view=st.integers(0, 7), seed=st.integers(0, 99), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_what_is_seen_in_a_view_is_put_back_where_it_was(
    view: int, seed: int, shape: tuple[int, int]
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(turned_back(by_pixel(turned(rgb, view)), view), by_pixel(rgb))


@given(view=st.integers(0, 7), row=st.integers(0, 4), column=st.integers(0, 6))
def test_arrows_turn_with_what_they_point_at(view: int, row: int, column: int) -> None:
    rgb = np.full((5, 7, 3), 255, np.uint8)
    rgb[row, column] = 0
    np.testing.assert_array_equal(turned_back(to_the_marked(turned(rgb, view)), view), to_the_marked(rgb))


def test_eight_views_are_the_eight_symmetries_each_shifted_otherwise() -> None:
    assert VIEWS[0] == (0, (0, 0))
    assert sorted(view for view, _ in VIEWS) == list(range(8))
    for places in zip(*(shift for _, shift in VIEWS), strict=True):
        assert len(set(places)) == 8
        assert 0 <= min(places) <= max(places) < STRIDE


@pytest.mark.parametrize("views", [2, 4, 8])
def test_the_mean_lies_where_the_pixels_do(views: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    np.testing.assert_allclose(Viewed(by_pixel, views)(rgb), by_pixel(rgb), atol=1e-5)


@pytest.mark.parametrize(("views", "most"), [(2, 1.0), (4, 0.75), (8, 0.5)])
def test_where_a_window_begins_matters_less_with_every_view(views: int, most: float) -> None:
    asked = []

    def network(rgb: RGBImage) -> Answer:
        asked.append(rgb.shape[:2])
        return by_place(rgb)

    rgb = np.zeros((64, 96, 3), np.uint8)
    answer = Viewed(network, views)(rgb)
    assert len(asked) == views
    assert all(height % STRIDE == 0 and width % STRIDE == 0 for height, width in asked)
    assert answer.shape == (5, 64, 96)
    assert answer[0].max() <= most
    assert answer[0].mean() == pytest.approx(by_place(rgb)[0].mean(), rel=0.05)


def test_one_view_is_the_network_itself() -> None:
    assert viewed(by_pixel, 1) is by_pixel
    assert CellSettings().views == 1


def test_the_network_that_ships_depends_less_on_how_a_slide_lies() -> None:
    slide = render_slide(SlideSpec("HE", area_mm2=0.1), 78)
    rgb = np.ascontiguousarray(slide.pixels[:320, :384])

    def apart(views: int) -> float:
        network = NucleusSegmenter().load(CellSettings(views=views)).network
        lying = network(np.ascontiguousarray(turned(rgb, 6)))
        inner = np.s_[0, 64:-64, 64:-64]
        return float(np.abs(turned_back(lying, 6)[inner] - network(rgb)[inner]).mean())

    assert apart(8) < 0.6 * apart(1)


def test_neighbouring_windows_say_the_same_of_what_both_see() -> None:
    slide = render_slide(SlideSpec("HE", area_mm2=0.15), 79)
    rgb = np.ascontiguousarray(slide.pixels[:416, :480])
    network = NucleusSegmenter().load(CellSettings(views=8)).network
    whole, moved = network(rgb), network(np.ascontiguousarray(rgb[48:, 96:]))
    halo = halo_px(CellSettings(views=8))
    inner = np.s_[:, halo:-halo, halo:-halo]
    assert moved[inner].size
    assert halo_px(CellSettings()) == NucleusSegmenter.halo_px == halo - STRIDE
    np.testing.assert_array_equal(whole[:, 48:, 96:][inner], moved[inner])


def test_other_engines_have_no_views() -> None:
    with pytest.raises(ValidationError, match="engine tmenet alone"):
        CellSettings(engine="watershed", views=2)
    with pytest.raises(ValidationError):
        CellSettings(views=3)
