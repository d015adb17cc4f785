"""`tme associate`: a finished run and ``outcomes.csv`` -> ``cohort_tests.csv`` and the tables beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme import __version__
from tme.change import check_names
from tme.config import Config, load_config, settings_hash
from tme.errors import SheetError
from tme.locks import run_lock
from tme.outcomes.associate import OutcomeRow, associate
from tme.outcomes.columns import (
    cohort_test_columns,
    flow_columns,
    patient_outcome_columns,
    survival_columns,
)
from tme.outcomes.covariates import check_covariates
from tme.outcomes.flow import flow_rows
from tme.outcomes.join import Tables, missing_days, variables
from tme.outcomes.kaplan_meier import survival_rows
from tme.outcomes.sheet import HISTOLOGY, OutcomeSheet, read_outcomes
from tme.outcomes.types import DECLARED
from tme.pipeline.finished import finished_config, need_results
from tme.pipeline.inputs import load_run_cohort
from tme.pipeline.report_job import rewrite_report
from tme.report.artefacts import FLOW, MADE, OUTCOMES, READ, SURVIVAL, TESTS
from tme.safety import file_sha256
from tme.store import write_json
from tme.tables import read_csv, write_csv

Say = Callable[[str], None]


@dataclass(frozen=True)
class AssociateRequest:
    """What the user asked for on the command line."""

    results: Path
    outcomes: Path
    config_file: Path | None = None
    sheet: Path | None = None


def run_associate(request: AssociateRequest, say: Say) -> int:
    """Test every metric against the outcome; write the tables into the results and the report anew.

    Returns
    -------
    int
        0.

    Raises
    ------
    SheetError, ConfigError
        Before anything is computed: wrong outcomes, settings, or no results in the folder.
    ArtefactError
        If a table of the results is damaged or was changed.
    BusyError
        If a run works in the folder.
    """
    results = request.results
    need_results(results)
    with run_lock(results):
        finished = finished_config(results)
        config = _settings(finished, request.config_file)
        check_names(config.change, config.outcomes.family)
        tables = _tables(results, request.sheet, config)
        sheet = read_outcomes(request.outcomes, tables.names())
        check_covariates(config.outcomes.covariates, sheet)
        for note in sheet.notes:
            say(f"{note.severity}: {note}")
        found = variables(tables, sheet, config)
        rows = associate(found, config.outcomes)
        flow = flow_rows(tables.names(), sheet, found)
        write_csv(results / TESTS, cohort_test_columns(), [row.row() for row in rows])
        write_csv(results / FLOW, flow_columns(), flow)
        write_csv(results / SURVIVAL, survival_columns(), survival_rows(found))
        write_csv(results / OUTCOMES, patient_outcome_columns(), _outcomes(sheet, tables))
        _write_provenance(request, config)
        page = rewrite_report(results, finished)
    why = missing_days(found)
    if why:
        say(f"caution: {request.outcomes.name} · survival is not tested · {why} · give one of them")
    _tell(rows, sheet, tables, say)
    say(f"look at {page} and {results / TESTS}; who is in which test: {results / FLOW}")
    return 0


def _settings(config: Config, config_file: Path | None) -> Config:
    """Settings of the run; of a file named on the command line, only what concerns outcomes counts."""
    if config_file is None:
        return config
    return config.model_copy(update={"outcomes": load_config(config_file, with_files=False).outcomes})


def _tables(results: Path, sheet: Path | None, config: Config) -> Tables:
    dates = {}
    if sheet is not None:
        cohort = load_run_cohort(sheet, config, by_content=False)
        dates = {row.slide_id: row.biopsy_date for row in cohort.slides}
    patients, pairs, slides = (read_csv(results / name) for name in READ)
    if sheet is not None and not dates.keys() & {row["slide_id"] for row in slides}:
        raise SheetError(
            "no slide of this sheet is in the results",
            where=str(sheet),
            why="its biopsy dates belong to other slides",
            fix="name the sample sheet the results were made from",
        )
    return Tables(patients, pairs, slides, dates)


def _outcomes(sheet: OutcomeSheet, tables: Tables) -> list[dict[str, Any]]:
    """Outcomes of patients of the results, without dates and further columns."""
    return [
        {
            "patient_id": found.patient_id,
            "response": found.response,
            "pct_change_sld": found.pct_change_sld,
            "pfs_days": found.pfs_days,
            "pfs_event": found.pfs_event,
            "os_days": found.os_days,
            "os_event": found.os_event,
            "histology": found.extra.get(HISTOLOGY, ""),
        }
        for found in map(sheet.of, tables.names())
        if found is not None
    ]


def _write_provenance(request: AssociateRequest, config: Config) -> None:
    """What the tests were made from and what was made: hashes of outcomes and tables, and the settings."""
    settings = config.outcomes.model_dump(mode="json")
    write_json(
        request.results / "provenance" / "associate.json",
        {
            "tme": __version__,
            "outcomes_sha256": file_sha256(request.outcomes),
            "tables_sha256": {name: file_sha256(request.results / name) for name in READ},
            "made_sha256": {name: file_sha256(request.results / name) for name in MADE},
            "settings": settings,
            "settings_sha256": settings_hash(settings),
        },
    )


def _tell(rows: Sequence[OutcomeRow], sheet: OutcomeSheet, tables: Tables, say: Say) -> None:
    """The declared family, in the words of the table."""
    both = sum(sheet.of(patient) is not None for patient in tables.names())
    say(f"{len(tables.patients)} patients in the results, {len(sheet.outcomes)} outcomes, {both} in both")
    for row in rows:
        if row.family == DECLARED:
            say(f"{row.stain} {row.metric} ({row.compartment}) {row.test}: {_numbers(row)}")
    without = sum(row.p is None and row.test != "auroc" for row in rows)
    say(f"{len(rows)} tests; {without} have no p-value, for the reason in their row")


def _numbers(row: OutcomeRow) -> str:
    """``n 24; 0.42 (0.11 to 0.80), p .012, adjusted .06``, or the reason."""
    if row.estimate is None:
        return f"n {row.n}; {row.reason}"
    text = f"n {row.n}; {row.estimate:.3g}"
    if row.ci_low is not None and row.ci_high is not None:
        text += f" ({row.ci_low:.3g} to {row.ci_high:.3g})"
    if row.p is not None:
        text += f", p {row.p:.2g}"
    if row.p_adjusted is not None:
        text += f", adjusted {row.p_adjusted:.2g}"
    return text + (f"; {row.reason}" if row.reason else "")
