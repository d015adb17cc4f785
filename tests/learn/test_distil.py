"""A teacher and its students: what they are given, what they keep, and that they learn."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

import torch

from tests.learn.scenes import draw_scene
from tme.learn.fit import Recipe, Sampler
from tme.learn.losses import losses
from tme.learn.network import NucleusNet
from training import distil

torch.set_num_threads(1)
RECIPE = Recipe(steps=12, batch=2, side=64, rate=2e-3, average=0.9)
SMALL = ((8, 8, 16, 16), (1, 1, 1))
CPU = torch.device("cpu")


def fields() -> list:
    return [draw_scene(seed).field(f"{seed}") for seed in (40, 41, 42)]


def learner(seed: int = 0) -> distil.Learner:
    torch.manual_seed(seed)
    return distil.Learner(NucleusNet(*SMALL), RECIPE, CPU)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_who_makes_them(workers: int) -> None:
    sampler = Sampler(fields(), RECIPE)
    made = list(distil.batches(sampler, range(3, 7), workers))
    assert len(made) == 4
    for step, (images, targets) in zip(range(3, 7), made, strict=True):
        expected = sampler.batch(step)
        np.testing.assert_array_equal(images.numpy(), expected[0])
        np.testing.assert_allclose(targets.numpy(), expected[1], rtol=1e-3, atol=1e-4)


def test_a_wider_network_answers_as_the_narrower_did() -> None:
    torch.manual_seed(1)
    narrow, wide = NucleusNet((8, 8, 16, 16), (1, 1, 1)).eval(), NucleusNet((12, 8, 24, 16), (1, 1, 1)).eval()
    rgb = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        before = narrow(rgb)
        assert not torch.allclose(wide(rgb), before, atol=0.1)
        wide.load_state_dict(distil.grown(narrow.state_dict(), wide.state_dict()))
        torch.testing.assert_close(wide(rgb), before, rtol=1e-4, atol=1e-4)


def test_blocks_a_network_has_not_got_are_left_out() -> None:
    deep, shallow = NucleusNet(SMALL[0], (1, 1, 2)), NucleusNet(SMALL[0], (1, 1, 1))
    taken = distil.grown(deep.state_dict(), shallow.state_dict())
    assert taken.keys() == shallow.state_dict().keys()
    torch.testing.assert_close(taken["stem.0.weight"], deep.state_dict()["stem.0.weight"])


def test_weights_of_a_wider_network_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit into"):
        distil.grown(NucleusNet((12, 8, 16, 16), SMALL[1]).state_dict(), NucleusNet(*SMALL).state_dict())


@given(turn=st.integers(0, 7), seed=st.integers(0, 99))
def test_arrows_turn_with_the_pixels_they_are_in(turn: int, seed: int) -> None:
    planes = np.random.default_rng(seed).normal(size=(2, 5, 12, 12)).astype(np.float32)
    turned = distil.turned(torch.from_numpy(planes), turn, 2).numpy()
    np.testing.assert_array_equal(
        turned[:, [0, 1, 4]], distil.turned(torch.from_numpy(planes[:, [0, 1, 4]].copy()), turn, None).numpy()
    )
    # Where an arrow ends turns like any other place.
    y, x = np.mgrid[:12, :12] - 5.5
    ends = np.stack([x + planes[0, 2], y + planes[0, 3]])
    moved = {0: ends, 1: ends * [[[-1]], [[1]]], 2: ends * [[[1]], [[-1]]], 3: -ends}[turn & 3]
    lying = np.stack(
        [distil.turned(torch.from_numpy(e[None, None]), turn, None).numpy()[0, 0] for e in moved]
    )
    if turn & 4:
        lying = lying[::-1]
    np.testing.assert_allclose(np.stack([x + turned[0, 2], y + turned[0, 3]]), lying, atol=1e-5)


@pytest.mark.parametrize("turn", distil.TURNS)
def test_the_views_a_teacher_answers_are_their_own_way_back(turn: int) -> None:
    planes = torch.rand(1, 5, 8, 8)
    torch.testing.assert_close(distil.turned(distil.turned(planes, turn, 2), turn, 2), planes)


def test_what_the_teacher_says_of_a_crop_turns_with_it() -> None:
    network = learner(3).mean
    rgb = torch.rand(1, 3, 32, 32) * 255
    with torch.no_grad():
        said = distil.mean_answer(network, rgb)
        turned = distil.mean_answer(network, distil.turned(rgb, distil.TURNS[1], None))
    torch.testing.assert_close(distil.turned(turned, distil.TURNS[1], 2), said, rtol=1e-4, atol=1e-4)


def test_a_shelf_gives_what_was_put_there_last_each_way_round() -> None:
    shelf = distil.Shelf(2, 8, CPU)
    drawn = [Sampler(fields(), replace(RECIPE, batch=8)).batch(k) for k in range(3)]
    for images, targets in drawn:
        shelf.put(torch.from_numpy(images), torch.from_numpy(targets).half())
    shelf.choose([0, 1])
    shelf.tone.fill_(1.0)
    rgb, targets = shelf.take()
    kept = np.concatenate([drawn[2][0], drawn[1][0]]).astype(np.float32)
    for place in range(8):
        expected = distil.turned(torch.from_numpy(kept[int(shelf.chosen[place])][None]), place, None)
        torch.testing.assert_close(rgb[place][None], expected, rtol=1e-4, atol=1e-3)
    assert targets.shape == (8, 9, 64, 64)
    before = shelf.chosen.clone()
    shelf.choose([0, 2])
    assert not torch.equal(before, shelf.chosen)
    shelf.choose([0, 1])
    assert torch.equal(before, shelf.chosen)
    assert 0.7 < float(shelf.tone.min()) < 1 < float(shelf.tone.max()) < 1.4


def test_a_teacher_learns_and_its_student_follows_it(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60)
    drawn = Sampler(fields(), recipe)
    source = distil.batches(drawn, range(10**6), 0)
    shelf = distil.Shelf(4, recipe.batch, CPU)
    teacher, follows, alone = learner(0), learner(1), learner(1)
    school = distil.School({"teacher": teacher}, None, shelf)
    assert distil.attend(school, source, recipe, 3, 0.0, tmp_path / "teacher.csv") == 60
    for name, taught_by, one in (("0", teacher.mean, follows), ("1", None, alone)):
        school = distil.School({name: one}, taught_by, distil.Shelf(4, recipe.batch, CPU))
        assert distil.attend(school, source, recipe, 3, 0.0, tmp_path / f"{name}.csv") == 60
    (row,) = csv.DictReader((tmp_path / "teacher.csv").open())
    assert row["step"] == "60"
    assert float(row["teacher.nucleus"]) < 1.3
    rgb = torch.from_numpy(drawn.batch(10**6)[0]).float()
    with torch.no_grad():
        taught = distil.mean_answer(teacher.mean, rgb)
        apart = [float(distil.soft_loss(one.mean(rgb), taught)) for one in (follows, alone)]
        own = float(distil.soft_loss(taught, taught))
    assert own < apart[0] < apart[1]
    saved = torch.load(tmp_path / "0.pt", weights_only=True)
    torch.testing.assert_close(saved["answer.weight"], follows.mean.state_dict()["answer.weight"])
    assert int(saved["stem.1.num_batches_tracked"]) == 60


def test_of_classes_another_network_is_heard_above_the_teacher_and_the_labels(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60)
    drawn = Sampler(fields(), recipe)
    teacher = learner(0).mean
    said: dict[float, float] = {}
    for says in (-3.0, 3.0):
        other = learner(2).mean
        torch.nn.init.zeros_(other.answer.weight[16:])
        torch.nn.init.constant_(other.answer.bias[16:], says)
        one = learner(1)
        shelf = distil.Shelf(4, recipe.batch, CPU)
        school = distil.School({"0": one}, teacher, shelf, other)
        source = distil.batches(drawn, range(10**6), 0)
        distil.attend(school, source, recipe, 3, 0.0, tmp_path / f"{says}.csv")
        images, targets = drawn.batch(10**6)
        with torch.no_grad():
            answer = one.mean(torch.from_numpy(images).float()).numpy()
        # Labels of both kinds are there, and say the same both times.
        said[says] = float(answer[:, 4][targets[:, 0] > 0.5].mean())
    assert said[-3.0] < -0.3 < 0.3 < said[3.0]


@pytest.mark.parametrize("teacher", [True, False])
def test_nobody_is_heard_who_has_learned_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], teacher: bool
) -> None:
    classes = "8/1" if teacher else "8/1=weights.pt"
    command = ["distil", "data", str(tmp_path / "work"), "--student", "plain", "--steps", "1"]
    command += ["--classes", classes, *(["--teacher-steps", "1"] if teacher else [])]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit):
        distil.main()
    assert "--classes takes =WEIGHTS, and a teacher" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_a_plain_network_goes_on_from_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = distil.student("plain")[0].state_dict()
    torch.save(weights, tmp_path / "w.pt")
    again, _ = distil.student(f"plain={tmp_path / 'w.pt'}")
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, weights[name])


def test_a_plain_network_learns_without_a_teacher(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=30)
    torch.manual_seed(0)
    network, shape = distil.student("plain")
    assert shape == "plain"
    assert 1.0e6 < sum(p.numel() for p in network.parameters()) < 1.3e6
    drawn = Sampler(fields(), recipe)
    images, targets = (torch.from_numpy(part).float() for part in drawn.batch(10**6))
    one = distil.Learner(network, recipe, CPU)

    def lost() -> float:
        with torch.no_grad():
            return float(losses(one.mean(images), targets)["nucleus"])

    before = lost()
    school = distil.School({"0": one}, None, distil.Shelf(4, recipe.batch, CPU))
    distil.attend(school, distil.batches(drawn, range(10**6), 0), recipe, 3, 0.0, tmp_path / "plain.csv")
    assert lost() < 0.9 * before


def test_a_time_in_place_of_steps_is_turned_into_steps_by_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distil, "PACE", (1, 4))
    recipe = replace(RECIPE, steps=0)
    school = distil.School({"teacher": learner()}, None, distil.Shelf(4, recipe.batch, CPU))
    source = distil.batches(Sampler(fields(), recipe), range(10**6), 0)
    done = distil.attend(school, source, recipe, 2, 3.0, tmp_path / "teacher.csv")
    printed = capsys.readouterr().out
    assert f": {done} steps" in printed
    assert done % 2 == 0
    (row,) = csv.DictReader((tmp_path / "teacher.csv").open())
    assert 1.0 < float(row["seconds"]) < 9.0


def test_a_student_is_named_by_its_shape(tmp_path: Path) -> None:
    torch.save(NucleusNet(*SMALL).state_dict(), tmp_path / "w.pt")
    network, shape = distil.student(f"8,8,16,16/1,1,1={tmp_path / 'w.pt'}")
    assert shape == "8,8,16,16/1,1,1"
    saved = torch.load(tmp_path / "w.pt", weights_only=True)
    torch.testing.assert_close(network.state_dict()["answer.weight"], saved["answer.weight"])
