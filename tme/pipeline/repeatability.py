"""`tme repeatability`: repeats of lesions -> a frozen file of coefficients, and a page to look at.

The file carries the hash of its own content. A config names it (``change.repeatability``), and every change
called from then on takes its coefficients; one that was edited is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tme import __version__
from tme.change import SlideResult
from tme.change.repeatability import Coefficient, coefficients
from tme.config import REPEATABILITY_FORMAT, load_config, settings_hash
from tme.errors import ArtefactError, ConfigError, SheetError
from tme.metrics import Measurements, from_json
from tme.metrics.measure import EVALUABLE
from tme.pipeline.drive import RunRequest, drive
from tme.pipeline.finished import check_tables
from tme.report.repeatability import write_repeatability_page
from tme.store import SEAL, is_intact, need_folder, read_json, sealed, write_json
from tme.tables import read_csv

MEASURED = "measurements.json"
SLIDES, SETTINGS = "slide_metrics.csv", "provenance/config.yaml"
Say = Callable[[str], None]


@dataclass(frozen=True)
class RepeatabilityRequest:
    """What the user asked for on the command line.

    Attributes
    ----------
    sheet : Path
        Sample sheet or folder of the repeats' slides, or the folder of their finished results.
    output : Path
        The file of coefficients.
    results : Path
        Where the slides of a sheet are run; what is there already is not run again.
    """

    sheet: Path
    output: Path
    results: Path
    config_file: Path | None = None
    cores: int = 2


def run_repeatability(request: RepeatabilityRequest, say: Say) -> int:
    """Bring the slides to their numbers where they are not, estimate, and write file and page.

    Returns
    -------
    int
        0; 3 where slides failed, whose lesions are left out; or why the run before it stopped.

    Raises
    ------
    SheetError, ConfigError
        Before anything is computed, and for a file that is there already with other content.
    ArtefactError
        If results are damaged.
    """
    need_folder(request.output.parent)
    results, code = request.sheet, 0
    if not _finished(results):
        results = request.results
        code = drive(RunRequest(request.sheet, results, request.config_file, request.cores), say)
        if code not in (0, 3):
            return code
    slides = read_slides(results)
    found = coefficients(slides)
    if not found:
        raise SheetError(
            "no lesion was measured twice",
            where=str(request.sheet),
            why="repeats are slides of one patient, lesion, time point and stain; nothing is written",
            fix="add the repeats to the sheet, with block_id where blocks differ",
        )
    _tell(found, say)
    content = _content(found, slides, results)
    _refuse_other(request.output, content)
    whole = sealed(content)
    write_json(request.output, whole)
    page = request.output.with_suffix(".html")
    write_repeatability_page(page, found, whole[SEAL])
    say(f"wrote {request.output} (sha256 {whole[SEAL][:12]}…); look at {page}")
    if content["rc_log2"]:
        say(
            f"to call changes with it, write in your config: change: {{repeatability: {request.output.name}}}"
        )
    return code


def read_slides(results: Path) -> list[SlideResult]:
    """The slides of finished results, in the order of their sheet; the sheet's own columns are keys too.

    Raises
    ------
    ArtefactError
        If the table is not the one the run wrote, or a slide's measurements cannot be read.
    """
    check_tables(results, [SLIDES])
    slides = []
    for row in read_csv(results / SLIDES):
        if row["compartment"] != EVALUABLE:
            continue
        folder = results / "slides" / row["slide_id"]
        measurements = _measurements(folder) if (folder / MEASURED).is_file() else None
        slides.append(SlideResult(row, measurements, row["status"], row["reason"]))
    return slides


def _measurements(folder: Path) -> Measurements:
    """What was measured on a slide, if it is what its job wrote."""
    if not is_intact(folder, thorough=True):
        raise ArtefactError(
            "the files of this slide are not as the run wrote them",
            where=str(folder),
            why="damaged or edited",
            fix="put them back from a copy, or run `tme run` again, which makes them anew",
        )
    return from_json(read_json(folder / MEASURED))


def _finished(folder: Path) -> bool:
    return (folder / SLIDES).is_file() and (folder / SETTINGS).is_file()


def _content(found: Sequence[Coefficient], slides: Sequence[SlideResult], results: Path) -> dict[str, Any]:
    """What is frozen: the coefficients in use by name, everything behind them, and from what they are."""
    config = load_config(results / SETTINGS, with_files=False)
    return {
        "format": REPEATABILITY_FORMAT,
        "tme": __version__,
        "measured_with": {
            name: settings_hash(getattr(config, name))
            for name in ("tissue", "stain", "cells", "vessels", "regions", "metrics")
        },
        "slides_sha256": settings_hash(sorted(slide.key("slide_sha256") for slide in slides)),
        "rc_log2": {f"{one.stain}.{one.metric}": one.rc_log2 for one in found if one.used},
        "coefficients": [asdict(one) for one in found],
    }


def _refuse_other(path: Path, content: dict[str, Any]) -> None:
    """A frozen file is not written over, unless by the same."""
    if not path.exists():
        return
    try:
        same = read_json(path).get(SEAL) == sealed(content)[SEAL]
    except (ArtefactError, AttributeError):
        same = False
    if not same:
        raise ConfigError(
            "there is another file of that name",
            where=str(path),
            why="runs may have been called with it, and it is kept as it is",
            fix="choose another --output, or remove it",
        )


def _tell(found: Sequence[Coefficient], say: Say) -> None:
    for one in found:
        what = f"{one.stain} {one.metric}, {one.kind}: {one.n_repeats} repeats of {one.n_lesions} lesions"
        if one.rc_log2 is None:
            say(f"{what}; no coefficient: {one.reason}")
        else:
            text = f"rc_log2 {one.rc_log2:.2f} ({one.rc_low:.2f} to {one.rc_high:.2f}), s_b {one.s_b:.2f}"
            say(f"{what}; {text}" + ("" if one.used else f"; not used: {one.reason}"))
