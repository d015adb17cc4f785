"""Columns of ``outcomes.csv`` as terms of a model, no more than its events can carry.

One term in ten events: Peduzzi 1995, J Clin Epidemiol 48:1503.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from tme.errors import ConfigError, Problem
from tme.outcomes.select import Condition
from tme.outcomes.sheet import HISTOLOGY, OUTCOME_COLUMNS, OutcomeSheet
from tme.outcomes.types import Numbers, Subject, joined

EVENTS_PER_TERM = 10


@dataclass(frozen=True)
class Terms:
    """Covariates of one model.

    Attributes
    ----------
    names : tuple of str
        Covariates that are used, in the order of the configuration.
    levels : tuple of (str, str)
        One term each: the covariate, and the level that counts 1; an empty level is the number itself.
    note : str
        Which covariates were left out and why.
    """

    names: tuple[str, ...] = ()
    levels: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """A patient must have every covariate that is used."""
        return tuple((f"no {name}", _has(name)) for name in self.names)

    def values(self, subjects: Sequence[Subject]) -> Numbers | None:
        """(N, K) numbers of the terms; None without any."""
        if not self.levels:
            return None
        columns = [[_number(subject, name, level) for subject in subjects] for name, level in self.levels]
        return np.array(columns, float).T


def check_covariates(names: Sequence[str], sheet: OutcomeSheet) -> None:
    """Refuse covariates the sheet does not have, or that are outcomes themselves.

    Raises
    ------
    ConfigError
        With one `Problem` per name.
    """
    own = [name for name in sheet.columns if name == HISTOLOGY or name not in OUTCOME_COLUMNS.known]
    problems = []
    for name in names:
        if name not in own:
            near = get_close_matches(name, own, n=1, cutoff=0.5)
            fix = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(own) or 'none'}"
            problems.append(
                Problem(
                    "outcomes.covariates",
                    f"outcomes.csv has no covariate {name!r}",
                    "a model cannot be adjusted for it",
                    fix,
                )
            )
    if problems:
        raise ConfigError(problems[0].what, problems=tuple(problems))


def terms_of(covariates: Sequence[str], subjects: Sequence[Subject], events: int) -> Terms:
    """As many covariates, in order, as the events carry beside the change.

    Parameters
    ----------
    covariates : sequence of str
    subjects : sequence of Subject
        Patients of the model.
    events : int
        Of these patients.
    """
    # The change is a term itself; max(1, events / 10) terms in all.
    free = max(1, events // EVENTS_PER_TERM) - 1
    names: list[str] = []
    levels: list[tuple[str, str]] = []
    notes: list[str] = []
    for name in covariates:
        own = _levels(name, subjects)
        if not own:
            notes.append(f"{name} left out: it is the same in all")
        elif len(levels) + len(own) > free:
            allowed = f"{events} events carry {free + 1} term{'s' * (free > 0)} with the change"
            notes.append(f"{name} left out: {allowed}, at most one in {EVENTS_PER_TERM}")
        else:
            names.append(name)
            levels += own
    return Terms(tuple(names), tuple(levels), joined(*notes))


def _levels(name: str, subjects: Sequence[Subject]) -> list[tuple[str, str]]:
    """Terms of a covariate: itself where every value is a number, else one for each level but the first."""
    values = sorted({_text(subject, name) for subject in subjects} - {""})
    if len(values) < 2:
        return []
    if all(_is_number(value) for value in values):
        return [(name, "")]
    return [(name, value) for value in values[1:]]


def _has(name: str) -> Callable[[Subject], bool]:
    return lambda subject: bool(_text(subject, name))


def _text(subject: Subject, name: str) -> str:
    return subject.outcome.extra.get(name, "") if subject.outcome else ""


def _number(subject: Subject, name: str, level: str) -> float:
    text = _text(subject, name)
    return float(text) if not level else float(text == level)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
