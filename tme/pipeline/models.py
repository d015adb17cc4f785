"""`tme models list` and `verify`: which engines there are, where their weights lie, whether they are whole.

Fetched weights lie in one folder, each file beside a small one (``NAME.tme.json``) that says which engine it
is for and the sha256 it had when it was checked. A run reads neither: it takes what the settings name.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tme.cells.engines import SEGMENTERS, Segmenter, supply_of
from tme.cells.engines._description import read_description
from tme.cells.engines._supply import Published
from tme.errors import ConfigError, Problem
from tme.safety import error_text, file_sha256, printable

Say = Callable[[str], None]
SOME_FAILED = 3
RECORD = ".tme.json"
LARGEST_RECORD = 100_000
PACKAGED, LOST = "in the package", "missing from the package"


class Record(BaseModel):
    """What is noted beside fetched weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int
    source: str


@dataclass(frozen=True)
class File:
    """One file of weights, wherever it is.

    Attributes
    ----------
    engine, name : str
    state : {"in the package", "missing from the package", "fetched", "missing"}
    sha256 : str
        It must have; empty where nobody states it.
    size_bytes : int or None
    path : str
    purpose, url : str
    """

    engine: str
    name: str
    state: str
    sha256: str
    size_bytes: int | None = None
    path: str = ""
    purpose: str = ""
    url: str = ""


def models_folder(given: Path | None = None) -> Path:
    """Where weights are put and looked for: the folder the user names, or the usual one."""
    if given is not None:
        return path_of(given)
    below = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return path_of("~") / below / "tme" / "models"


def path_of(text: str | Path) -> Path:
    """The path a user typed, absolute; unlike pathlib's, a ``~`` that nobody knows stays as it is."""
    return Path(os.path.abspath(os.path.expanduser(text)))


def record_of(path: Path) -> Record | None:
    """What is noted beside a file; None where nothing is, or nothing that can be read."""
    beside = path.with_name(path.name + RECORD)
    try:
        if beside.stat().st_size > LARGEST_RECORD:
            return None
        return Record.model_validate_json(beside.read_bytes())
    except (OSError, ValidationError):
        return None


def published() -> Iterator[tuple[Segmenter, Published]]:
    """Every file that an engine's authors publish."""
    for _, segmenter in SEGMENTERS.items():
        for one in supply_of(segmenter).published:
            yield segmenter, one


def files_of(segmenter: Segmenter, folder: Path) -> list[File]:
    """The weights of an engine: in the package, published, and others that were fetched for it."""
    supply, name = supply_of(segmenter), segmenter.name
    found = _bundled(segmenter)
    for one in supply.published:
        record = record_of(folder / one.name)
        noted = record.sha256 if record and record.engine == name else ""
        found.append(_here(name, folder / one.name, "fetched", one.sha256 or noted, one.purpose, one.url))
    names = {one.name for one in supply.published}
    for path, record in _recorded(folder):
        if record.engine == name and path.name not in names:
            found.append(_here(name, path, "fetched", record.sha256, "your own"))
    return found


def _bundled(segmenter: Segmenter) -> list[File]:
    return [_here(segmenter.name, one.path, PACKAGED, one.sha256) for one in supply_of(segmenter).bundled()]


def _here(engine: str, path: Path, state: str, sha256: str, purpose: str = "", url: str = "") -> File:
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError:
        size = None
    if size is None:
        missing = LOST if state == PACKAGED else "missing"
        return File(engine, path.name, missing, sha256, purpose=purpose, url=url)
    return File(engine, path.name, state, sha256, size, str(path), purpose, url)


def _ending(folder: Path, end: str) -> list[Path]:
    """Files by the end of their names; none of a folder that is not there or closed."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if name.endswith(end))
    except OSError:
        return []


def _recorded(folder: Path) -> list[tuple[Path, Record]]:
    """Files of a folder that were fetched, by name; those that have gone since too."""
    names = [path.name.removesuffix(RECORD) for path in _ending(folder, RECORD)]
    pairs = ((folder / name, record_of(folder / name)) for name in names if name)
    return [(path, record) for path, record in pairs if record is not None]


def list_models(folder: Path, as_json: bool, say: Say) -> int:
    """Tell every engine: whether it can run here, its terms, its weights and where they lie."""
    engines = [(segmenter, files_of(segmenter, folder)) for _, segmenter in SEGMENTERS.items()]
    if as_json:
        # In ASCII: names of files need not be text that can be written.
        say(json.dumps([_plain(*one) for one in engines], indent=2))
        return 0
    for segmenter, files in engines:
        say(f"{segmenter.name}: {segmenter.missing() or 'ready'}")
        say(f"  works at {segmenter.mpp:g} µm/px; {segmenter.licence}")
        for line in [*_table(files), *_what_to_do(segmenter, files)]:
            say(f"  {printable(line)}")
        say("")
    say(f"fetched weights are looked for in {folder}; a run takes only what cells.weights names")
    return 0


def _plain(segmenter: Segmenter, files: Sequence[File]) -> dict[str, object]:
    return {
        "engine": segmenter.name,
        "ready": not segmenter.missing(),
        "missing": segmenter.missing(),
        "mpp": segmenter.mpp,
        "licence": segmenter.licence,
        "needs_weights": segmenter.needs_weights,
        "weights": [asdict(file) for file in files],
    }


def _table(files: Sequence[File]) -> list[str]:
    rows = [
        (
            file.name,
            file.state,
            size_text(file.size_bytes),
            f"sha256 {file.sha256[:16]}…" if file.sha256 else "no sha256 known",
            file.purpose,
        )
        for file in files
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def size_text(size_bytes: int | None) -> str:
    """A file's size for people; empty where there is no file."""
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 50_000 else f"{size_bytes / 1e3:.1f} kB"


