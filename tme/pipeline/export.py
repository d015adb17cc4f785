"""`tme export`: finished slides -> files that other programs open."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tme import __version__
from tme.config import settings_hash
from tme.errors import ConfigError
from tme.export.formats import FORMATS, NGFF_VERSIONS, ExportOptions, Format, JoinedFormat
from tme.export.published import read_published
from tme.locks import run_lock
from tme.pipeline.outcome import Outcome, guarded
from tme.store import need_folder, new_artefact, read_manifest
from tme.tables import read_csv

Say = Callable[[str], None]
SOME_FAILED = 3
PARTS = ".parts"


@dataclass(frozen=True)
class ExportRequest:
    """What was asked for on the command line; see ``tme export --help``."""

    results: Path
    to: str
    output: Path
    slides: tuple[str, ...] = ()
    together: bool = False
    ngff: str = NGFF_VERSIONS[0]


def run_export(request: ExportRequest, say: Say) -> int:
    """Export every slide asked for; one that cannot be is named and stops no other.

    Returns
    -------
    int
        0, or 3 if a slide failed, in the run or here.

    Raises
    ------
    ConfigError
        Before anything is written: no results, an unknown format or slide, a used output folder, or a
        package that is not installed.
    BusyError
        If a run works in the folder.
    """
    form = _format(request)
    known = _slides(request.results)
    chosen = _chosen(request, [row["slide_id"] for row in known])
    _check_output(request.output)
    options = ExportOptions(request.ngff)
    with _reading(request.results):
        need_folder(request.output)
        base = request.output / PARTS if request.together else request.output
        outcomes = [
            _one(row, request, form, options, base / row["slide_id"])
            for row in known
            if row["slide_id"] in chosen
        ]
    done = [outcome.slide_id for outcome in outcomes if outcome.status == "ok"]
    if request.together and isinstance(form, JoinedFormat):
        form.join([base / slide_id for slide_id in done], request.output)
        shutil.rmtree(base, ignore_errors=True)
    return _tell(outcomes, request, say)


def _format(request: ExportRequest) -> Format:
    form = FORMATS.get(request.to)
    if request.ngff not in NGFF_VERSIONS:
        raise ConfigError(
            f"there is no OME-Zarr {request.ngff} here",
            where="--ngff",
            why=f"known: {', '.join(NGFF_VERSIONS)}",
            fix="leave the option out, or use one of these",
        )
    if request.together and not isinstance(form, JoinedFormat):
        raise ConfigError(
            f"{request.to} has one file per slide",
            where="--together",
            why="only anndata can hold many slides in one file",
            fix="leave --together out",
        )
    reason = form.missing()
    if reason:
        what, _, fix = reason.partition(": ")
        raise ConfigError(what, where=f"--to {request.to}", why="it is an optional part of tme", fix=fix)
    return form


def _slides(results: Path) -> list[dict[str, str]]:
    """One row a slide of ``slide_metrics.csv``, in the sheet's order."""
    table = results / "slide_metrics.csv"
    if not table.is_file():
        raise ConfigError(
            "this is not a folder of finished results",
            where=str(results),
            why=f"it has no {table.name}",
            fix="name the folder that `tme run … -o` wrote, or run it to its end",
        )
    found: dict[str, dict[str, str]] = {}
    for row in read_csv(table):
        found.setdefault(row["slide_id"], row)
    return list(found.values())


def _chosen(request: ExportRequest, known: Sequence[str]) -> set[str]:
    for name in request.slides:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ConfigError(
                "there is no slide of this name in the results",
                where=f"--slide {name}",
                why="slide_metrics.csv does not name it",
                fix=f"did you mean {close[0]}?" if close else "see the column slide_id of slide_metrics.csv",
            )
    return set(request.slides or known)


def _check_output(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(
            "the output is there and not an empty folder",
            where=str(output),
            why="an export never mixes with or replaces other files",
            fix="name a new folder, or empty this one",
        )


def _reading(results: Path) -> contextlib.AbstractContextManager[object]:
    """Keeps a run from changing the slides meanwhile; an archive nobody can write needs no lock."""
    return run_lock(results) if os.access(results, os.W_OK) else contextlib.nullcontext()


def _one(
    row: dict[str, str], request: ExportRequest, form: Format, options: ExportOptions, target: Path
) -> Outcome:
    slide_id, status = row["slide_id"], row["status"]
    if status != "ok":
        return Outcome(slide_id, status, "", f"{status} in the run", why=row["reason"])
    folder = request.results / "slides" / slide_id
    inputs = {"slide": _key(folder), "to": request.to, "options": asdict(options), "version": form.version}

    def job() -> Outcome:
        slide = read_published(folder)
        if not slide.objects:
            return Outcome(slide_id, "excluded", "", "neither cells nor vessels were looked for")
        with new_artefact(target, settings_hash([inputs, __version__]), inputs) as temporary:
            form.write(slide, temporary, options)
        return Outcome(slide_id, "ok", "")

    return guarded(slide_id, "", job)


def _key(folder: Path) -> str:
    manifest = read_manifest(folder)
    return manifest.key if manifest else ""


def _tell(outcomes: Sequence[Outcome], request: ExportRequest, say: Say) -> int:
    left = [outcome for outcome in outcomes if outcome.status != "ok"]
    for outcome in left:
        say(f"{outcome.slide_id} · not exported · {outcome.reason}")
    done = len(outcomes) - len(left)
    say(f"{done} of {len(outcomes)} slides as {request.to}" + (f": look at {request.output}" if done else ""))
    return SOME_FAILED if any(outcome.status == "failed" for outcome in left) else 0
