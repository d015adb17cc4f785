"""Who is counted: the boxes of a flow diagram, a column for each metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tme.outcomes.flow import IN_RESULTS
from tme.report.artefacts import Row, Run
from tme.report.changes import Section
from tme.report.words import metric_title

TRUNK = ("with both biopsies", "change evaluable", "change and outcome")


@dataclass(frozen=True)
class Step:
    """One box: how many, and who was lost on the way to it; a leaf is one of several ways on."""

    label: str
    n: str
    lost: str
    leaf: bool = False


@dataclass(frozen=True)
class Flow:
    """The boxes of one metric."""

    title: str
    steps: tuple[Step, ...]


def flows(run: Run, sections: Sequence[Section]) -> list[Flow]:
    """After `tme associate` its own steps, before it those of each primary metric."""
    if run.associated is None:
        return [Flow(one.title, _before(one)) for one in sections]
    steps: dict[tuple[str, str], list[Row]] = {}
    for row in run.associated.flow:
        if row["metric"]:
            steps.setdefault((row["stain"], row["metric"]), []).append(row)
    start = next(
        (row["n"] for row in run.associated.flow if row["step"] == IN_RESULTS), str(len(run.patients()))
    )
    first = Step("Patients in the sheet", start, "")
    return [Flow(metric_title(*key), (first, *map(_step, rows))) for key, rows in steps.items()]


def _step(row: Row) -> Step:
    return Step(row["step"], row["n"], row["left_out"], row["step"] not in TRUNK)


def _before(section: Section) -> tuple[Step, ...]:
    steps, before = [], None
    for label, number in section.flow:
        lost = "" if before is None or before == number else f"{before - number} without"
        steps.append(Step(label, str(number), lost))
        before = number
    calls = [
        Step(title.lower(), str(n), "", True) for call, title, n in section.calls if call != "not_evaluable"
    ]
    return (*steps, *(calls if section.judged else ()))
