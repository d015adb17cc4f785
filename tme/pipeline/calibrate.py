"""`tme calibrate`: control slides -> thresholds, frozen in a hashed file the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tme import __version__
from tme.cohort import SlideRow, read_controls
from tme.config import Config, StainSettings, load_config
from tme.errors import ConfigError, Problem, SlideError, TmeError
from tme.pipeline.inputs import checked_sha256
from tme.pipeline.versions import STAGES
from tme.slide.hashing import fingerprint
from tme.slide.open import open_slide
from tme.slide.preflight import preflight
from tme.stains import STAINS, StainProfile, stain_names
from tme.stains.calibration import Control, Entry, calibration_json, combine, control_of
from tme.stains.estimate import estimate_profile
from tme.store import SEAL, write_json
from tme.tissue import find_tissue

Say = Callable[[str], None]


@dataclass(frozen=True)
class CalibrateRequest:
    """What the user asked for on the command line."""

    sheet: Path
    output: Path
    config_file: Path | None = None


def run_calibrate(request: CalibrateRequest, say: Say) -> int:
    """Read every control slide and write the frozen thresholds.

    Returns
    -------
    int
        0, or 3 where some controls gave no threshold; they are said, and the file is without them.

    Raises
    ------
    SheetError, ConfigError
        Before any slide is read: a wrong sheet or wrong settings, or a file that is there already.
    SlideError
        If no control slide gives a threshold.
    """
    config = load_config(request.config_file)
    rows = read_controls(request.sheet, config.cohort, stain_names(), fingerprint)
    _free(request.output)
    groups: dict[tuple[str, str], list[Control]] = {}
    problems: list[Problem] = []
    for row in rows:
        try:
            control = _control(row, config)
        except TmeError as error:
            problems += error.problems
            say(f"left out: row {row.sheet_row} {row.slide_id}: {error}")
            continue
        groups.setdefault((row.stain, row.batch), []).append(control)
        cut = _told(control.threshold_od, control.low_od, control.high_od)
        say(f"row {row.sheet_row} {row.slide_id}: {cut}")
    if not groups:
        raise SlideError(
            "no control slide gives a threshold",
            where=request.sheet.name,
            why=problems[0].what,
            fix="mend what is said of each slide above, or name other controls",
        )
    entries = [combine(stain, batch, controls) for (stain, batch), controls in sorted(groups.items())]
    settings = {"tissue": config.tissue, "stain": _read_with(config)}
    content = calibration_json(
        entries,
        {name: section.model_dump(mode="json") for name, section in settings.items()},
        {"tme": __version__, "stages": {name: STAGES[name] for name in settings}},
    )
    write_json(request.output, content)
    _tell(entries, request.output, content[SEAL], say)
    return 3 if problems else 0


def _free(output: Path) -> None:
    if output.exists():
        raise ConfigError(
            "this file is there already",
            where=str(output),
            why="runs may name it, and a frozen threshold is never changed under them",
            fix="name another file with -o, or remove this one",
        )


def _read_with(config: Config) -> StainSettings:
    """The settings controls are read with: each gives its own cut, whatever the settings would use."""
    own = {"calibration": None, "calibration_sha256": None, "dab_threshold_od": None}
    return config.stain.model_copy(update=own)


def _control(row: SlideRow, config: Config) -> Control:
    """The control of one row.

    Raises
    ------
    SlideError
        If the slide cannot be used, or gives no threshold of its own.
    """
    stain = STAINS.get(row.stain)
    if stain.kind != "dab":
        raise SlideError(f"{row.stain} has no DAB threshold", where=row.path.name, fix="remove the row")
    found = preflight(row.path, row.mpp, stain.targets[0]).problems
    errors = tuple(problem for problem in found if problem.severity == "error")
    if errors:
        raise SlideError("the slide cannot be used", problems=errors)
    sha256 = checked_sha256(row)
    slide = open_slide(row.path, row.mpp)
    try:
        tissue = find_tissue(slide, config.tissue)
        profile = estimate_profile(slide, tissue, stain, _read_with(config))
    finally:
        slide.close()
    _fit(row, profile)
    return control_of(row.slide_id, sha256, profile)


def _fit(row: SlideRow, profile: StainProfile) -> None:
    """Refuse a slide that cannot stand for others."""
    strange = [caution for caution in profile.cautions if caution.startswith("does not look like")]
    why = "; ".join(filter(None, [*strange, profile.threshold_note]))
    if why or profile.slide_threshold_od is None:
        raise SlideError(
            "the slide is no control to read a threshold from",
            where=row.path.name,
            why=why,
            fix="use a section of the stain named, with unstained nuclei and without pigment",
        )


def _told(value: float, low: float, high: float) -> str:
    return f"{value:.3f} OD ({low:.3f} to {high:.3f})"


def _tell(entries: Sequence[Entry], output: Path, sha256: str, say: Say) -> None:
    for entry in entries:
        batch = f"batch {entry.batch}" if entry.batch else "every batch without its own"
        count = len(entry.controls)
        few = "" if entry.sd_source == "controls" else "; few: how far slides differ is taken from experience"
        say(
            f"{entry.stain}, {batch}: {_told(entry.threshold_od, entry.low_od, entry.high_od)}"
            f" from {count} control slide{'' if count == 1 else 's'}{few}"
        )
    say(f"wrote {output} (sha256 {sha256[:16]}…); name it under stain.calibration in the settings")
