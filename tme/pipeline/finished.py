"""A folder of finished results: whether it is one, and the settings it was made with."""

from __future__ import annotations

from pathlib import Path

from tme.config import Config, load_config
from tme.errors import ConfigError
from tme.report.artefacts import READ

CONFIG = Path("provenance") / "config.yaml"


def finished_config(results: Path) -> Config:
    """The resolved settings of a finished run.

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
    # Files the settings name were read by the run; they need not be here any more.
    return load_config(results / CONFIG, with_files=False)
