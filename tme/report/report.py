"""``report/index.html``: what changed in the cohort, in one file without scripts or network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tme.change.thresholds import DEPENDS, FOR_ALL
from tme.config import Config
from tme.overlay.frame import render_page
from tme.report.numbers import (
    fold_text,
    number_text,
    percent_text,
    signed_number_text,
    signed_text,
    value_of,
)
from tme.report.slope import Line, slope_plot
from tme.store import write_text
from tme.tables import read_csv

Row = Mapping[str, str]

CALL_TITLES = {
    "increase": "Increase",
    "decrease": "Decrease",
    "within_noise": "Within noise",
    "not_evaluable": "Not evaluable",
}
METRIC_TITLES = {
    "til_density_per_mm2": "TIL density",
    "mvd_per_mm2": "Microvessel density",
}
UNITS = (("_per_mm2", "/mm²"), ("_pct", "%"), ("_area_um2", "µm²"), ("_um", "µm"))


def write_report(results: Path, config: Config) -> None:
    """Write ``results/report/index.html`` from the cohort's tables.

    Parameters
    ----------
    results : Path
        Holds ``slide_metrics.csv`` and ``pairs.csv``.
    config : Config
        Says which metrics come first, for which time points and in which compartment.

    Raises
    ------
    ArtefactError
        If a table cannot be read.
    """
    slides = read_csv(results / "slide_metrics.csv")
    pairs = read_csv(results / "pairs.csv")
    order = config.cohort.timepoints
    pair = config.cohort.primary_pair or (order[0], order[min(1, len(order) - 1)])
    text = render_page(
        "tme.report",
        "report.html",
        cohort=_cohort(slides),
        unfinished=[row for row in _one_per_slide(slides) if row.get("status") != "ok"],
        pair=pair,
        sections=[
            _section(name, pairs, pair, config.change.primary_compartment, _patients(slides))
            for name in config.change.primary_metrics
        ],
        call_titles=CALL_TITLES,
    )
    write_text(results / "report" / "index.html", text)


def _one_per_slide(rows: Sequence[Row]) -> list[Row]:
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.get("slide_id", ""), row)
    return list(first.values())


def _patients(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.get("patient_id", "") for row in rows))


def _cohort(rows: Sequence[Row]) -> dict[str, Any]:
    slides = _one_per_slide(rows)
    status = Counter(row.get("status", "") for row in slides)
    evaluable = sum(row.get("evaluable") == "true" for row in slides)
    return {
        "patients": len(_patients(rows)),
        "slides": len(slides),
        "ok": status.get("ok", 0),
        "failed": status.get("failed", 0),
        "excluded": status.get("excluded", 0),
        "not_evaluable": status.get("ok", 0) - evaluable,
        "stains": _counted(slides, "stain"),
        "timepoints": _counted(slides, "timepoint"),
        "code_version": _distinct(slides, "code_version"),
        "config_sha256": _distinct(slides, "config_sha256"),
    }


def _counted(rows: Sequence[Row], column: str) -> list[tuple[str, int]]:
    return list(Counter(row.get(column, "") for row in rows).items())


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row.get(column, "") for row in rows} - {""})


def _section(
    name: str, pairs: Sequence[Row], pair: tuple[str, str], compartment: str, patients: Sequence[str]
) -> dict[str, Any]:
    stain, _, metric = name.partition(".")
    rows = [
        row
        for row in pairs
        if (row.get("stain"), row.get("metric")) == (stain, metric)
        and (row.get("timepoint_pre") or pair[0], row.get("timepoint_post") or pair[1]) == pair
    ]
    shown = [_change(row) for row in _primary(rows, compartment)]
    # Shares and indices have a difference and no call, not even "not evaluable".
    judged = any(change["call"] for change in shown)
    calls = Counter(change["call"] for change in shown)
    with_pair = {
        change["patient"] for change in shown if change["pre"] is not None and change["post"] is not None
    }
    called = {change["patient"] for change in shown if change["call"] not in ("", "not_evaluable")}
    flow = [
        ("Patients in the sheet", len(patients), ""),
        ("with a value at both time points", len(with_pair), percent_text(len(with_pair), len(patients))),
    ]
    if judged:
        flow.append(("of these evaluable", len(called), percent_text(len(called), len(patients))))
    lines = [
        Line(change["label"], change["pre"], change["post"], change["call"])
        for change in shown
        if change["pre"] is not None and change["post"] is not None
    ]
    return {
        "name": name,
        "title": f"{METRIC_TITLES.get(metric, metric)} on {stain}",
        "unit": _unit(metric),
        "changes": shown,
        "plot": slope_plot(lines),
        "flow": flow,
        "judged": judged,
        "calls": [(call, title, calls.get(call, 0)) for call, title in CALL_TITLES.items()],
    }


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


def _change(row: Row) -> dict[str, Any]:
    value = {column: value_of(row.get(column)) for column in row}
    lesion = row.get("lesion_id", "")
    patient = row.get("patient_id", "")
    log2fc = value.get("log2fc")
    return {
        "patient": patient,
        "lesion": lesion,
        "label": f"{patient} {lesion}".strip(),
        "compartment": row.get("compartment", ""),
        "pre": value.get("value_pre"),
        "post": value.get("value_post"),
        "pre_text": number_text(value.get("value_pre")),
        "post_text": number_text(value.get("value_post")),
        "fold": fold_text(log2fc),
        "log2fc": signed_text(log2fc),
        "interval": _interval(value.get("log2fc_ci_low"), value.get("log2fc_ci_high"), signed_text),
        "delta": signed_number_text(value.get("delta_abs")),
        "delta_interval": _interval(
            value.get("delta_ci_low"), value.get("delta_ci_high"), signed_number_text
        ),
        "rc": number_text(value.get("rc_log2")),
        "rc_source": row.get("rc_source", ""),
        "call": row.get("change_call", ""),
        "days": number_text(value.get("interval_days")),
        **_note(row.get("note", "")),
    }


def _note(note: str) -> dict[str, Any]:
    """The note in parts: the results at one threshold for all slides, whether they disagree, and the rest."""
    parts = [part for part in note.split("; ") if part]
    again = [part for part in parts if FOR_ALL in part]
    depends = [part for part in parts if part.startswith(DEPENDS)]
    rest = [part for part in parts if part not in (*again, *depends)]
    return {"note": "; ".join(rest), "again": again, "depends": depends}


def _interval(low: float | None, high: float | None, text: Callable[[float | None], str]) -> str:
    """``+0.10 to +1.20``, or empty where either end is missing."""
    return "" if low is None or high is None else f"{text(low)} to {text(high)}"


def _unit(metric: str) -> str:
    return next((unit for ending, unit in UNITS if ending in metric), "")
