"""A folder of finished results: whether it is one, with tables as the run wrote them, and its settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tme.config import Config, load_config
from tme.errors import ArtefactError, ConfigError
from tme.report.artefacts import READ
from tme.safety import file_sha256
from tme.store import MANIFEST, read_json, write_json

CONFIG = Path("provenance") / "config.yaml"


def need_results(results: Path) -> None:
    """Refuse what is no folder of results; call before `tme.locks.run_lock`, which would make one of it.

    Raises
    ------
    ConfigError
        If the folder lacks a table or the settings.
    """
    lacking = [name for name in (*READ, str(CONFIG)) if not (results / name).is_file()]
    if lacking:
        raise ConfigError(
            "this is not a folder of finished results",
            where=str(results),
            why=f"it has no {lacking[0]}",
            fix="name the folder that `tme run … -o` wrote, or run it to its end",
        )


def finished_config(results: Path) -> Config:
    """The resolved settings of a finished run, whose tables are as it wrote them.

    Call while holding the results' lock: a run that works in them has put its list of files away.

    Raises
    ------
    ConfigError
        If the folder lacks a table or the settings, or the run did not end.
    ArtefactError
        If a table is not the one the run wrote.
    """
    need_results(results)
    check_tables(results, READ)
    # Files the settings name were read by the run; they need not be here any more.
    return load_config(results / CONFIG, with_files=False)


def list_written(results: Path, key: str, files: Mapping[str, str]) -> None:
    """Write down the results' files, by path in ``results`` -> sha256, and the key they were made under."""
    write_json(results / MANIFEST, {"key": key, "files": dict(files)})


def check_tables(results: Path, names: Iterable[str]) -> None:
    """Hold tables against what the run wrote down of them; other ends of lines are no change.

    Raises
    ------
    ConfigError
        If the run did not end.
    ArtefactError
        If a table was changed since, or the run's own list is damaged.
    """
    if not (results / MANIFEST).is_file():
        raise ConfigError(
            "the run in this folder has not ended",
            where=str(results),
            why=f"it has no {MANIFEST}, which a run writes last",
            fix="run `tme run` again, to its end",
        )
    written = read_json(results / MANIFEST)
    for name in names:
        try:
            whole = written["files"][name] in _digests(results / name)
        except (KeyError, TypeError) as error:
            raise ArtefactError(
                "the list of what the run wrote is damaged",
                where=str(results / MANIFEST),
                why=f"it does not tell {name}",
                fix="run `tme run` again; it is made anew",
            ) from error
        if not whole:
            raise ArtefactError(
                "this table is not as the run wrote it",
                where=str(results / name),
                why="edited, or saved again by another program: its numbers may not be the measured ones",
                fix="put it back from a copy, or run `tme run` again, which makes it anew; leave slides out "
                "in the sample sheet, and edit copies of tables only",
            )


def _digests(table: Path) -> set[str]:
    """sha256 of the table, and of what it was before a transfer that turned its ends of lines."""
    lines = table.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return {file_sha256(table), hashlib.sha256(lines).hexdigest()}
