"""`tme report`: the report of finished results made anew, without names, as PDF, or its figures for a paper."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tme.config import load_config
from tme.errors import ArtefactError
from tme.report import write_report
from tme.report.report import PAGE
from tme.safety import file_sha256
from tme.store import read_json, write_json

MANIFEST = "manifest.json"
CONFIG = Path("provenance") / "config.yaml"


def rewrite_report(results: Path) -> Path:
    """Write the report of finished results anew and let the results' manifest know.

    Call only while holding the results' lock.
    """
    write_report(results, load_config(results / CONFIG))
    # Else the next run would take the page for damaged and make the tables anew.
    with contextlib.suppress(ArtefactError, KeyError, TypeError):
        manifest = read_json(results / MANIFEST)
        if PAGE.as_posix() in manifest["files"]:
            manifest["files"][PAGE.as_posix()] = file_sha256(results / PAGE)
            write_json(results / MANIFEST, manifest)
    return results / PAGE
