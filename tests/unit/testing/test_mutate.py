"""Damage is seeded, real, and never none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tme.errors import ConfigError
from tme.testing.mutate import MUTATORS, mutate


@given(st.binary(min_size=2, max_size=3000), st.sampled_from(sorted(MUTATORS)), st.integers(0, 2**40))
def test_damage_is_the_same_for_a_seed_and_always_changes_the_bytes(
    data: bytes, name: str, seed: int
) -> None:
    once = mutate(data, name, seed)
    assert once == mutate(data, name, seed)
    assert once != data
    assert len(once) == len(data) or (name == "truncate" and 1 <= len(once) < len(data))


def test_header_damage_stays_in_the_header() -> None:
    data = bytes(5000)
    assert mutate(data, "flip_header", 1)[512:] == data[512:]


def test_unknown_damage_and_too_little_to_damage_are_refused() -> None:
    with pytest.raises(ConfigError, match="burn"):
        mutate(b"abcdef", "burn", 0)
    with pytest.raises(ConfigError):
        mutate(b"a", "truncate", 0)
