"""Weights of an engine: named by the user, present, pinned by sha256 before anything reads them.

Nothing here, and nothing that gets a path from here, downloads: what is missing is an error that says
what to fetch and where to name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tme.config import CellSettings
from tme.errors import EngineError
from tme.safety import file_sha256, verify_sha256


def pinned_weights(settings: CellSettings, known: Mapping[str, str], fetch: str) -> tuple[Path, str]:
    """The weights file the settings name and its sha256, checked.

    Parameters
    ----------
    settings : CellSettings
        ``weights`` and, for a file tme does not know, ``weights_sha256``.
    known : mapping of str to str
        File names of published weights and their sha256.
    fetch : str
        What a user is told to fetch where there are no weights.

    Returns
    -------
    (Path, str)
        Absolute path, and the hash the file has been checked against.

    Raises
    ------
    EngineError
        If no weights are named, the file is not there, or nothing says what its hash must be.
    ConfigError
        If the file is not the one pinned.
    """
    if not settings.weights:
        raise EngineError(
            f"no weights are named for the {settings.engine} engine",
            where="cells.weights",
            why="a run never downloads",
            fix=f"{fetch}; then set cells.weights to the file's path",
        )
    path = Path(settings.weights).expanduser().absolute()
    if not path.is_file():
        raise EngineError(
            "the weights are not there",
            where=f"cells.weights: {settings.weights}",
            why="a run never downloads",
            fix=f"mend the path, or {fetch}",
        )
    try:
        pinned = settings.weights_sha256 or known.get(path.name)
        if pinned is None:
            raise _unpinned(settings, path)
        verify_sha256(path, pinned)
    except OSError as error:
        raise EngineError(
            "the weights cannot be read",
            where=f"cells.weights: {settings.weights}",
            why=error.strerror or str(error),
            fix="check the file's permissions and disk",
        ) from error
    return path, pinned


def _unpinned(settings: CellSettings, path: Path) -> EngineError:
    return EngineError(
        "the weights are not pinned",
        where=f"cells.weights: {settings.weights}",
        why="tme does not know this file, and other weights under the same name would change every count",
        fix=f"if this is the file you mean, set cells.weights_sha256: {file_sha256(path)}",
    )
