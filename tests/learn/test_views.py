"""Teaching a network the mean of its answers to several views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.learn.scenes import draw_scene
from tme.learn.fit import Recipe, Sampler, start
from tme.learn.network import NucleusNet
from training import views

torch.set_num_threads(1)
RECIPE = Recipe(steps=30, batch=4, side=64, rate=2e-3, average=0.9)
SMALL = ((8, 8, 16, 16), (1, 1, 1))


def by_pixel(rgb: np.ndarray) -> np.ndarray:
    """A network that looks at single pixels and gives no arrows: no view changes its answer."""
    plane = rgb.astype(np.float32).transpose(2, 0, 1) / 255
    none = np.zeros_like(plane[:2])
    return np.concatenate([plane[:2], none, plane[2:]])


def towards(column: float, row: float, shape: tuple[int, int]) -> np.ndarray:
    """Answers whose arrows all point at one place."""
    down, right = np.indices(shape, np.float32)
    return np.stack([right * 0, right * 0, column - right, row - down, right * 0])


@given(
    view=st.integers(0, 7),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_a_view_undone_is_what_it_was(view: int, shape: tuple[int, int], seed: int) -> None:
    answer = np.random.default_rng(seed).normal(size=(5, *shape)).astype(np.float32)
    seen = views.turned_answer(answer, view)
    np.testing.assert_array_equal(views.turned_answer(seen, view, back=True), answer)


@given(view=st.integers(0, 7), column=st.integers(0, 6), row=st.integers(0, 4))
def test_arrows_turn_with_what_they_point_at(view: int, column: int, row: int) -> None:
    marked = np.zeros((5, 7), bool)
    marked[row, column] = True
    place = np.argwhere(views.turned(marked, view))[0]
    seen = views.turned_answer(towards(column, row, (5, 7)), view)
    np.testing.assert_array_equal(seen, towards(place[1], place[0], seen.shape[1:]))


def test_the_views_are_eight() -> None:
    image = np.arange(6).reshape(2, 3)
    assert len({views.turned(image, view).tobytes() + bytes(view % 2) for view in range(views.VIEWS)}) == 8


def test_the_mean_of_equal_answers_lies_where_the_pixels_do() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    mean = views.mean_answer(by_pixel, rgb, np.random.default_rng(1))
    np.testing.assert_allclose(mean, by_pixel(rgb), atol=1e-5)


def test_the_mean_depends_less_on_where_a_field_begins() -> None:
    def uneven(rgb: np.ndarray) -> np.ndarray:
        """Answers one thing in every sixteenth column, by the window's own count."""
        answer = np.zeros((5, *rgb.shape[:2]), np.float32)
        answer[0, :, ::16] = 1
        return answer

    rgb = np.zeros((64, 64, 3), np.uint8)
    mean = views.mean_answer(uneven, rgb, np.random.default_rng(2))
    assert mean[0].max() < 0.6 < uneven(rgb)[0].max()
    assert mean[0].mean() == pytest.approx(1 / 16, abs=0.01)


def test_a_batch_is_partly_new_and_its_answers_are_those_of_its_images() -> None:
    sampler = Sampler([draw_scene(seed).field(f"{seed}") for seed in (50, 51)], RECIPE)
    stock = views.Stock(by_pixel, sampler, 3)
    source = stock.batches(RECIPE.batch)
    known = []
    for _ in range(3):
        images, answers = next(source)
        assert images.shape == (4, 3, 64, 64)
        assert answers.shape == (4, 5, 64, 64)
        for image, answer in zip(images.numpy(), answers.numpy(), strict=True):
            np.testing.assert_allclose(answer, by_pixel(image.transpose(1, 2, 0)), atol=1e-3)
        known.append(len(stock.crops))
    assert known == [4, 4 + views.FRESH, 4 + 2 * views.FRESH]


def test_the_stock_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "KEPT", 5)
    sampler = Sampler([draw_scene(52).field("52")], RECIPE)
    stock = views.Stock(by_pixel, sampler, 3)
    source = stock.batches(RECIPE.batch)
    next(source)
    first = stock.crops[0][0]
    for _ in range(4):
        next(source)
    assert len(stock.crops) == 5 + views.FRESH
    assert not any(np.array_equal(rgb, first) for rgb, _ in stock.crops)


def test_a_network_learns_the_mean_and_the_same_twice(tmp_path: Path) -> None:
    fields = [draw_scene(seed).field(f"{seed}") for seed in (53, 54)]

    def taught(log: Path) -> tuple[NucleusNet, float]:
        torch.manual_seed(5)
        state = start(NucleusNet(*SMALL), RECIPE)
        views.learn(state, views.Stock(by_pixel, Sampler(fields, RECIPE), 5), RECIPE, log)
        assert state.step == RECIPE.steps
        return state.mean, float(log.read_text(encoding="utf-8").splitlines()[-1].split(",")[1])

    one, loss = taught(tmp_path / "one.csv")
    two, again = taught(tmp_path / "two.csv")
    assert loss == again
    for mine, other in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, other)
    torch.manual_seed(5)
    images, answers = next(views.Stock(by_pixel, Sampler(fields, RECIPE), 6).batches(4))
    with torch.no_grad():
        before = views.soft_loss(NucleusNet(*SMALL).eval()(images), answers)
        after = views.soft_loss(one.eval()(images), answers)
    assert after < 0.9 * before
