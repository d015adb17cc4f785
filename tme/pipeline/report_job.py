"""`tme report`: the report of finished results anew, without names, as PDF, or as figures for a paper."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tme.config import Config
from tme.errors import ArtefactError
from tme.locks import run_lock
from tme.pipeline.finished import finished_config, list_written, need_results
from tme.report import write_report
from tme.report.artefacts import Run, read_run
from tme.report.figures import write_figures
from tme.report.printing import print_page
from tme.report.report import PAGE, report_page
from tme.report.share import shared_run
from tme.safety import file_sha256
from tme.store import MANIFEST, read_json, write_json, write_text

SHARED = PAGE.with_name("shared.html")
KEY = Path("provenance") / "pseudonyms.json"
KEY_BYTES = 32
Say = Callable[[str], None]


@dataclass(frozen=True)
class ReportRequest:
    """What the user asked for on the command line."""

    results: Path
    pdf: bool = False
    share: bool = False
    figures: Path | None = None


def run_report(request: ReportRequest, say: Say) -> int:
    """Write the report anew, and what else was asked for.

    Returns
    -------
    int
        0.

    Raises
    ------
    ConfigError
        If the folder holds no finished results, or there is no browser to print with.
    ArtefactError
        If a table of the results is damaged or was changed.
    BusyError
        If a run works in the folder.
    """
    results = request.results
    need_results(results)
    with run_lock(results):
        config = finished_config(results)
        run = read_run(results, config)
        if request.share:
            run = shared_run(run, _key(results))
            page = results / SHARED
            write_text(page, report_page(run))
        else:
            page = rewrite_report(results, config)
    say(f"wrote {page}" + ("; it holds no names and needs no other file" if request.share else ""))
    if request.figures is not None:
        say(_figures(run, request.figures))
    if request.pdf:
        print_page(page, page.with_suffix(".pdf"))
        say(f"wrote {page.with_suffix('.pdf')}")
    return 0


def rewrite_report(results: Path, config: Config) -> Path:
    """Write the report of finished results anew and let the results' manifest know.

    Call only while holding the results' lock.
    """
    write_report(results, config)
    # Else the next run would take the page for damaged and make the tables anew.
    manifest = read_json(results / MANIFEST)
    files = {**manifest["files"], PAGE.as_posix(): file_sha256(results / PAGE)}
    list_written(results, manifest.get("key", ""), files)
    return results / PAGE


def _figures(run: Run, folder: Path) -> str:
    made = write_figures(run, folder)
    return f"wrote {len(made)} files into {folder}: each figure as SVG and PDF"


def _key(results: Path) -> bytes:
    """The secret pseudonyms are made from; made once and kept in the results, so that they stay the same."""
    path = results / KEY
    if not path.is_file():
        write_json(path, {"key": secrets.token_hex(KEY_BYTES)})
        path.chmod(0o600)
    try:
        return bytes.fromhex(read_json(path)["key"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            "the key of the pseudonyms cannot be read",
            where=str(path),
            why=str(error)[:200],
            fix="put it back from a copy; without it, remove it and patients get new pseudonyms",
        ) from error
