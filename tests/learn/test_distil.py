"""A teacher and its students: what they are given, what they keep, and that they learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

import torch

from tests.learn.scenes import draw_scene
from tme.learn.fit import Recipe, Sampler
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


def test_everybody_learns_and_students_follow_their_teacher(tmp_path: Path) -> None:
    teacher, follows, alone = learner(0), learner(1), learner(1)
    drawn = fields()
    recipe = replace(RECIPE, steps=24)
    for school, trust in (
        (distil.School(teacher, [follows], CPU), 1.0),
        (distil.School(learner(0), [alone], CPU), 0.0),
    ):
        log = tmp_path / f"{trust}.csv"
        assert distil.attend(
            school, drawn, recipe, range(24), 0, lambda _, trust=trust: trust, log, float("inf")
        )
        assert len(log.read_text().splitlines()) == 2
    rgb = torch.from_numpy(Sampler(drawn, recipe).batch(99)[0]).float()
    with torch.no_grad():
        taught = teacher.mean(rgb)
        apart = [float(distil.soft_loss(one.mean(rgb), taught)) for one in (follows, alone)]
        own = float(distil.soft_loss(taught, taught))
    assert own < apart[0] < apart[1]


def test_a_deadline_stops_it_and_what_was_learned_is_kept(tmp_path: Path) -> None:
    school = distil.School(learner(0), [learner(1)], CPU)
    assert not distil.attend(
        school, fields(), RECIPE, range(12), 0, distil.growing, tmp_path / "log.csv", 0.0
    )
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[1].startswith("1,")
    distil.save(school.students, tmp_path, "weights")
    saved = torch.load(tmp_path / "0" / "weights.pt", weights_only=True)
    NucleusNet(*SMALL).load_state_dict(saved)
    assert int(saved["stem.1.num_batches_tracked"]) == 1


def test_trust_grows_between_two_shares_of_the_steps() -> None:
    first, last = distil.TRUSTED
    assert distil.growing(first / 2) == 0
    assert distil.growing((first + last) / 2) == pytest.approx(0.5)
    assert distil.growing(1.0) == 1


def test_a_student_is_named_by_its_shape(tmp_path: Path) -> None:
    torch.save(NucleusNet(*SMALL).state_dict(), tmp_path / "w.pt")
    network, shape = distil.student(f"8,8,16,16/1,1,1={tmp_path / 'w.pt'}")
    assert shape == "8,8,16,16/1,1,1"
    saved = torch.load(tmp_path / "w.pt", weights_only=True)
    torch.testing.assert_close(network.state_dict()["answer.weight"], saved["answer.weight"])
