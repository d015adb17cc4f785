"""``report/index.html``: what changed in the cohort, in one file that asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tme.config import Config
from tme.overlay.assets import library_scripts
from tme.overlay.frame import render_page
from tme.report.artefacts import Row, Run, read_run
from tme.report.changes import Section, other_metrics, section
from tme.report.flow import flows
from tme.report.forest import forests
from tme.report.methods import methods_text
from tme.report.remark import remark
from tme.report.slides import slide_rows
from tme.report.survival import kaplan_meiers
from tme.report.tests_table import test_rows
from tme.report.waterfall import GROUPS
from tme.report.words import CALL_TITLES
from tme.store import write_text
from tme.tables import significant

PAGE = Path("report") / "index.html"
CHART_DIGITS = 6
OPEN_ROWS = 12
SHOWN_ELSEWHERE = (
    "label", "response", "compartment", "pre", "post", "pre_text", "post_text", "fold", "log2", "interval",
    "difference", "delta", "delta_interval", "call", "note",
)  # fmt: skip


def write_report(results: Path, config: Config) -> None:
    """Write ``results/report/index.html`` from the cohort's tables.

    Parameters
    ----------
    results : Path
        Holds ``slide_metrics.csv``, ``pairs.csv`` and, after `tme associate`, its tables.
    config : Config
        Says which metrics come first, for which time points and in which compartment.

    Raises
    ------
    ArtefactError
        If a table cannot be read.
    """
    write_text(results / PAGE, report_page(read_run(results, config)))


def report_page(run: Run) -> str:
    """The page of a run."""
    sections = [section(name, run) for name in run.config.change.primary_metrics]
    others = [section(name, run) for name in other_metrics(run)]
    found = run.associated
    forest = forests(found.tests, run.family) if found else []
    survival = kaplan_meiers(found.survival, found.tests) if found else []
    data = {
        "pair": [name.replace("_", " ") for name in run.pair],
        "calls": CALL_TITLES,
        "answers": bool(run.responses()),
        "metrics": {
            **{one.name: _charts(one) for one in sections},
            **{one.name: {**_charts(one), **_shown(one)} for one in others},
        },
        "forest": {one.test: asdict(one) for one in forest},
        "survival": {str(index): asdict(one) for index, one in enumerate(survival)},
    }
    scripts = [*library_scripts(), _own("report.js")]
    slides = slide_rows(run)
    return render_page(
        "tme.report",
        "report.html",
        report_style=Markup(_own("report.css")),  # noqa: S704 - a file of this package
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - Bokeh's files and one of this package
        hashes=[_csp_hash(text) for text in scripts],
        data=_rounded(data),
        run=run,
        cohort=_cohort(run),
        unfinished=[row for row in slides if row["status"] in ("failed", "excluded")],
        pair=run.pair,
        sections=sections,
        others=others,
        open_rows=OPEN_ROWS,
        flows=flows(run, sections),
        answers=_answers(run),
        forest=forest,
        survival=survival,
        tests=test_rows(found.tests) if found else [],
        slides=slides,
        slide_kinds=_slide_kinds(slides),
        methods=methods_text(run),
        remark=remark(run),
        call_titles=CALL_TITLES,
    )


def _own(name: str) -> str:
    return resources.files("tme.report").joinpath("static", name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    """What a content security policy calls a script by, so that no other one runs."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()


def _charts(one: Section) -> dict[str, Any]:
    return {
        "slope": one.slope and asdict(one.slope),
        "waterfall": one.waterfall and asdict(one.waterfall),
    }


def _shown(one: Section) -> dict[str, Any]:
    """What the page's script needs of a metric that has no section of its own."""
    changes = [{name: change[name] for name in SHOWN_ELSEWHERE} for change in one.changes]
    return {"title": one.title, "unit": one.unit, "judged": one.judged, "changes": changes}


def _rounded(value: Any) -> Any:
    """Numbers as charts need them, so that the page stays small."""
    if isinstance(value, float):
        return significant(value, CHART_DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _answers(run: Run) -> dict[str, int]:
    """Patients by best response, the best first."""
    counted = Counter(run.responses().values())
    return {name: counted[name] for name in (*GROUPS, *counted) if counted[name]}


def _cohort(run: Run) -> dict[str, Any]:
    slides = run.one_per_slide()
    status = Counter(row.get("status", "") for row in slides)
    evaluable = sum(row.get("evaluable") == "true" for row in slides)
    return {
        "patients": len(run.patients()),
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


def _slide_kinds(slides: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(value, title) of the choices above the table of slides."""
    counts = Counter(slide["status"] for slide in slides)
    titles = {
        "not_evaluable": "Not evaluable",
        "failed": "Failed",
        "excluded": "Excluded",
        "ok": "Evaluable",
    }
    kinds = [(kind, f"{title} ({counts[kind]})") for kind, title in titles.items() if counts[kind]]
    caution = sum(bool(slide["caution"]) for slide in slides)
    return [
        ("", f"All slides ({len(slides)})"),
        *kinds,
        *([("caution", f"With a caution ({caution})")] * bool(caution)),
    ]


def _counted(rows: Sequence[Row], column: str) -> list[tuple[str, int]]:
    return list(Counter(row.get(column, "") for row in rows).items())


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row.get(column, "") for row in rows} - {""})
