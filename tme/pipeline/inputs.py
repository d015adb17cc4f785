"""A run's inputs: the cohort with the registered stains, and its files' fingerprints."""

from __future__ import annotations

from pathlib import Path

from tme.cohort import Cohort, load_cohort
from tme.config import Config
from tme.slide.hashing import fingerprint
from tme.stains import stain_names


def load_run_cohort(sheet: Path, config: Config, by_content: bool = True) -> Cohort:
    """Read the sheet or folder; with ``by_content``, refuse the same bytes under two names.

    Raises
    ------
    SheetError
        With every problem of every row.
    """
    return load_cohort(sheet, config.cohort, stain_names(), fingerprint if by_content else None)