def _what_to_do(segmenter: Segmenter, files: Sequence[File]) -> list[str]:
    if not files and not segmenter.needs_weights:
        return ["no weights"]
    if not files:
        return ["needs weights, of which it says nothing here: see its package"]
    absent = [file for file in files if file.state == "missing" and file.url]
    if not absent or len(absent) < len(files):
        return []
    name = absent[0].name if len(absent) == 1 else "NAME"
    pin = "" if all(file.sha256 for file in absent) else " --sha256 HEX"
    return [f"to fetch, where there is a network: tme models fetch {name}{pin}"]


def verify_models(names: Sequence[str], folder: Path, say: Say) -> int:
    """Read weights anew and compare them with their pins, one line each.

    Parameters
    ----------
    names : sequence of str
        Engines, published files, files or folders; none: all that is in the package and in ``folder``.
    folder : Path
        Where fetched weights lie.
    say : callable

    Returns
    -------
    int
        0, or 3 where one is missing, altered or not pinned.

    Raises
    ------
    ConfigError
        Before anything is read: a name that is neither known nor a path.
    """
    if names:
        wanted = [file for name in names for file in _named(name, folder)]
    else:
        here = _in_folder(folder)
        wanted = [file for _, segmenter in SEGMENTERS.items() for file in _bundled(segmenter)] + here
        if not here:
            say(f"no fetched weights lie in {folder}")
    good = 0
    for file in wanted:
        problem = _problem(file)
        good += problem is None
        say(printable(f"FAILED  {problem}" if problem else f"ok      {_where(file)}, sha256 {file.sha256}"))
    say(f"{good} of {len(wanted)} files are as pinned")
    return 0 if good == len(wanted) else SOME_FAILED


def _named(name: str, folder: Path) -> list[File]:
    if name in SEGMENTERS:
        files = files_of(SEGMENTERS.get(name), folder)
        if not files and SEGMENTERS.get(name).needs_weights:
            raise ConfigError(
                "the engine says nothing of its weights",
                where=name,
                why="it is of another package",
                fix="name the path of the file, or see that package",
            )
        # Of several networks one is enough; with none there the first is the one that is missing.
        return [file for file in files if file.state != "missing" or not file.url] or files[:1]
    everything = [file for _, one in SEGMENTERS.items() for file in files_of(one, folder)]
    known = [file for file in everything if file.name == name]
    path = path_of(name)
    # Of pathlib's questions some raise where a name is too long or a folder closed.
    folder_there, file_there = os.path.isdir(path), os.path.isfile(path)
    if known and not ("/" in name or folder_there or file_there):
        return known
    if folder_there:
        files = _in_folder(path)
        if files:
            return files
    elif file_there:
        return _at(path)
    names = [*SEGMENTERS.names(), *(file.name for file in everything)]
    near = get_close_matches(name, names, 1)
    raise ConfigError(
        "there are no weights of this name" if not folder_there else "there are no weights in this folder",
        where=name,
        why=f"engines: {', '.join(SEGMENTERS.names())}; else the path of a file or folder of weights",
        fix=f"did you mean {near[0]}?" if near else "`tme models list` says which there are",
    )


def _in_folder(folder: Path) -> list[File]:
    """Published files, files that were fetched, those that have gone since too, and what descriptions pin."""
    names = {one.name for _, one in published() if os.path.lexists(folder / one.name)}
    names |= {path.name for path, _ in _recorded(folder)}
    names |= {path.name for path in _ending(folder, ".json") if _described(path) is not None}
    return [file for name in sorted(names) for file in _at(folder / name)]


def _described(path: Path) -> list[File] | None:
    """The weights that a description of tme's own network pins; None where it is none."""
    try:
        if path.name.endswith(RECORD) or not path.is_file() or path.stat().st_size > LARGEST_RECORD:
            return None
        pinned = read_description(path).files.values()
    except (ConfigError, OSError):
        return None
    return [_here("", path.with_name(one.name), "fetched", one.sha256) for one in pinned]


def _at(path: Path) -> list[File]:
    """A file with the pin of its name or its record; of a description, the weights that it pins."""
    described = _described(path) if path.suffix == ".json" else None
    if described is not None:
        return described
    record = record_of(path)
    engine, sha256, url = (record.engine, record.sha256, "") if record else ("", "", "")
    for segmenter, one in published():
        if one.name == path.name:
            engine, sha256, url = segmenter.name, one.sha256 or sha256, one.url
    return [_here(engine, path.absolute(), "fetched", sha256, url=url)]


def _where(file: File) -> str:
    return f"{file.engine}: {file.name}" if file.engine else file.name


def _problem(file: File) -> Problem | None:
    """Why a file is not as pinned; None if it is."""
    where = _where(file)
    if not file.path:
        fix = f"tme models fetch {file.name}" if file.url else "put it back where it was"
        if file.state == LOST:
            fix = "install tme again"
        return Problem(where, "the file is not there", "nothing to compare", fix)
    try:
        digest = file_sha256(Path(file.path))
    except OSError as error:
        return Problem(where, "it cannot be read", error_text(error), "check its permissions")
    if not file.sha256:
        why = f"nothing says what its sha256 must be; it is {digest}"
        return Problem(where, "it is not pinned", why, "see cells.weights_sha256")
    if digest != file.sha256:
        why = f"sha256 {digest[:16]}… instead of {file.sha256[:16]}…"
        fix = (
            f"remove {file.path} and fetch it again"
            if file.engine
            else "copy it again from where it was made"
        )
        if file.state == PACKAGED:
            fix = "install tme again"
        return Problem(where, "it is not the file that was pinned", why, fix)
    return None
