"""Whatever a slide's job raises is an outcome of that slide, but for what is not its fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tme.errors import BusyError, SlideError, SpaceError
from tme.pipeline.outcome import Outcome, guarded, load_outcome


def raising(error: BaseException) -> Outcome:
    def job() -> Outcome:
        raise error

    return guarded("s1", "key", job)


def test_an_error_with_a_remedy_keeps_it() -> None:
    outcome = raising(SlideError("no resolution", where="a.tif", why="w", fix="add mpp"))
    assert outcome.status == "failed"
    assert outcome.reason == "no resolution · w · add mpp"


@pytest.mark.parametrize(
    ("error", "word"), [(MemoryError(), "memory"), (ZeroDivisionError("x"), "ZeroDivisionError")]
)
def test_unexpected_errors_are_outcomes_too(error: Exception, word: str) -> None:
    assert word in raising(error).reason


@pytest.mark.parametrize("error", [SpaceError("full"), BusyError("held"), KeyboardInterrupt()])
def test_what_is_not_the_slides_fault_goes_on_up(error: BaseException) -> None:
    with pytest.raises(type(error)):
        raising(error)


def test_an_outcome_is_saved_and_a_broken_one_does_not_exist(tmp_path: Path) -> None:
    outcome = Outcome("s1", "ok", "key", cautions=("one", "two"))
    outcome.save(tmp_path)
    assert load_outcome(tmp_path) == outcome
    (tmp_path / "outcome.json").write_text('{"status": "ok"}')
    assert load_outcome(tmp_path) is None
    assert load_outcome(tmp_path / "none") is None
