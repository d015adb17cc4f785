"""Variables -> rows of ``cohort_tests.csv``: every test of every metric, with who is in it and why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from tme.config import OutcomeSettings
from tme.outcomes.auroc import auroc
from tme.outcomes.correlation import spearman
from tme.outcomes.covariates import Terms, terms_of
from tme.outcomes.models import ancova, firth
from tme.outcomes.ranks import mann_whitney, wilcoxon
from tme.outcomes.select import (
    BOTH_VALUES,
    CHANGE,
    RESPONSE,
    RESPONSE_OR_NE,
    SIZE,
    Condition,
    Selection,
    entry,
    in_stratum,
    select,
    survival,
    survival_conditions,
)
from tme.outcomes.survival import AtRisk, cox
from tme.outcomes.types import ALL, DECLARED, LOG2FC, NE_COUNTED, Numbers, Result, Subject, Variable, joined
from tme.tables import significant

Run = Callable[[Sequence[Subject], Variable], Result]


@dataclass(frozen=True)
class OutcomeRow:
    """One row of ``cohort_tests.csv``; fields are its columns, in order."""

    stain: str
    compartment: str
    metric: str
    kind: str
    measure: str
    test: str
    subset: str = ALL
    adjusted_for: str = ""
    n: int = 0
    n_responder: int | None = None
    n_non_responder: int | None = None
    n_events: int | None = None
    n_left_out: int = 0
    left_out: str = ""
    effect: str = ""
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    statistic: float | None = None
    method: str = ""
    p: float | None = None
    p_smallest: float | None = None
    p_adjusted: float | None = None
    family: str = ""
    reason: str = ""
    note: str = ""

    def row(self) -> dict[str, Any]:
        """The row of the table."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: significant(value) if isinstance(value, float) else value for name, value in values.items()
        }


def associate(variables: Sequence[Variable], settings: OutcomeSettings) -> list[OutcomeRow]:
    """Every test of every metric.

    Parameters
    ----------
    variables : sequence of Variable
        From `tme.outcomes.join.variables`.
    settings : OutcomeSettings

    Returns
    -------
    list of OutcomeRow
        By variable. Metrics of the declared family are tested with NE as non-responders and in the strata
        too, and with covariates; the others in the whole cohort alone.
    """
    rows: list[OutcomeRow] = []
    for variable in variables:
        rows += _whole(variable, settings)
        if variable.declared:
            rows += _sensitivity(variable)
            rows += _strata(variable, settings)
    return adjusted(rows)


def _whole(variable: Variable, settings: OutcomeSettings) -> list[OutcomeRow]:
    rows = _tests(variable, variable.subjects, ALL)
    if variable.declared:
        rows = [replace(row, family=DECLARED) if row.test in settings.family_tests else row for row in rows]
        for name in settings.covariates and ("firth_logistic", "cox_pfs", "cox_os"):
            rows.append(_model(variable, variable.subjects, ALL, name, settings.covariates))
    return rows


def _sensitivity(variable: Variable) -> list[OutcomeRow]:
    """The tests of response with NE among the non-responders, where there is one."""
    if not any(
        one.outcome and one.outcome.response == "NE" and one.change is not None for one in variable.subjects
    ):
        return []
    return _response_tests(variable, variable.subjects, NE_COUNTED, RESPONSE_OR_NE)


def _strata(variable: Variable, settings: OutcomeSettings) -> list[OutcomeRow]:
    rows = []
    for name, endings in settings.strata.items():
        inside = [subject for subject in variable.subjects if in_stratum(subject, endings)]
        if inside:
            rows += _tests(variable, inside, name)
    return rows


def _tests(variable: Variable, subjects: Sequence[Subject], subset: str) -> list[OutcomeRow]:
    paired = select(subjects, CHANGE)
    sized = select(subjects, SIZE)
    return [
        _row(variable, subset, "wilcoxon", paired, _wilcoxon),
        *_response_tests(variable, subjects, subset, RESPONSE),
        _row(variable, subset, "spearman", sized, _spearman),
        _model(variable, subjects, subset, "cox_pfs"),
        _model(variable, subjects, subset, "cox_os"),
    ]


def _response_tests(
    variable: Variable, subjects: Sequence[Subject], subset: str, conditions: tuple[Condition, ...]
) -> list[OutcomeRow]:
    answered = select(subjects, conditions)
    rows = [
        _row(variable, subset, "mann_whitney", answered, _mann_whitney),
        _row(variable, subset, "auroc", answered, _auroc),
        _model(variable, subjects, subset, "firth_logistic", conditions=conditions),
    ]
    if variable.measure == LOG2FC:
        both = select(subjects, (*conditions, BOTH_VALUES))
        rows.append(_row(variable, subset, "ancova", both, _ancova))
    return rows


def _row(
    variable: Variable, subset: str, test: str, chosen: Selection, run: Run, adjusted_for: str = ""
) -> OutcomeRow:
    """One row: who is in it, what comes out."""
    groups = _groups(chosen.kept) if test in ("mann_whitney", "auroc", "firth_logistic", "ancova") else None
    found = _refusal(chosen, groups) or run(chosen.kept, variable)
    return OutcomeRow(
        variable.stain,
        variable.compartment,
        variable.metric.name,
        variable.metric.kind,
        variable.measure,
        test,
        subset,
        adjusted_for,
        n=len(chosen.kept),
        n_responder=None if groups is None else int(groups.sum()),
        n_non_responder=None if groups is None else int((~groups).sum()),
        n_events=found.n_events,
        n_left_out=chosen.n_left_out,
        left_out=chosen.text(),
        effect=found.effect,
        estimate=found.estimate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        statistic=found.statistic,
        method=found.method,
        p=found.p,
        p_smallest=found.p_smallest,
        reason=found.reason,
        note=joined(variable.note, found.note),
    )


