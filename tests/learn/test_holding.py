"""Held fields: whole patients, at least one, never all, the same from the same seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.learn.scenes import draw_scene
from tme.learn.field import Field
from tme.learn.holding import hold_out

FIELD = draw_scene(0, 64).field()


def fields(patients: list[str]) -> list[Field]:
    return [replace(FIELD, name=f"{k}", patient=patient) for k, patient in enumerate(patients)]


@given(
    st.lists(st.sampled_from("abcdef"), min_size=3, max_size=20),
    st.floats(0.05, 0.5),
    st.integers(0, 2**32),
)
def test_patients_stay_together_and_both_parts_have_fields(
    patients: list[str], share: float, seed: int
) -> None:
    given_fields = fields(patients)
    parts = hold_out(given_fields, share, seed)
    assert parts.learn
    assert parts.held
    assert {f.name for f in parts.learn} | {f.name for f in parts.held} == {f.name for f in given_fields}
    assert len(parts.learn) + len(parts.held) == len(given_fields)
    assert parts.by_patient == (len(set(patients)) > 1)
    if parts.by_patient:
        assert not {f.patient for f in parts.learn} & {f.patient for f in parts.held}
    again = hold_out(given_fields, share, seed)
    assert [f.name for f in again.held] == [f.name for f in parts.held]


@pytest.mark.parametrize(("number", "share"), [(1, 0.25), (2, 0.5), (9, 0.0)])
def test_nothing_is_held_of_too_few_or_where_nothing_is_wanted(number: int, share: float) -> None:
    parts = hold_out(fields([str(k) for k in range(number)]), share, 0)
    assert (len(parts.learn), len(parts.held)) == (number, 0)


@pytest.mark.parametrize(("number", "held"), [(3, 1), (4, 1), (8, 2), (20, 5)])
def test_a_quarter(number: int, held: int) -> None:
    assert len(hold_out(fields([str(k) for k in range(number)]), 0.25, 7).held) == held
