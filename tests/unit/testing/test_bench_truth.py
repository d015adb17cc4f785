"""What the bench against the truth is made of, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from tme.testing.bench_truth import agreement, error_pct, filled, min_side, overlaps, spec_of, summary


def test_overlaps_of_labels_that_meet() -> None:
    one, other = np.zeros((4, 10), np.int32), np.zeros((4, 10), np.int32)
    one[0, 0:4] = 1
    one[2, 0:4] = 2
    other[0, 2:8] = 5
    pairs, common, joint = overlaps(one, other)
    assert (pairs.T.tolist(), common.tolist(), joint.tolist()) == ([[1, 5]], [2], [8])


def test_outlines_in_pixels_of_the_slide_are_filled_at_a_micrometre() -> None:
    # 0.5 µm/px: forty pixels are twenty micrometres.
    labels = filled(np.array([shapely.box(20, 40, 60, 80)], object), (60, 50))
    rows, columns = np.nonzero(labels)
    assert (rows.min(), columns.min()) == (20, 10)
    assert labels.sum() == pytest.approx(400, rel=0.12)


def test_agreement_is_one_for_equal_values_and_less_for_a_shift() -> None:
    true = np.array([1.0, 2.0, 3.0, 4.0])
    assert agreement(true, true) == pytest.approx(1)
    # Lin 1989: 2 s² / (2 s² + shift²), s² = 1.25.
    assert agreement(true, true + 1) == pytest.approx(2.5 / 3.5)


def test_small_parts() -> None:
    assert error_pct(90, 100) == -10
    assert min_side(shapely.box(0, 0, 3, 8)) == 3
    assert spec_of("CD31", 7) == spec_of("CD31", 7) != spec_of("CD31", 8)


def test_the_summary_names_the_worst_in_its_direction() -> None:
    rows = [
        {"true": 10.0, "found": 9.0, "density_error_pct": -10.0, "dice": 0.9},
        {"true": 20.0, "found": 21.0, "density_error_pct": 5.0, "dice": 0.8},
    ]
    errors, dice, agreed = summary(rows)
    assert "worst -10" in errors
    assert "worst 0.8" in dice
    assert agreed.startswith("concordance")