def _refusal(chosen: Selection, groups: NDArray[np.bool_] | None) -> Result | None:
    """Why nothing can be asked of these patients."""
    if not chosen.kept:
        return Result(reason=f"no patient left: {chosen.text()}" if chosen.left_out else "no patient")
    if groups is not None and groups.all():
        return Result(reason="no non-responder to compare with")
    if groups is not None and not groups.any():
        return Result(reason="no responder to compare with")
    return None


def _groups(subjects: Sequence[Subject]) -> NDArray[np.bool_]:
    """Who responded; NE counts as not, where it was not left out before."""
    return np.array([bool(one.outcome and one.outcome.responder) for one in subjects], bool)


def _changes(subjects: Sequence[Subject]) -> Numbers:
    return np.array([one.change for one in subjects], float)


def _unit(variable: Variable) -> str:
    return "log2" if variable.measure == LOG2FC else variable.metric.unit or "own unit"


def _wilcoxon(subjects: Sequence[Subject], variable: Variable) -> Result:
    effect = f"Hodges–Lehmann centre of the change, {_unit(variable)}"
    return replace(wilcoxon(_changes(subjects)), effect=effect)


def _mann_whitney(subjects: Sequence[Subject], variable: Variable) -> Result:
    change, responder = _changes(subjects), _groups(subjects)
    effect = f"Hodges–Lehmann shift, responders minus others, {_unit(variable)}"
    return replace(mann_whitney(change[responder], change[~responder]), effect=effect)


def _auroc(subjects: Sequence[Subject], _: Variable) -> Result:
    change, responder = _changes(subjects), _groups(subjects)
    return replace(auroc(change[responder], change[~responder]), effect="AUROC, higher in responders")


def _ancova(subjects: Sequence[Subject], _: Variable) -> Result:
    pre, post = (
        np.array([getattr(one, name) for one in subjects], float) for name in ("log2_pre", "log2_post")
    )
    effect = "difference after treatment at equal values before, responders minus others, log2"
    return replace(ancova(pre, post, _groups(subjects)), effect=effect)


def _spearman(subjects: Sequence[Subject], _: Variable) -> Result:
    if len(subjects) < 3:
        return Result(reason="fewer than 3 patients")
    size = np.array([one.outcome.pct_change_sld for one in subjects if one.outcome], float)
    return replace(spearman(_changes(subjects), size), effect="rank correlation with pct_change_sld")


def _step(change: Numbers, variable: Variable) -> tuple[Numbers, str]:
    """The change in units of one step, and the step's name."""
    if variable.measure == LOG2FC:
        return change, "doubling"
    deviation = float(np.std(change, ddof=1)) if len(change) > 1 else 0.0
    if deviation == 0:
        return change, "standard deviation of delta_abs"
    return change / deviation, f"standard deviation of delta_abs ({deviation:.3g} {_unit(variable)})"


def _model(
    variable: Variable,
    subjects: Sequence[Subject],
    subset: str,
    test: str,
    covariates: tuple[str, ...] = (),
    conditions: tuple[Condition, ...] = RESPONSE,
) -> OutcomeRow:
    """A regression, with covariates as far as its events allow."""
    if test != "firth_logistic":
        conditions = survival_conditions(test.removeprefix("cox_"))
    chosen = select(subjects, conditions)
    terms = terms_of(covariates, chosen.kept, _events(chosen.kept, test))
    chosen = select(subjects, (*conditions, *terms.conditions))

    def run(kept: Sequence[Subject], of: Variable) -> Result:
        if covariates and not terms.names:
            return Result(reason=terms.note)
        change, per = _step(_changes(kept), of)
        found = _fit(kept, change, terms, per, test)
        return replace(found, note=joined(found.note, terms.note))

    return _row(variable, subset, test, chosen, run, " + ".join(terms.names or covariates))


def _fit(kept: Sequence[Subject], change: Numbers, terms: Terms, per: str, test: str) -> Result:
    values = terms.values(kept)
    if test == "firth_logistic":
        return firth(change, _groups(kept), values, per)
    followed = [survival(one, test.removeprefix("cox_")) for one in kept]
    at_risk = AtRisk(
        np.array([entry(one) for one in kept], float),
        np.array([days for days, _ in followed], float),
        np.array([event for _, event in followed], bool),
    )
    return cox(at_risk, change, values, per)


def _events(kept: Sequence[Subject], test: str) -> int:
    """Events that carry a model: deaths or progressions; of response the rarer of the two answers."""
    if test == "firth_logistic":
        responders = int(_groups(kept).sum())
        return min(responders, len(kept) - responders)
    return sum(bool(survival(one, test.removeprefix("cox_"))[1]) for one in kept)


def adjusted(rows: Sequence[OutcomeRow]) -> list[OutcomeRow]:
    """The rows with Benjamini-Hochberg's p within the declared family."""
    of_family = [index for index, row in enumerate(rows) if row.family == DECLARED and row.p is not None]
    out = list(rows)
    if not of_family:
        return out
    corrected = multipletests([rows[index].p for index in of_family], method="fdr_bh")[1]
    for index, p in zip(of_family, corrected, strict=True):
        note = joined(rows[index].note, f"adjusted over {len(of_family)} p-values of the family")
        out[index] = replace(rows[index], p_adjusted=float(p), note=note)
    return out
