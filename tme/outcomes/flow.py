"""Rows of ``cohort_flow.csv``: how many patients pass each step, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tme.outcomes.select import CHANGE, GIVEN, NOT_NE, OUTCOME, SIZE, Condition, select, survival_conditions
from tme.outcomes.sheet import OutcomeSheet
from tme.outcomes.types import Subject, Variable

IN_RESULTS, IN_BOTH = "in the results", "in results and outcomes.csv"


def flow_rows(
    patients: Sequence[str], sheet: OutcomeSheet, variables: Sequence[Variable]
) -> list[dict[str, Any]]:
    """The whole cohort first, then each metric of the declared family.

    Parameters
    ----------
    patients : sequence of str
        Of the results.
    sheet : OutcomeSheet
    variables : sequence of Variable
        Those not declared are passed over.
    """
    known = [found.patient_id for found in sheet.outcomes]
    both = [patient for patient in patients if patient in known]
    rows = [
        _row("in outcomes.csv", "", len(known)),
        _row(IN_BOTH, "in outcomes.csv", len(both), {"not in the results": len(known) - len(both)}),
        _row(IN_RESULTS, "", len(patients)),
        _row(IN_BOTH, IN_RESULTS, len(both), {"no outcome": len(patients) - len(both)}),
    ]
    for variable in variables:
        if variable.declared:
            keys = {
                "stain": variable.stain,
                "compartment": variable.compartment,
                "metric": variable.metric.name,
            }
            rows += [{**keys, **row} for row in _steps(variable.subjects)]
    return rows


def _steps(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """A trunk to the patients with change and outcome, and a branch for each kind of outcome."""
    pair, judged = CHANGE
    trunk: list[tuple[str, str, Sequence[Condition], Sequence[Condition]]] = [
        ("with both biopsies", IN_RESULTS, (), (pair,)),
        ("change evaluable", "with both biopsies", (pair,), (judged,)),
        ("change and outcome", "change evaluable", CHANGE, (OUTCOME,)),
        ("response CR, PR, SD or PD", "change and outcome", (*CHANGE, OUTCOME), (GIVEN, NOT_NE)),
        ("change of tumour size", "change and outcome", (*CHANGE, OUTCOME), SIZE[3:]),
    ]
    for name, shown in (("pfs", "progression"), ("os", "survival")):
        more = survival_conditions(name)[3:]
        trunk.append((f"{shown}: followed from the biopsy", "change and outcome", (*CHANGE, OUTCOME), more))
    rows = []
    for step, before, came_by, asked in trunk:
        chosen = select(select(subjects, came_by).kept, asked)
        rows.append(_row(step, before, len(chosen.kept), chosen.left_out))
    return rows


def _row(step: str, before: str, n: int, left_out: dict[str, int] | None = None) -> dict[str, Any]:
    reasons = {reason: count for reason, count in (left_out or {}).items() if count}
    return {
        "step": step,
        "step_before": before,
        "n": n,
        "n_left_out": sum(reasons.values()) if before else None,
        "left_out": ", ".join(f"{count} {reason}" for reason, count in reasons.items()),
    }
