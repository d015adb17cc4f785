"""What a fine-tuning is given and how it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

from tests.learn.scenes import draw_scene
from tme.cells.engines._description import Calibration
from tme.cells.engines._runtime import Network
from tme.cells.instances import Decoding
from tme.learn.augment import plain_crop
from tme.learn.compare import Reader, matched, measure, table, worth
from tme.learn.field import Field
from tme.learn.targets import make_targets
from tme.learn.tuning import recipe_for, with_own_classes
from tme.slide.types import RGB

RULE = Decoding()
READER = Reader(RULE, Calibration(slope=1, intercept=0))


def knowing(*fields: Field) -> Network:
    """A network that answers these fields as they are labelled, unlabelled classes as lymphocytes."""
    answers = {plain_crop(field).rgb.tobytes(): make_targets(plain_crop(field)) for field in fields}

    def network(rgb: RGB) -> np.ndarray:
        said = answers[rgb.tobytes()]
        heat = np.clip(said.centre, 1e-4, 1 - 1e-4)
        centre = np.log(heat / (1 - heat))
        lymphocyte = np.where(said.w_lymphocyte > 0, said.lymphocyte * 4 - 2, 2)
        return np.stack([said.nucleus * 20 - 10, centre, *said.offset, lymphocyte]).astype(np.float32)

    return network


def test_only_nuclei_without_a_class_get_the_networks_answer() -> None:
    field = draw_scene(0).field()
    some = field.lymphocyte.copy()
    some[::2] = np.nan
    partly = replace(field, lymphocyte=some, certainty=np.isfinite(some).astype(np.float32))
    taught = with_own_classes(partly, matched(knowing(partly), [partly], RULE)[0])
    np.testing.assert_array_equal(taught.lymphocyte[1::2], some[1::2])
    np.testing.assert_array_equal(taught.certainty[1::2], 1)
    np.testing.assert_allclose(taught.lymphocyte[::2], 1 / (1 + np.exp(-2)), atol=0.01)
    np.testing.assert_array_equal(taught.certainty[::2], 0.5)


def test_a_right_network_is_worth_one_and_lines_say_so() -> None:
    fields = [draw_scene(seed).field() for seed in (1, 2)]
    scores = measure(matched(knowing(*fields), fields, RULE), READER)
    assert worth(scores) == pytest.approx(1, abs=0.03)
    lines = table({"before": scores, "after": scores})
    assert len(lines) == 2 + len(scores) + 1
    assert lines[-1].startswith("| **judged by** |")


def test_what_nobody_knows_is_not_counted_against_it() -> None:
    field = draw_scene(1).field()
    network = knowing(field)
    forgotten = field.instances == 3
    labels = np.where(forgotten, -1, field.instances - (field.instances > 3)).astype(np.int32)
    keep = np.arange(len(field.centres)) != 2
    less = replace(
        field,
        instances=labels,
        centres=field.centres[keep],
        lymphocyte=field.lymphocyte[keep],
        certainty=field.certainty[keep],
    )
    scores = measure(matched(network, [less], RULE), READER)
    assert scores["p"] == 1
    assert scores["r"] == 1


def test_incomplete_labels_leave_recall_alone() -> None:
    field = draw_scene(1).field(classes=False, complete=False)
    assert set(measure(matched(knowing(field), [field], RULE), READER)) == {"r"}


@pytest.mark.parametrize(("number", "steps", "used"), [(3, None, 280), (500, None, 2000), (3, 7, 7)])
def test_steps_follow_the_fields_unless_asked_for(number: int, steps: int | None, used: int) -> None:
    assert recipe_for([draw_scene(0, 64).field()] * number, steps, 5).steps == used
