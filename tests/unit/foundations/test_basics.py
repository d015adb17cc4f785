"""Units, boxes, errors and registries."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme import units
from tme.errors import ConfigError, Problem, SheetError, SlideError, SpaceError
from tme.geometry import Box, grid
from tme.registry import Registry


@given(st.floats(0.01, 1e6), st.floats(0.1, 2))
def test_units_go_there_and_back(value: float, mpp: float) -> None:
    assert units.px_to_um(units.um_to_px(value, mpp), mpp) == pytest.approx(value)
    assert units.px_to_um2(units.um2_to_px(value, mpp), mpp) == pytest.approx(value)
    assert units.mm2_to_um2(units.um2_to_mm2(value)) == pytest.approx(value)
    assert units.px_to_mm2(value, mpp) == pytest.approx(units.um2_to_mm2(units.px_to_um2(value, mpp)))


def test_whole_pixels_round_half_up() -> None:
    assert units.um_to_whole_px(1.25, 0.5) == 3
    assert units.um_to_whole_px(0.01, 0.5) == 1


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 120))
def test_a_grid_covers_every_pixel_once(width: int, height: int, step: int) -> None:
    boxes = list(grid(width, height, step))
    assert sum(box.width * box.height for box in boxes) == width * height
    assert all(box == box.clip(width, height) and not box.empty for box in boxes)
    assert len({(box.x0, box.y0) for box in boxes}) == len(boxes)


def test_boxes_meet() -> None:
    assert Box(0, 0, 4, 4).intersect(Box(2, 3, 9, 9)) == Box(2, 3, 4, 4)
    assert Box(0, 0, 2, 2).intersect(Box(2, 2, 3, 3)).empty
    assert Box(1, 1, 2, 2).grow(1) == Box(0, 0, 3, 3)


def test_errors_say_where_what_why_fix_and_survive_pickling() -> None:
    error = SlideError("no resolution", where="a.tif", why="counts need it", fix="add mpp")
    assert str(error) == "a.tif · no resolution · counts need it · add mpp"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, as a worker sends them
    assert type(copy) is SlideError
    assert copy.problems == error.problems
    many = SheetError("bad", problems=(Problem("row 2", "x"), Problem("row 3", "y")))
    assert str(many) == "row 2 · x\nrow 3 · y"
    assert (many.exit_code, SpaceError("x").exit_code) == (2, 5)


def test_a_registry_refuses_a_second_of_a_name_and_lists_what_it_has() -> None:
    things: Registry[int] = Registry("thing", "tme.stains")
    things.add("one", 1)
    with pytest.raises(ValueError, match="twice"):
        things.add("one", 2)
    with pytest.raises(ConfigError, match="known: one"):
        things.get("two")
    assert "one" in things
    assert things.get("one") == 1
