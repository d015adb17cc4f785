"""Rows of ``cohort_survival.csv``: Kaplan–Meier curves from the on-treatment biopsy on, by call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from lifelines import KaplanMeierFitter

from tme.change.types import DECREASE, INCREASE, WITHIN_NOISE
from tme.outcomes.select import entry, select, survival, survival_conditions
from tme.outcomes.types import Subject, Variable
from tme.tables import significant

ENDPOINTS = ("pfs", "os")
EVERYBODY = "all"
GROUPS = (INCREASE, WITHIN_NOISE, DECREASE)


def survival_rows(variables: Sequence[Variable]) -> list[dict[str, Any]]:
    """Curves of each metric of the declared family: everybody, then each kind of call that is there.

    Parameters
    ----------
    variables : sequence of Variable
        Those not declared are passed over.

    Notes
    -----
    Time is re-zeroed at the biopsy, when the group is known: who had an event or was censored before it is
    in no curve, so that no group is credited with time its patients had to survive to be in it.
    """
    return [row for variable in variables if variable.declared for row in _of_variable(variable)]


def _of_variable(variable: Variable) -> Iterator[dict[str, Any]]:
    keys = {"stain": variable.stain, "compartment": variable.compartment, "metric": variable.metric.name}
    for endpoint in ENDPOINTS:
        kept = select(variable.subjects, survival_conditions(endpoint)).kept
        groups = [(EVERYBODY, kept), *((call, [one for one in kept if one.call == call]) for call in GROUPS)]
        for name, members in groups:
            if members:
                for row in _curve(members, endpoint):
                    yield {**keys, "endpoint": endpoint, "group": name, **row}


def _curve(members: Sequence[Subject], endpoint: str) -> Iterator[dict[str, Any]]:
    """The curve's start and one row for each day with an event or a censored patient."""
    followed = [survival(one, endpoint) for one in members]
    days = np.array([float(day or 0) - entry(one) for (day, _), one in zip(followed, members, strict=True)])
    event = np.array([bool(seen) for _, seen in followed])
    fitted = KaplanMeierFitter().fit(days, event)
    shares = fitted.survival_function_.to_numpy()[:, 0].tolist()
    ends = fitted.confidence_interval_.to_numpy().tolist()
    for day, share, (low, high), table in zip(
        fitted.event_table.index, shares, ends, fitted.event_table.itertuples(), strict=True
    ):
        # Greenwood's variance is none before the first event and after the last patient's.
        known = 0 < share < 1 and not np.isnan([low, high]).any()
        yield {
            "day": significant(float(day)),
            "n_at_risk": int(table.at_risk),
            "n_events": int(table.observed),
            "n_censored": int(table.censored),
            "survival": significant(share),
            "ci_low": significant(low) if known else None,
            "ci_high": significant(high) if known else None,
        }
