"""Who a test can use: patients that pass each condition in turn, and how many did not pass which."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tme.outcomes.sheet import HISTOLOGY
from tme.outcomes.types import NO_PAIR, NOT_JUDGED, Subject

Condition = tuple[str, Callable[[Subject], bool]]
Survival = tuple[float | None, bool | None]


@dataclass(frozen=True)
class Selection:
    """Patients of one test.

    Attributes
    ----------
    kept : tuple of Subject
    left_out : dict of str to int
        Reason -> patients, in the order the conditions were asked.
    """

    kept: tuple[Subject, ...]
    left_out: dict[str, int]

    @property
    def n_left_out(self) -> int:
        """All who did not pass."""
        return sum(self.left_out.values())

    def text(self) -> str:
        """``2 no pair, 1 NE``; empty where everybody passed."""
        return ", ".join(f"{n} {reason}" for reason, n in self.left_out.items())


def select(subjects: Sequence[Subject], conditions: Sequence[Condition]) -> Selection:
    """Keep who passes all; each of the others counts under the first condition it fails."""
    left_out: dict[str, int] = {}
    kept = list(subjects)
    for reason, passes in conditions:
        failed = sum(not passes(subject) for subject in kept)
        if failed:
            left_out[reason] = failed
        kept = [subject for subject in kept if passes(subject)]
    return Selection(tuple(kept), left_out)


CHANGE: tuple[Condition, ...] = (
    (NO_PAIR, lambda subject: subject.left_out != NO_PAIR),
    (NOT_JUDGED, lambda subject: subject.change is not None),
)
OUTCOME: Condition = ("no outcome", lambda subject: subject.outcome is not None)
GIVEN: Condition = ("no response", lambda subject: bool(subject.outcome and subject.outcome.response))
NOT_NE: Condition = ("NE", lambda subject: subject.outcome is None or subject.outcome.response != "NE")
RESPONSE: tuple[Condition, ...] = (*CHANGE, OUTCOME, GIVEN, NOT_NE)
RESPONSE_OR_NE: tuple[Condition, ...] = (*CHANGE, OUTCOME, GIVEN)
BOTH_VALUES: Condition = (
    "without a log2 value",
    lambda subject: subject.log2_pre is not None and subject.log2_post is not None,
)
SIZE: tuple[Condition, ...] = (
    *CHANGE,
    OUTCOME,
    (
        "no pct_change_sld",
        lambda subject: subject.outcome is not None and subject.outcome.pct_change_sld is not None,
    ),
)


def survival_conditions(name: str) -> tuple[Condition, ...]:
    """Conditions of ``pfs`` or ``os``: follow-up known, biopsy day known, still at risk on it."""
    return (
        *CHANGE,
        OUTCOME,
        (f"no {name}_days", lambda subject: None not in survival(subject, name)),
        ("no biopsy day", lambda subject: subject.entry_day is not None),
        ("biopsy dated before the first dose", lambda subject: (subject.entry_day or 0) >= 0),
        ("event before the biopsy", lambda subject: at_risk(subject, name) or not survival(subject, name)[1]),
        ("censored before the biopsy", lambda subject: at_risk(subject, name)),
    )


def survival(subject: Subject, name: str) -> Survival:
    """(days, event) of ``pfs`` or ``os``."""
    outcome = subject.outcome
    if outcome is None:
        return None, None
    return (outcome.pfs_days, outcome.pfs_event) if name == "pfs" else (outcome.os_days, outcome.os_event)


def at_risk(subject: Subject, name: str) -> bool:
    """Whether follow-up goes on after the day of the biopsy."""
    days = survival(subject, name)[0]
    return days is not None and subject.entry_day is not None and days > entry(subject)


def entry(subject: Subject) -> float:
    """Day from which a patient is at risk: the biopsy's."""
    return float(subject.entry_day or 0)


def in_stratum(subject: Subject, endings: Sequence[str]) -> bool:
    """Whether a word of the histology ends so, without case: ``dedifferentiated liposarcoma``, ``uLMS``."""
    if subject.outcome is None:
        return False
    words = re.findall(r"\w+", subject.outcome.extra.get(HISTOLOGY, "").casefold())
    return any(word.endswith(ending.casefold()) for word in words for ending in endings)
