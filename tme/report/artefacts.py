"""What a report is made from: the tables and settings a run and `tme associate` left in the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tme.config import Config, OutcomeSettings, settings_hash
from tme.errors import ArtefactError
from tme.safety import file_sha256
from tme.store import read_json
from tme.tables import read_csv

Row = Mapping[str, str]

READ = ("patient_metrics.csv", "pairs.csv", "slide_metrics.csv")
TESTS, FLOW = "cohort_tests.csv", "cohort_flow.csv"
SURVIVAL, OUTCOMES = "cohort_survival.csv", "cohort_outcomes.csv"
MADE = (TESTS, FLOW, SURVIVAL, OUTCOMES)
ASSOCIATED = Path("provenance") / "associate.json"
VERSIONS = Path("provenance") / "versions.json"


@dataclass(frozen=True)
class Associated:
    """The tables of `tme associate` and the settings they were made with."""

    tests: Sequence[Row]
    flow: Sequence[Row]
    survival: Sequence[Row]
    outcomes: Sequence[Row]
    settings: OutcomeSettings


@dataclass(frozen=True)
class Run:
    """A finished run, as its report reads it.

    Attributes
    ----------
    results : Path
        Where the slides' thumbnails are.
    config : Config
    slides, pairs : sequence of rows
        ``slide_metrics.csv`` and ``pairs.csv``.
    versions : dict of str to str
        Package -> version; empty where the run did not keep them.
    associated : Associated or None
        None before `tme associate`.
    stale : bool
        Whether tables that `tme associate` read or wrote have changed since; the tests are left out then.
    folders : dict of str to str
        ``slide_id`` as shown -> name of the slide's folder, where they differ.
    shared : bool
        Whether names are already replaced and the page may leave the house.
    """

    results: Path
    config: Config
    slides: Sequence[Row]
    pairs: Sequence[Row]
    versions: Mapping[str, str] = field(default_factory=dict)
    associated: Associated | None = None
    stale: bool = False
    folders: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        """The two time points compared."""
        order = self.config.cohort.timepoints
        return self.config.cohort.primary_pair or (order[0], order[min(1, len(order) - 1)])

    @property
    def family(self) -> tuple[str, ...]:
        """STAIN.metric names of the declared family."""
        named = self.associated.settings.family if self.associated else ()
        return named or self.config.change.primary_metrics

    def patients(self) -> list[str]:
        """Patients of the sheet, in order."""
        return list(dict.fromkeys(row.get("patient_id", "") for row in self.slides))

    def one_per_slide(self) -> list[Row]:
        """Each slide's first row: ``evaluable``, which every slide has."""
        first: dict[str, Row] = {}
        for row in self.slides:
            first.setdefault(row.get("slide_id", ""), row)
        return list(first.values())

    def responses(self) -> dict[str, str]:
        """Patient -> best response, where one is known."""
        rows = self.associated.outcomes if self.associated else ()
        return {row["patient_id"]: row["response"] for row in rows if row["response"]}


def read_run(results: Path, config: Config) -> Run:
    """Read a finished run.

    Raises
    ------
    ArtefactError
        If a table cannot be read.
    """
    slides, pairs = (read_csv(results / name) for name in ("slide_metrics.csv", "pairs.csv"))
    settings = _associate_settings(results)
    return Run(
        results,
        config,
        slides,
        pairs,
        _versions(results),
        None if settings is None else _associated(results, settings),
        stale=settings is None and (results / ASSOCIATED).exists(),
    )


def _associate_settings(results: Path) -> Mapping[str, Any] | None:
    """Settings of `tme associate`, if what it read and wrote is still there as it was."""
    try:
        made = read_json(results / ASSOCIATED)
        digests = {**made["tables_sha256"], **made["made_sha256"]}
        fits = digests.keys() == {*READ, *MADE} and all(
            file_sha256(results / name) == digest for name, digest in digests.items()
        )
        return (
            made["settings"] if fits and settings_hash(made["settings"]) == made["settings_sha256"] else None
        )
    except (ArtefactError, OSError, KeyError, TypeError):
        return None


def _associated(results: Path, settings: Mapping[str, Any]) -> Associated:
    tests, flow, survival, outcomes = (read_csv(results / name) for name in MADE)
    return Associated(tests, flow, survival, outcomes, OutcomeSettings.model_validate(settings))


def _versions(results: Path) -> dict[str, str]:
    try:
        found = read_json(results / VERSIONS)
        return {**found["packages"], "python": found["python"]}
    except (ArtefactError, KeyError, TypeError):
        return {}
