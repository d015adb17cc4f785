"""One section per metric: who is counted, what was called, the two plots and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tme.change.compare import CALLED_KINDS
from tme.change.thresholds import DEPENDS, FOR_ALL
from tme.change.types import NOT_EVALUABLE
from tme.metrics.intervals import PHI_PRIOR
from tme.report.artefacts import Row, Run
from tme.report.numbers import (
    fold_text,
    number_text,
    signed_number_text,
    signed_text,
    value_of,
)
from tme.report.slope import Line, Slope, slope_plot
from tme.report.waterfall import Change, Waterfall, waterfall
from tme.report.words import CALL_TITLES, metric_title, unit_of

PHI_TITLE = f"too few blocks to see how cells cluster, a usual clustering is assumed ({PHI_PRIOR})"


@dataclass(frozen=True)
class Section:
    """One metric on one stain.

    Attributes
    ----------
    changes : list of dict
        One per patient and lesion, as shown in the table.
    judged : bool
        Whether changes of this metric are called at all.
    calls : list of (call, title, number)
    flow : list of (step, number)
    """

    name: str
    title: str
    unit: str
    changes: list[dict[str, Any]]
    judged: bool
    calls: list[tuple[str, str, int]]
    flow: list[tuple[str, int]]
    slope: Slope | None
    waterfall: Waterfall | None

    @property
    def noun(self) -> str:
        """What a row of the table is."""
        one = (
            "patient"
            if len({change["patient"] for change in self.changes}) == len(self.changes)
            else "lesion"
        )
        return one if len(self.changes) == 1 else f"{one}s"


def section(name: str, run: Run) -> Section:
    """The section of a STAIN.metric."""
    stain, _, metric = name.partition(".")
    rows = [
        row
        for row in run.pairs
        if (row.get("stain"), row.get("metric")) == (stain, metric)
        and (row.get("timepoint_pre") or run.pair[0], row.get("timepoint_post") or run.pair[1]) == run.pair
    ]
    responses = run.responses()
    primary = _primary(rows, run.config.change.primary_compartment)
    lesions = Counter(row.get("patient_id", "") for row in primary)
    unfit = _unfit(run.pairs, run.pair)
    shown = [
        {
            **_change(
                row, responses.get(row.get("patient_id", ""), ""), lesions[row.get("patient_id", "")] > 1
            ),
            "fit": _samples(row) not in unfit,
        }
        for row in primary
    ]
    judged = any(change["call"] for change in shown)
    calls = Counter(change["call"] for change in shown)
    log = all(row.get("kind") in CALLED_KINDS for row in primary)
    return Section(
        name,
        metric_title(stain, metric),
        unit_of(metric),
        shown,
        judged,
        [(call, title, calls.get(call, 0)) for call, title in CALL_TITLES.items()],
        _flow(shown, run.patients(), judged),
        slope_plot([line for change in shown for line in _lines(change)], log),
        waterfall([_bar(change, judged) for change in shown], judged),
    )


def other_metrics(run: Run) -> list[str]:
    """STAIN.metric names of ``pairs.csv`` that have no section of their own, by stain."""
    found = dict.fromkeys(f"{row.get('stain', '')}.{row.get('metric', '')}" for row in run.pairs)
    return [name for name in found if name not in run.config.change.primary_metrics]


def _samples(row: Row) -> tuple[str, ...]:
    """What names the two samples of a pair."""
    return tuple(row.get(name, "") for name in ("patient_id", "lesion_id", "stain", "compartment"))


def _unfit(pairs: Sequence[Row], pair: tuple[str, str]) -> set[tuple[str, ...]]:
    """Samples none of whose metrics could be called: a share of theirs may not be read as a change either."""
    calls: dict[tuple[str, ...], set[bool]] = {}
    for row in pairs:
        if row.get("change_call") and (row.get("timepoint_pre"), row.get("timepoint_post")) == pair:
            calls.setdefault(_samples(row), set()).add(row["change_call"] == NOT_EVALUABLE)
    return {samples for samples, withheld in calls.items() if withheld == {True}}


def _flow(shown: Sequence[dict[str, Any]], patients: Sequence[str], judged: bool) -> list[tuple[str, int]]:
    paired = {one["patient"] for one in shown if one["pre"] is not None and one["post"] is not None}
    called = {one["patient"] for one in shown if one["call"] not in ("", NOT_EVALUABLE)}
    steps = [
        ("Patients in the sheet", len(patients)),
        ("with a value at both time points", len(paired)),
    ]
    if judged:
        steps.append(("of these evaluable", len(called)))
    return steps


def _primary(rows: Sequence[Row], compartment: str) -> list[Row]:
    """One row per patient and lesion: the configured compartment, or tumour where both samples have it."""
    if compartment != "auto":
        return [row for row in rows if row.get("compartment") == compartment]
    chosen: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.get("patient_id", ""), row.get("lesion_id", ""))
        # As in patient_metrics.csv: a tumour area is not compared with a whole section.
        both = bool(row.get("area_pre_mm2") and row.get("area_post_mm2"))
        if row["compartment"] == "evaluable" or (row["compartment"] == "tumour" and both):
            chosen[key] = row
    return list(chosen.values())


def _change(row: Row, response: str, several: bool) -> dict[str, Any]:
    value = {column: value_of(row.get(column)) for column in row}
    lesion, patient = row.get("lesion_id", ""), row.get("patient_id", "")
    log2fc = value.get("log2fc")
    return {
        "patient": patient,
        "lesion": lesion,
        "label": f"{patient} {lesion}".strip() if several else patient,
        "response": response,
        "compartment": row.get("compartment", ""),
        "pre": value.get("value_pre"),
        "post": value.get("value_post"),
        "pre_text": number_text(value.get("value_pre")),
        "post_text": number_text(value.get("value_post")),
        "fold": fold_text(log2fc),
        "log2": log2fc,
        "log2_ends": (value.get("log2fc_ci_low"), value.get("log2fc_ci_high")),
        "log2fc": signed_text(log2fc),
        "interval": _interval(value.get("log2fc_ci_low"), value.get("log2fc_ci_high"), signed_text),
        "difference": value.get("delta_abs"),
        "difference_ends": (value.get("delta_ci_low"), value.get("delta_ci_high")),
        "delta": signed_number_text(value.get("delta_abs")),
        "delta_interval": _interval(
            value.get("delta_ci_low"), value.get("delta_ci_high"), signed_number_text
        ),
        "rc_value": value.get("rc_log2"),
        "rc": number_text(value.get("rc_log2")),
        "rc_source": row.get("rc_source", ""),
        "call": row.get("change_call", ""),
        "interval_days": value.get("interval_days"),
        "days": number_text(value.get("interval_days")),
        **_note(row.get("note", "")),
    }


def _note(note: str) -> dict[str, Any]:
    """The note in parts: the results at one threshold for all slides, whether they disagree, and the rest."""
    parts = [part for part in note.split("; ") if part]
    again = [part for part in parts if FOR_ALL in part]
    depends = [part for part in parts if part.startswith(DEPENDS)]
    rest = [part.replace(PHI_PRIOR, PHI_TITLE) for part in parts if part not in (*again, *depends)]
    return {"note": "; ".join(rest), "again": again, "depends": depends}


def _lines(change: dict[str, Any]) -> list[Line]:
    if change["pre"] is None or change["post"] is None:
        return []
    call = change["call"] if change["fit"] else NOT_EVALUABLE
    return [Line(change["label"], change["pre"], change["post"], call, _text(change))]


def _bar(change: dict[str, Any], judged: bool) -> Change:
    """A bar; what is not evaluable has a place and no height, as no change may be read from it."""
    value, ends = ("log2", "log2_ends") if judged else ("difference", "difference_ends")
    known = change[value] if change["fit"] and change["call"] != NOT_EVALUABLE else None
    low, high = change[ends] if known is not None else (None, None)
    return Change(
        change["label"],
        known,
        low,
        high,
        change["call"],
        change["response"],
        _text(change),
        change["rc_value"],
    )


def _text(change: dict[str, Any]) -> str:
    """What a chart says of a patient when pointed at."""
    parts = [f"{change['pre_text']} to {change['post_text']}"]
    if change["log2"] is not None:
        parts.append(f"{change['fold']}, log2 {change['log2fc']} ({change['interval'] or 'no interval'})")
    elif change["difference"] is not None:
        parts.append(f"{change['delta']} ({change['delta_interval'] or 'no interval'})")
    parts += [CALL_TITLES.get(change["call"], change["call"]).lower(), change["response"]]
    return "; ".join(part for part in parts if part)


def _interval(low: float | None, high: float | None, text: Callable[[float | None], str]) -> str:
    """``+0.10 to +1.20``, or empty where either end is missing."""
    return "" if low is None or high is None else f"{text(low)} to {text(high)}"
