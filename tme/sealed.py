"""Files that runs depend on and nobody may edit: JSON that carries the hash of its own content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tme.errors import ConfigError
from tme.store import canonical_json, write_json

SEAL, FORMAT = "sha256", "format"


def write_sealed(path: Path, content: dict[str, Any]) -> str:
    """Write ``content``, which names its ``format``, with its hash under ``sha256``; the hash is returned."""
    digest = content_sha256(content)
    write_json(path, {**content, SEAL: digest})
    return digest


def read_sealed(path: Path, format_name: str, pinned: str | None = None) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Parameters
    ----------
    path : Path
    format_name : str
        What its ``format`` must be.
    pinned : str, optional
        Hash its content must have.

    Raises
    ------
    ConfigError
        If it cannot be read, was edited, is of another format or not the one pinned.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refused(path, "this file cannot be read", str(error)[:200]) from error
    if not isinstance(content, dict) or content.get(SEAL) != content_sha256(content):
        why = "its content does not have the hash it carries, so nobody can say where its numbers are from"
        raise _refused(path, "this file was edited or damaged", why)
    if content.get(FORMAT) != format_name:
        raise _refused(path, f"this is not a file of {format_name}", f"its format is {content.get(FORMAT)!r}")
    if pinned not in (None, content[SEAL]):
        raise _refused(
            path, "this is not the file that was pinned", f"{pinned} is, and it has {content[SEAL]}"
        )
    return content


def content_sha256(content: dict[str, Any]) -> str:
    """Hash of the content, whatever hash it carries."""
    plain = {key: item for key, item in content.items() if key != SEAL}
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()


def _refused(path: Path, what: str, why: str) -> ConfigError:
    return ConfigError(what, where=str(path), why=why, fix="name the file as the command wrote it")
