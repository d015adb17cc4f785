"""A folder of finished results: whether it is one, as the run left it, and the settings it was made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tme.config import Config, load_config
from tme.errors import ArtefactError, ConfigError
from tme.report.artefacts import READ
from tme.safety import file_sha256
from tme.store import MANIFEST, read_json, write_json

CONFIG = Path("provenance") / "config.yaml"


def finished_config(results: Path) -> Config:
    """The resolved settings of a finished run.

    Raises
    ------
    ConfigError
        If the folder lacks a table or the settings.
    ArtefactError
        If a table is not the one the run wrote.
    """
    lacking = [name for name in (*READ, str(CONFIG), MANIFEST) if not (results / name).is_file()]
    if lacking:
        raise ConfigError(
            "this is not a folder of finished results",
            where=str(results),
            why=f"it has no {lacking[0]}",
            fix="name the folder that `tme run … -o` wrote, or run it to its end",
        )
    check_tables(results, READ)
    # Files the settings name were read by the run; they need not be here any more.
    return load_config(results / CONFIG, with_files=False)


def list_written(results: Path, key: str, files: Mapping[str, str]) -> None:
    """Write down the results' files, by path in ``results`` -> sha256, and the key they were made under."""
    write_json(results / MANIFEST, {"key": key, "files": dict(files)})


def check_tables(results: Path, names: Iterable[str]) -> None:
    """Hold tables against what the run wrote down of them.

    Raises
    ------
    ArtefactError
        If one was changed since, or the run's own list is damaged.
    """
    written = read_json(results / MANIFEST)
    for name in names:
        try:
            whole = written["files"][name] == file_sha256(results / name)
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
                why="numbers edited by hand could not be told from measured ones",
                fix="run `tme run` again, which makes it anew; leave slides out in the sample sheet, and "
                "edit copies of tables only",
            )
