"""Files that travel with the package: Snakefile, workflows, configs and sample slides."""

from __future__ import annotations

from pathlib import Path

from tme.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Path of a file or folder shipped with tme, in a checkout or in an installed wheel.

    Raises
    ------
    ConfigError
        If this installation does not carry it.
    """
    for root in (PACKAGE / "_data", PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise ConfigError(
        f"this installation of tme does not carry {name}",
        where=name,
        why="it was not installed from a wheel or a checkout",
        fix="install tme with pip from a checkout or a wheel",
    )
