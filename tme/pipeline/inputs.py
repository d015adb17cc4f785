"""A run's inputs: the cohort with the registered stains, and its files' fingerprints."""

from __future__ import annotations

from pathlib import Path

from tme.cells.engines import SEGMENTERS, load_engine
from tme.cohort import Cohort, load_cohort
from tme.config import Config
from tme.errors import EngineError
from tme.slide.hashing import fingerprint
from tme.stains import STAINS, stain_names


def load_run_cohort(sheet: Path, config: Config, by_content: bool = True) -> Cohort:
    """Read the sheet or folder; with ``by_content``, refuse the same bytes under two names.

    Raises
    ------
    SheetError
        With every problem of every row.
    """
    return load_cohort(sheet, config.cohort, stain_names(), fingerprint if by_content else None)


def check_engine(cohort: Cohort, config: Config) -> None:
    """Refuse before any compute an engine that cannot run here, if a slide needs it.

    Raises
    ------
    EngineError
        If its package or its weights are missing or wrong.
    """
    if not any("cells" in STAINS.get(row.stain).targets for row in cohort.slides):
        return
    segmenter = SEGMENTERS.get(config.cells.engine)
    missing = segmenter.missing()
    if missing:
        raise EngineError(missing, where=f"cells.engine: {config.cells.engine}")
    if segmenter.needs_weights:
        load_engine(config.cells)
