"""The curve of probability: it finds what made the labels, and says what share is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")

from tests.learn.scenes import draw_scene
from tme.cells.engines._description import Calibration
from tme.cells.instances import Decoding, Instances
from tme.learn import calibrate
from tme.learn.augment import plain_crop
from tme.learn.calibrate import Called, called, expected_error, fit_curve, reliability
from tme.learn.score import Answered, Matched
from tme.learn.teaching import _calibrated, moved
from training.publish import tells_classes

TRUE = Calibration(slope=1.4, intercept=-1.3, peak=1.7, size=-1.2, size_squared=-1.4)


def drawn(curve: Calibration, count: int = 20_000) -> Called:
    rng = np.random.default_rng(0)
    logit, sure, size = rng.normal(0, 2, count), rng.normal(0, 1, count), rng.normal(0, 0.6, count)
    probability = 1 / (1 + np.exp(-curve.logit(logit, sure, size)))
    truth = (rng.random(count) < probability).astype(float)
    return Called("drawn", logit, sure, size, truth, np.ones(count))


def test_the_curve_is_the_one_that_made_the_labels() -> None:
    curve = fit_curve([drawn(TRUE)])
    for name in ("slope", "peak", "intercept", "size", "size_squared"):
        assert getattr(curve, name) == pytest.approx(getattr(TRUE, name), abs=0.1)


def test_what_the_size_counts_can_be_given() -> None:
    curve = fit_curve([drawn(TRUE)], (TRUE.size, TRUE.size_squared))
    assert (curve.size, curve.size_squared) == (TRUE.size, TRUE.size_squared)
    assert curve.slope == pytest.approx(TRUE.slope, abs=0.1)
    plain = fit_curve([drawn(TRUE)], (0.0, 0.0))
    assert (plain.size, plain.size_squared) == (0, 0)


def test_neither_a_fragment_nor_a_giant_is_as_likely_a_lymphocyte() -> None:
    areas = np.array([8, 25, 35, 120]) / 35
    small, lymphocyte, typical, giant = TRUE.logit(np.ones(4), np.ones(4), np.log(areas))
    assert small < typical < lymphocyte
    assert giant < typical


def test_it_says_what_share_is_right() -> None:
    rows = drawn(TRUE)
    curve = fit_curve([rows])
    probability = 1 / (1 + np.exp(-curve.logit(rows.logit, rows.sure, rows.size)))
    assert expected_error(reliability(probability, rows.truth, rows.weight)) < 0.02


def test_a_sure_nucleus_is_never_less_likely_a_lymphocyte() -> None:
    rows = drawn(TRUE)
    assert fit_curve([replace(rows, sure=-rows.sure)]).peak == 0


def test_a_field_of_which_hardly_any_nucleus_has_a_class_tells_none() -> None:
    field = draw_scene(3).field()

    def seen(share: float) -> Matched:
        classes = np.where(np.arange(len(field.lymphocyte)) < share * len(field.lymphocyte), 1.0, np.nan)
        crop = plain_crop(replace(field, lymphocyte=classes.astype(np.float32)))
        nothing = np.zeros(0, np.float32)
        shape = crop.valid.shape
        found = Instances(np.zeros(shape, np.int32), np.zeros(shape, np.float32), nothing, nothing)
        answered = Answered(field, crop, np.zeros((5, *crop.valid.shape), np.float32))
        return Matched(answered, found, np.zeros((0, 2), np.int64), nothing)

    assert [tells_classes(seen(share)) for share in (0.0, 0.1, 0.5)] == [True, False, True]


def test_a_fine_tuned_network_keeps_what_the_size_of_a_lymphocyte_counts() -> None:
    field = draw_scene(4).field()
    crop = plain_crop(field)
    count = len(crop.centres)
    rng = np.random.default_rng(0)
    found = Instances(
        np.zeros(crop.valid.shape, np.int32),
        np.zeros(crop.valid.shape, np.float32),
        rng.uniform(0.3, 0.9, count).astype(np.float32),
        (rng.normal(0, 1, count) + 2 * (crop.lymphocyte == 1) - 1).astype(np.float32),
    )
    answered = Answered(field, crop, np.zeros((5, *crop.valid.shape), np.float32))
    pairs = np.column_stack([np.arange(count)] * 2)
    many = [Matched(answered, found, pairs, np.zeros(0))] * 40
    curve, _ = _calibrated(many, TRUE)
    assert (curve.size, curve.size_squared, curve.least) == (TRUE.size, TRUE.size_squared, TRUE.least)
    assert curve.slope != TRUE.slope


def test_what_was_found_beside_complete_labels_is_no_lymphocyte() -> None:
    field = draw_scene(3).field()
    crop = plain_crop(field)
    found = Instances(
        np.zeros(crop.valid.shape, np.int32),
        np.zeros(crop.valid.shape, np.float32),
        np.array([0.9, 0.3], np.float32),
        np.array([2.0, 1.0], np.float32),
    )
    lymphocyte = int(np.flatnonzero(field.lymphocyte == 1)[0])
    answered = Answered(field, crop, np.zeros((5, *crop.valid.shape), np.float32))
    rows = called([Matched(answered, found, np.array([[0, lymphocyte]]), np.zeros(0))])[0]
    np.testing.assert_array_equal(rows.truth, [1, 0])
    np.testing.assert_array_equal(rows.weight, [1, 1])
    assert rows.sure[0] > 0 > rows.sure[1]


def test_a_network_grown_surer_calls_the_same_lymphocytes() -> None:
    field = draw_scene(4).field()
    crop = plain_crop(field)
    count = len(crop.centres)
    rng = np.random.default_rng(0)
    logit, peak = rng.normal(0, 2, count).astype(np.float32), rng.uniform(0.3, 0.6, count)

    def seen(higher: float) -> Matched:
        odds = peak / (1 - peak) * np.exp(higher)
        height = (odds / (1 + odds)).astype(np.float32)
        nothing = np.zeros(crop.valid.shape, np.int32)
        found = Instances(nothing, nothing.astype(np.float32), height, logit)
        answered = Answered(field, crop, np.zeros((5, *crop.valid.shape), np.float32))
        return Matched(answered, found, np.column_stack([np.arange(count)] * 2), np.zeros(0))

    curve = Calibration(slope=1.4, intercept=-1.3, peak=1.7, least=0.4)
    before, after = seen(0.0), seen(1.5)
    called_then = curve.score(before.instances) >= 0
    assert (curve.score(after.instances) >= 0).sum() > called_then.sum()
    again = moved(curve, [before], [after])
    np.testing.assert_array_equal(again.score(after.instances) >= 0, called_then)
    assert moved(curve, [before], []) == curve


def test_weights_made_before_peaks_counted_read_as_they_did() -> None:
    curve = Calibration.model_validate_json('{"slope": 2, "intercept": -1}')
    found = Instances(
        np.zeros((2, 2), np.int32),
        np.zeros((2, 2), np.float32),
        np.array([0.2], np.float32),
        np.ones(1, np.float32),
    )
    np.testing.assert_allclose(curve.score(found), 1.0)


@pytest.mark.parametrize(("worth_of_8", "chosen"), [(0.8004, 6.0), (0.82, 8.0)])
def test_of_sizes_worth_the_same_the_smallest_is_chosen(
    monkeypatch: pytest.MonkeyPatch, worth_of_8: float, chosen: float
) -> None:
    monkeypatch.setattr(calibrate, "match", lambda _, rule: rule)
    worths = {4.0: 0.79, 6.0: 0.8, 8.0: worth_of_8}
    scene = Answered(draw_scene(1).field(), None, None)
    rule = calibrate.search_decoding([scene], Decoding(), lambda rules: worths[rules[0].least_um2])
    assert rule.least_um2 == chosen
