"""``index.html``: every slide of the sheet, what became of it, and the way to its overlay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tme.overlay.frame import render_page
from tme.report.numbers import interval_text, number_text, value_of
from tme.store import write_text
from tme.tables import read_csv

Row = Mapping[str, str]

HEADLINES = (
    ("til_density_per_mm2", "til_density_ci_low", "til_density_ci_high", "TILs", "/mm²"),
    ("mvd_per_mm2", "mvd_ci_low", "mvd_ci_high", "Vessels", "/mm²"),
    ("positive_pct", "", "", "Positive", "%"),
)
STATUS_TITLES = {"ok": "Ok", "not_evaluable": "Not evaluable", "failed": "Failed", "excluded": "Excluded"}
PROBLEM_PARTS = ("what", "where", "why", "fix")


def write_index(results: Path, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Write ``results/index.html``.

    Parameters
    ----------
    results : Path
        Holds ``slide_metrics.csv`` and ``slides/``.
    outcomes : sequence of mapping
        One per slide in the order of the sheet: ``slide_id``, ``status`` and, where known, ``what``,
        ``where``, ``why``, ``fix`` (or ``reason`` in one line) and ``cautions``.

    Raises
    ------
    ArtefactError
        If the table cannot be read.
    """
    rows = _primary_rows(read_csv(results / "slide_metrics.csv"))
    slides = [_slide(results, outcome, rows.get(str(outcome["slide_id"]), {})) for outcome in outcomes]
    text = render_page(
        "tme.report",
        "index.html",
        patients=_by_patient(slides),
        counts=_counts(slides),
        n_slides=len(slides),
        titles=STATUS_TITLES,
    )
    write_text(results / "index.html", text)


def _counts(slides: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Slides by status; those that cannot carry a call count as ok too, as in the tables."""
    status = Counter(slide["status"] for slide in slides)
    counts = {name: status[name] for name in STATUS_TITLES}
    return {**counts, "ok": status["ok"] + status["not_evaluable"]}


def _primary_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """One row per slide: ``evaluable``, which every slide has and its own page shows, too."""
    chosen: dict[str, Row] = {}
    for row in rows:
        chosen.setdefault(row.get("slide_id", ""), row)
    return chosen


def _slide(results: Path, outcome: Mapping[str, Any], row: Row) -> dict[str, Any]:
    slide_id = str(outcome["slide_id"])
    folder = results / "slides" / slide_id
    status = str(outcome.get("status") or row.get("status", ""))
    reason = row.get("not_evaluable_reason", "")
    if status == "ok" and row.get("evaluable") == "false":
        status = "not_evaluable"
    known = {
        **{key: str(value) for key, value in outcome.items() if value},
        **{k: v for k, v in row.items() if v},
    }
    problem = {part: str(outcome.get(part) or "") for part in PROBLEM_PARTS}
    if not problem["what"]:
        problem["what"] = reason if status == "not_evaluable" else str(outcome.get("reason") or "")
    return {
        "slide_id": slide_id,
        "patient": known.get("patient_id", ""),
        "lesion": known.get("lesion_id", ""),
        "timepoint": known.get("timepoint", ""),
        "stain": known.get("stain", ""),
        "compartment": row.get("compartment", ""),
        "status": status,
        "problem": problem,
        "area": number_text(value_of(row.get("evaluable_area_mm2"))),
        "headlines": _headlines(row),
        "laid_on": _laid_on(results, slide_id, row),
        "cautions": list(outcome.get("cautions") or filter(None, [known.get("caution", "")])),
        "has_page": (folder / "overlay" / "index.html").is_file(),
        "has_picture": (folder / "thumbnail.jpg").is_file(),
    }


def _laid_on(results: Path, slide_id: str, row: Row) -> dict[str, str]:
    """The section whose vessels were laid on this one, how exactly, and where both are shown."""
    other = row.get("til_vessel_slide_id", "")
    picture = f"registrations/{slide_id}/{other}/picture.jpg"
    if not other or not (results / picture).is_file():
        return {}
    error = number_text(value_of(row.get("til_vessel_error_um")), 2)
    return {"slide_id": other, "error": error, "picture": picture}


def _headlines(row: Row) -> list[dict[str, str]]:
    shown = []
    for column, low, high, label, unit in HEADLINES:
        value = value_of(row.get(column))
        if value is not None:
            interval = interval_text(value_of(row.get(low)), value_of(row.get(high)))
            shown.append({"label": label, "value": number_text(value), "unit": unit, "interval": interval})
    # A share of positive cells is only worth a line where no density says more.
    return shown[:1]


def _by_patient(slides: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for slide in slides:
        groups.setdefault(slide["patient"], []).append(slide)
    return list(groups.items())
