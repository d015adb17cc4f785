"""Saved artefacts: a temporary folder, fsync, the manifest last, one rename.

A folder without a complete ``manifest.json`` does not exist for any reader. The manifest holds the
sha256 and size of each file, the key it was made under and what went into that key. No clock, host
name or absolute path enters an artefact.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme.errors import ArtefactError, ConfigError, SpaceError
from tme.safety import file_sha256

MANIFEST = "manifest.json"
SEAL = "sha256"
MAX_SEALED_BYTES = 10_000_000


def canonical_json(value: Any) -> str:
    """JSON text that is the same for the same value: sorted keys, two-space indent, one newline."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically: temporary file beside it, fsync, rename.

    Raises
    ------
    SpaceError
        If the disk or quota is full.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically; see `write_text`."""
    with space_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tme-", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with space_guard(path), os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o600 | (0o644 & ~_umask()))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `canonical_json` atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file written by tme.

    Raises
    ------
    ArtefactError
        If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(
            "this file cannot be read",
            where=str(path),
            why=str(error)[:200],
            fix="run `tme run` again; it is made anew",
        ) from error


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with the sha256 of its own `canonical_json` beside its keys, for `read_sealed`."""
    content = {key: part for key, part in value.items() if key != SEAL}
    return {**content, SEAL: hashlib.sha256(canonical_json(content).encode("utf-8")).hexdigest()}


def read_sealed(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read a JSON file that a user keeps and names in the settings, and hold it against its own seal.

    Line ends, indents and the order of keys do not count, the values do.

    Parameters
    ----------
    path : Path
    what, remedy : str
        For messages: what the file is, and how to get one that is whole.

    Raises
    ------
    ConfigError
        If it cannot be read, is no such file, or was changed since it was written.
    """
    try:
        if path.stat().st_size > MAX_SEALED_BYTES:
            raise ValueError(f"over {MAX_SEALED_BYTES // 1_000_000} MB")
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
        if not isinstance(value, dict) or not isinstance(value.get(SEAL), str):
            raise ValueError(f"it has no {SEAL}")
        whole = sealed(value)[SEAL] == value[SEAL]
    except (OSError, ValueError, RecursionError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)[:200]
        raise ConfigError(f"{what} cannot be read", where=path.name, why=why, fix=remedy) from error
    if not whole:
        raise ConfigError(
            f"{what} was changed after it was written",
            where=path.name,
            why=f"its content is not the one its {SEAL} {value[SEAL][:16]}… was made for",
            fix=remedy,
        )
    return value


@contextlib.contextmanager
def space_guard(path: Path) -> Iterator[None]:
    """Turn "no space left" from any writer into a `SpaceError` that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                "no space left on the disk",
                where=str(path.parent),
                why=str(error),
                fix="free space and run again",
            ) from error
        raise


@dataclass(frozen=True)
class Manifest:
    """What a finished artefact says of itself.

    Attributes
    ----------
    key : str
        sha256 of everything that can change the content.
    inputs : dict
        What went into the key, readable.
    files : dict
        Relative POSIX path -> (sha256, bytes).
    extra : dict
        Further plain values of the stage, e.g. seconds are *not* among them.
    """

    key: str
    inputs: dict[str, Any]
    files: dict[str, tuple[str, int]]
    extra: dict[str, Any]


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a finished artefact, or None if the folder is not one."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        files = {name: (entry["sha256"], int(entry["bytes"])) for name, entry in raw["files"].items()}
        return Manifest(raw["key"], raw["inputs"], files, raw["extra"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_intact(folder: Path, key: str | None = None, thorough: bool = False) -> bool:
    """Whether ``folder`` is a finished artefact (made under ``key``) with all its files.

    Sizes are always compared, sha256 when ``thorough``.
    """
    manifest = read_manifest(folder)
    if manifest is None or (key is not None and manifest.key != key):
        return False
    for name, (digest, size) in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return False
        if thorough and file_sha256(path) != digest:
            return False
    return True


@contextlib.contextmanager
def new_artefact(
    folder: Path, key: str, inputs: dict[str, Any], extra: dict[str, Any] | None = None
) -> Iterator[Path]:
    """Make an artefact: yields a temporary folder to write into, then publishes it as ``folder``.

    On an exception nothing is published and the temporary folder is removed. ``extra`` is read at
    the end, so the caller may fill the dictionary while it works. A kill at any moment leaves
    either the old artefact, the new one, or (between two renames) the old one under a name that
    `recover` puts back.
    """
    with space_guard(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        with space_guard(folder):
            yield temporary
            _seal(temporary, key, inputs, extra or {})
            _publish(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def recover(folder: Path) -> None:
    """Put back what a kill between two renames left, and remove half-made folders of dead runs.

    Call only while holding the run lock or inside the one job that owns ``folder``.
    """
    old = _aside(folder)
    if old.is_dir():
        if read_manifest(folder) is None and read_manifest(old) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            old.rename(folder)
        else:
            shutil.rmtree(old, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)


def _seal(folder: Path, key: str, inputs: dict[str, Any], extra: dict[str, Any]) -> None:
    files = {}
    mode = _umask()
    for path in sorted(walk_files(folder), key=lambda found: found.relative_to(folder).as_posix()):
        fsync(path)
        files[path.relative_to(folder).as_posix()] = {
            "sha256": file_sha256(path),
            "bytes": path.stat().st_size,
        }
    folder.chmod(0o700 | (0o755 & ~mode))
    write_json(folder / MANIFEST, {"key": key, "inputs": inputs, "files": files, "extra": extra})
    fsync(folder)


def _publish(temporary: Path, folder: Path) -> None:
    old = _aside(folder)
    if old.exists():
        shutil.rmtree(old)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    fsync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"


def walk_files(folder: Path) -> Iterable[Path]:
    """Every plain file below ``folder`` but the manifest at its top."""
    top = folder / MANIFEST
    return (path for path in folder.rglob("*") if path.is_file() and path != top)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard link where the file system can, else copy; the content is never written through."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def fsync(path: Path) -> None:
    """Have a file or folder on the disk, not on its way there."""
    # Directories cannot be opened for fsync on every platform; the rename is still atomic there.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def need_folder(folder: Path) -> None:
    """Make a folder to write into, before anything is computed for it.

    Raises
    ------
    ConfigError
        If it cannot be made, is no folder or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise ConfigError(
            "the output folder cannot be made or written", where=str(folder), why=why, fix="name another one"
        )
