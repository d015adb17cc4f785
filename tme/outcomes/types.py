"""The values of the outcome room: one test's numbers, one patient with change and outcome, one metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tme.metrics.types import ColumnSpec

Numbers = NDArray[np.float64]

LEVEL = 0.05
RESPONSES = ("CR", "PR", "SD", "PD", "NE")
RESPONDER = {"CR": True, "PR": True, "SD": False, "PD": False}
LOG2FC, DELTA_ABS = "log2fc", "delta_abs"
NO_PAIR, NOT_JUDGED = "no pair", "not evaluable"
ALL, NE_COUNTED = "all", "NE as non-responder"
DECLARED = "declared"


@dataclass(frozen=True)
class Result:
    """What one test says.

    Attributes
    ----------
    method : str
        How estimate, interval and p were computed.
    effect : str
        What the estimate is, with its unit.
    estimate, ci_low, ci_high : float or None
        With the 95 % interval.
    statistic : float or None
    p : float or None
        Two-sided; None where it could not have reached .05, or was not computed.
    p_smallest : float or None
        The smallest p so many patients, with their ties, could have given.
    n_events : int or None
        For survival.
    reason : str
        Why a number is missing.
    note : str
        What to know when reading it.
    """

    method: str = ""
    effect: str = ""
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    statistic: float | None = None
    p: float | None = None
    p_smallest: float | None = None
    n_events: int | None = None
    reason: str = ""
    note: str = ""

    def honest(self) -> Result:
        """Without a p that could not have reached .05, whatever had been found."""
        if self.p is None or self.p_smallest is None or self.p_smallest <= LEVEL:
            return self
        why = f"no p-value: with so few patients or such ties it cannot be under {self.p_smallest:.2g}"
        return replace(self, p=None, reason=joined(self.reason, why))


def joined(*texts: str) -> str:
    """Texts that are there, once each, in one line."""
    return "; ".join(dict.fromkeys(text for text in texts if text))


@dataclass(frozen=True)
class Outcome:
    """One row of ``outcomes.csv``; what is not given is None or "".

    Attributes
    ----------
    response : {"", "CR", "PR", "SD", "PD", "NE"}
        Best response by RECIST.
    pct_change_sld : float or None
        Best change of the sum of longest diameters, %.
    pfs_days, os_days : float or None
        From first dose.
    pfs_event, os_event : bool or None
    first_dose_date : str
        ``YYYY-MM-DD`` or "".
    extra : dict
        Further columns as text, ``histology`` among them.
    """

    patient_id: str
    response: str = ""
    pct_change_sld: float | None = None
    pfs_days: float | None = None
    pfs_event: bool | None = None
    os_days: float | None = None
    os_event: bool | None = None
    first_dose_date: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def responder(self) -> bool | None:
        """CR or PR; None for NE and where no response is given."""
        return RESPONDER.get(self.response)


@dataclass(frozen=True)
class Subject:
    """One patient as the tests of one metric see them.

    Attributes
    ----------
    change : float or None
        log2fc or delta_abs; None where it cannot be judged.
    left_out : str
        Why there is no change.
    log2_pre, log2_post : float or None
        The two values, for ANCOVA; a count density with 0.5 added to its count.
    entry_day : int or None
        Day of the on-treatment biopsy from first dose.
    outcome : Outcome or None
        None where ``outcomes.csv`` has no such patient.
    call : str
        What was called of the change; empty for a metric that is never called.
    """

    patient_id: str
    change: float | None
    left_out: str = ""
    log2_pre: float | None = None
    log2_post: float | None = None
    entry_day: int | None = None
    outcome: Outcome | None = None
    call: str = ""


@dataclass(frozen=True)
class Variable:
    """One metric in one compartment over all patients of the results.

    Attributes
    ----------
    compartment : str
        Or ``primary``, where patients differ in the one that counts.
    measure : {"log2fc", "delta_abs"}
    subjects : tuple of Subject
    declared : bool
        Belongs to the family of the configuration.
    note : str
    """

    stain: str
    compartment: str
    metric: ColumnSpec
    measure: str
    subjects: tuple[Subject, ...]
    declared: bool = False
    note: str = ""
