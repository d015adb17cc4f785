"""The REMARK checklist for studies of tumour markers, filled from the run; what the run cannot know is a gap.

McShane et al. 2005 (J Natl Cancer Inst 97:1180); Altman et al. 2012 (PLoS Med 9:e1001216). The items are
named here in a few words of tme's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tme.report.artefacts import Row, Run
from tme.report.words import counted, metric_title

FILLED, PARTLY, GAP = "filled", "partly", "gap"
AUTHORS = "For the authors to write."
BEFORE = "Known after `tme associate`."


@dataclass(frozen=True)
class Item:
    """One item: what is asked, what the run says, what is missing."""

    number: int
    topic: str
    state: str
    known: str
    missing: str


def remark(run: Run) -> list[Item]:
    """The twenty items in order."""
    return [
        _item(number, topic, known, missing) for number, (topic, known, missing) in enumerate(_items(run), 1)
    ]


def _item(number: int, topic: str, known: str, missing: str) -> Item:
    state = FILLED if not missing else PARTLY if known else GAP
    return Item(number, topic, state, known, missing)


def _items(run: Run) -> list[tuple[str, str, str]]:
    return [*_introduction(run), *_design(run), *_results(run), *_discussion(run)]


def _introduction(run: Run) -> list[tuple[str, str, str]]:
    rows = run.one_per_slide()
    kinds = Counter(row["specimen_type"] for row in rows if row.get("specimen_type"))
    material = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    markers = ", ".join(metric_title(*name.split(".", 1)) for name in run.config.change.primary_metrics)
    repeats = {row.get("rc_source", "") for row in run.pairs} & {"repeats", "config"}
    assay = "See Methods: segmentation, thresholds, quality control and evaluability are those of this run."
    reproducible = "Repeatability was measured." if repeats else ""
    return [
        (
            "Marker, objectives, hypotheses",
            f"Primary markers: {markers}.",
            "Objectives and hypotheses set before the study.",
        ),
        (
            "Patients: source, inclusion, exclusion",
            f"{counted(len(run.patients()), 'patient')} in the sheet.",
            "Source and criteria.",
        ),
        ("Treatments and how they were chosen", "", AUTHORS),
        (
            "Specimens: material, preservation",
            f"Material: {material}." if material else "",
            "Fixation, storage and controls."
            if material
            else "specimen_type is not in the sample sheet; fixation, storage and controls.",
        ),
        (
            "Assay: protocol, quality control, reproducibility, blinding",
            f"{assay} {reproducible}".strip(),
            "Antibodies, clones and staining protocol; blinding to outcome."
            + ("" if repeats else " Repeatability was assumed, not measured: run `tme repeatability`."),
        ),
    ]


def _design(run: Run) -> list[tuple[str, str, str]]:
    found = run.associated
    follow = _follow_up(run)
    endpoints = _endpoints(run)
    metrics = dict.fromkeys(f"{row.get('stain')}.{row.get('metric')}" for row in run.pairs)
    return [
        (
            "Study design and follow-up",
            follow,
            "Prospective or retrospective, period, matching."
            + ("" if follow else f" Follow-up: {BEFORE[0].lower()}{BEFORE[1:]}"),
        ),
        (
            "Clinical end points",
            endpoints,
            "Definition of each end point and of its start." if endpoints else f"{BEFORE} Definitions.",
        ),
        (
            "All candidate variables",
            f"{len(metrics)} metrics were measured, {len(run.family)} of them declared as the family; all "
            "are in pairs.csv and cohort_tests.csv."
            if found
            else f"{len(metrics)} metrics were measured; all are in pairs.csv.",
            "Clinical variables considered.",
        ),
        (
            "Rationale for sample size",
            f"{counted(len(run.patients()), 'patient')}.",
            "Why so many; what effect they can show.",
        ),
        (
            "Statistical methods",
            "See Methods. Missing values were counted, never filled in."
            if found
            else "See Methods for the change of each patient.",
            "" if found else BEFORE,
        ),
        (
            "How marker values were handled; cut points",
            "Continuous: log2 fold change or difference, no cut point was sought. Calls use a threshold set "
            "by repeatability, not by outcome.",
            "",
        ),
    ]


def _results(run: Run) -> list[tuple[str, str, str]]:
    found = run.associated
    if found is None:
        gap = [("Relation to standard prognostic variables", "", BEFORE), ("Univariable effects", "", BEFORE),
               ("Multivariable effects", "", BEFORE), ("Effects beside standard variables", "", BEFORE),
               ("Further investigations", "", BEFORE)]  # fmt: skip
        return [
            ("Flow of patients", "See Who is counted.", f"Events. {BEFORE}"),
            (
                "Distributions",
                "Markers: see the plots and tables of each metric.",
                "Age, sex and prognostic variables.",
            ),
            *gap,
        ]
    alone = [row for row in found.tests if not row["adjusted_for"] and row["subset"] == "all"]
    shown = sum(bool(row["estimate"]) for row in alone)
    bounded = sum(bool(row["estimate"] and row["ci_low"]) for row in alone)
    adjusted = [row for row in found.tests if row["adjusted_for"]]
    estimated = [row for row in adjusted if row["estimate"]]
    subsets = sorted({row["subset"] for row in found.tests} - {"all"})
    why = next((row["reason"] for row in adjusted if row["reason"]), "outcomes.covariates names no covariate")
    with_models = f"{len(estimated)} models with covariates." if estimated else ""
    return [
        ("Flow of patients", f"See Who is counted. {_events(found.tests)}".strip(), ""),
        (
            "Distributions",
            "Markers: see the plots and tables of each metric.",
            "Age, sex and prognostic variables.",
        ),
        ("Relation to standard prognostic variables", "", "Not tested by tme."),
        (
            "Univariable effects",
            f"{shown} estimates, {bounded} of them with intervals: see Change beside outcome.",
            "" if shown else "No estimate.",
        ),
        ("Multivariable effects", with_models, "" if estimated else f"None: {why}."),
        (
            "Effects beside standard variables",
            with_models,
            "Standard prognostic variables." if estimated else f"None: {why}.",
        ),
        (
            "Further investigations",
            f"Sensitivity and subsets: {', '.join(subsets)}." if subsets else "",
            "Proportional hazards are not tested; no validation.",
        ),
    ]


def _discussion(run: Run) -> list[tuple[str, str, str]]:
    limits = "What these tests cannot say stands under Change beside outcome." if run.associated else ""
    return [("Interpretation and limitations", limits, AUTHORS), ("Implications", "", AUTHORS)]


def _follow_up(run: Run) -> str:
    """Median follow-up of patients seen without the event, by end point."""
    if run.associated is None:
        return ""
    said = []
    for name, title in (("pfs", "progression"), ("os", "survival")):
        days = [
            float(row[f"{name}_days"])
            for row in run.associated.outcomes
            if row[f"{name}_event"] == "false" and row[f"{name}_days"]
        ]
        if days:
            said.append(f"{title}: {len(days)} censored, median {median(days):.0f} days from first dose")
    return "Follow-up of censored patients: " + "; ".join(said) + "." if said else ""


def _endpoints(run: Run) -> str:
    if run.associated is None:
        return ""
    columns = {
        "response": "best response",
        "pct_change_sld": "best change of tumour size",
        "pfs_days": "progression-free survival",
        "os_days": "overall survival",
    }
    given = [
        f"{title} ({counted(n, 'patient')})"
        for column, title in columns.items()
        if (n := sum(bool(row[column]) for row in run.associated.outcomes))
    ]
    return "Given: " + ", ".join(given) + "." if given else ""


def _events(tests: Sequence[Row]) -> str:
    parts = []
    for test, title in (("cox_pfs", "progression"), ("cox_os", "death")):
        row = next((one for one in tests if one["test"] == test and one["subset"] == "all"), None)
        if row is not None and row["n_events"]:
            parts.append(
                f"{counted(int(row['n_events']), 'event')} of {title} in {counted(int(row['n']), 'patient')}"
            )
    return f"{'; '.join(parts)}." if parts else ""
