"""A run's inputs: the cohort with the registered stains, and what lies beside each slide."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tme.cells.engines import SEGMENTERS, load_engine
from tme.cohort import Cohort, Reading, SlideRow, load_cohort, read_cohort
from tme.config import Config, StainSettings
from tme.errors import EngineError, SlideError
from tme.pipeline.versions import STAGES
from tme.regions import Annotation, read_annotations
from tme.slide.hashing import content_sha256, fingerprint
from tme.stains import STAINS, stain_names
from tme.stains.calibration import Calibration, Frozen, frozen_for, load_calibration


def load_run_cohort(sheet: Path, config: Config, by_content: bool = True) -> Cohort:
    """Read the sheet or folder; with ``by_content``, refuse the same bytes under two names.

    Raises
    ------
    SheetError
        With every problem of every row.
    """
    return load_cohort(sheet, config.cohort, stain_names(), fingerprint if by_content else None)


def read_run_cohort(sheet: Path, config: Config) -> Reading:
    """The sheet or folder with its problems, for who wants to know of the slides all the same.

    Raises
    ------
    SheetError
        If there is no row to read.
    """
    return read_cohort(sheet, config.cohort, stain_names(), fingerprint)


def check_engine(rows: Iterable[SlideRow], config: Config) -> None:
    """Refuse before any compute an engine that cannot run here, if one of these slides needs it.

    Raises
    ------
    EngineError
        If its package or its weights are missing.
    ConfigError
        If there is no such engine, or its weights are not the ones pinned.
    """
    if not any("cells" in STAINS.get(row.stain).targets for row in rows):
        return
    segmenter = SEGMENTERS.get(config.cells.engine)
    missing = segmenter.missing()
    if missing:
        raise EngineError(missing, where=f"cells.engine: {config.cells.engine}")
    if segmenter.needs_weights:
        load_engine(config.cells)


def engine_version(config: Config) -> str:
    """Version of the package the engine of the settings depends on; empty where there is none.

    `check_engine` tells of a package or an engine that is missing.
    """
    name = config.cells.engine
    # A plug-in may have been written before engines named one.
    package = getattr(SEGMENTERS.get(name), "package", "") if name in SEGMENTERS.names() else ""
    try:
        return version(package) if package else ""
    except PackageNotFoundError:
        return ""


def slide_annotations(row: SlideRow, config: Config) -> tuple[Annotation, ...]:
    """The annotations the sheet names for this slide; see `tme.regions.read_annotations`."""
    return read_annotations(row.annotations, config.regions.aliases) if row.annotations else ()


def frozen_threshold(row: SlideRow, config: Config) -> Frozen | None:
    """What the calibration of the settings has for this slide; None without one, and on H&E.

    Raises
    ------
    ConfigError
        If the file is not whole.
    """
    if not config.stain.calibration or STAINS.get(row.stain).kind != "dab":
        return None
    calibration = _loaded(config.stain.calibration, config.stain.calibration_sha256)
    return frozen_for(calibration, row.stain, row.batch, STAGES)


@lru_cache(maxsize=4)
def _loaded(path: str, _sha256: str | None) -> Calibration:
    return load_calibration(Path(path))


def own_stain_settings(config: Config) -> StainSettings:
    """Settings of the stain without the calibration, which counts by what it has for a slide."""
    return config.stain.model_copy(update={"calibration": None, "calibration_sha256": None})


def checked_sha256(row: SlideRow) -> str:
    """sha256 of the slide's every byte.

    Raises
    ------
    SlideError
        If the sheet expects another one, or the file cannot be read.
    """
    content = content_sha256(row.path)
    if row.sha256 and row.sha256 != content:
        raise SlideError(
            "the file is not the one the sheet names",
            where=row.path.name,
            why=f"sha256 {content[:16]}… instead of {row.sha256[:16]}…",
            fix="find out whether the file was changed or damaged, then mend the sheet or the file",
        )
    return content
