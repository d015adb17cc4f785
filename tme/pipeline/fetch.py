"""`tme models fetch`: an address or a file -> weights in a folder, once their sha256 is what it must be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from urllib.parse import unquote, urlsplit

from tme.cells.engines import SEGMENTERS, Segmenter, supply_of
from tme.cells.engines._archive import opened
from tme.cells.engines._supply import Published
from tme.errors import ConfigError, EngineError
from tme.pipeline.download import LARGEST_BYTES, download, is_address, refuse_address, shown, too_large
from tme.pipeline.models import RECORD, Record, path_of, published, record_of, size_text
from tme.safety import file_sha256
from tme.store import fsync, need_folder, space_guard, write_json

Say = Callable[[str], None]
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHA256 = re.compile(r"[0-9a-f]{64}")
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that would leave a part of a file behind: a kill, and a terminal that is closed."""


@dataclass(frozen=True)
class FetchRequest:
    """What was asked for on the command line; see ``tme models fetch --help``."""

    name: str
    folder: Path
    source: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Which file for which engine, from where, and the sha256 it must have."""

    segmenter: Segmenter
    file: Published
    source: str
    sha256: str


def run_fetch(request: FetchRequest, say: Say) -> int:
    """Put weights into a folder, or leave it as it was.

    Returns
    -------
    int
        0, also where they are there already.

    Raises
    ------
    ConfigError
        If the name, the source, the hash or the folder cannot be used, or another file is there.
    EngineError
        If the weights cannot be had, are not pinned, or are not weights of the engine.
    SpaceError
        If they do not fit on the disk.
    """
    segmenter = SEGMENTERS.get(request.name) if request.name in SEGMENTERS else None
    if segmenter is not None and _needs_none(segmenter, request, say):
        return 0
    wanted = _wanted(request, segmenter)
    target = request.folder / wanted.file.name
    if os.path.lexists(target):
        _refuse_other(target, wanted)
        _refuse_kind(target, wanted)
        wanted = replace(wanted, source="")
        say(f"{target.name} is there already, whole")
    else:
        say(f"terms: {wanted.segmenter.licence}")
        need_folder(target.parent)
        with _cleared_away(target.parent) as scratch:
            found = _bring(wanted, scratch, say)
            _check(found, wanted)
            _refuse_kind(found, wanted)
            _put(found, target, wanted)
    _note(target, wanted, say)
    _say_how_to_use(target, wanted, say)
    return 0


def _needs_none(segmenter: Segmenter, request: FetchRequest, say: Say) -> bool:
    """Whether there is nothing to fetch for an engine, which is then said."""
    supply = supply_of(segmenter)
    if supply.refuse is not None:
        return False
    if request.source is None and not segmenter.needs_weights:
        here = "its weights come with tme" if supply.bundled() else "it has no weights"
        say(f"{segmenter.name}: nothing to fetch, {here}")
        return True
    own = bool(supply.bundled())
    raise ConfigError(
        "no weights are fetched for this engine",
        where=segmenter.name,
        why="weights of its own are a folder that `tme train` wrote" if own else "it takes no single file",
        fix="copy that folder and name its .json in cells.weights" if own else "see the engine's package",
    )


def _wanted(request: FetchRequest, segmenter: Segmenter | None) -> Wanted:
    """Which file is meant.

    Raises
    ------
    ConfigError
        If no file is, or several may be.
    """
    given = (request.sha256 or "").strip().lower()
    if request.sha256 is not None and not SHA256.fullmatch(given):
        raise ConfigError(
            "this is no sha256",
            where=f"--sha256 {request.sha256[:80]}",
            why="it has 64 digits from 0 to f",
            fix="copy it whole; `sha256sum FILE` prints it",
        )
    if request.source is not None:
        _refuse_source(request.source)
    segmenter, file = (
        (segmenter, _of_engine(segmenter, request.source)) if segmenter else _of_name(request.name)
    )
    if given and file.sha256 not in ("", given):
        raise ConfigError(
            "tme knows another sha256 for these weights",
            where=f"--sha256 {given[:16]}…",
            why=f"{file.name} is {file.sha256}",
            fix="leave --sha256 out; another network needs another file name",
        )
    record = record_of(request.folder / file.name)
    # For a file of the user's own a new source may hold new bytes: what was noted of the last is no pin.
    noted = record.sha256 if record is not None and file.url and record.engine == segmenter.name else ""
    return Wanted(segmenter, file, request.source or file.url, given or file.sha256 or noted)


def _of_name(name: str) -> tuple[Segmenter, Published]:
    choice = {one.name: (segmenter, one) for segmenter, one in published()}
    if name in choice:
        return choice[name]
    names = [*choice, *SEGMENTERS.names()]
    near = get_close_matches(name, names, 1)
    raise ConfigError(
        "there are no weights of this name",
        where=name,
        why=f"known: {', '.join(names)}",
        fix=f"did you mean {near[0]}?" if near else "for a file of your own name the engine, and --from",
    )


def _of_engine(segmenter: Segmenter, source: str | None) -> Published:
    """The one file an engine's authors publish, or, from a source, the file that lies there."""
    choice = supply_of(segmenter).published
    if source is not None:
        name = _base_name(source)
        for one in choice:
            if name in (one.name, _base_name(one.url)):
                return one
        return Published(name, "")
    if len(choice) == 1:
        return choice[0]
    raise ConfigError(
        f"{segmenter.name} has {len(choice)} networks",
        where=segmenter.name,
        why="; ".join(f"{one.name}: {one.purpose}" for one in choice),
        fix="name one of them: `tme models fetch " + (choice[0].name if choice else "ENGINE --from …") + "`",
    )


def _base_name(source: str) -> str:
    path = unquote(urlsplit(source).path) if is_address(source) else path_of(source).name
    name = PurePosixPath(path).name
    if not FILE_NAME.fullmatch(name) or name.endswith(RECORD):
        raise ConfigError(
            f"{name[:80]!r} cannot name a file of weights",
            where=f"--from {shown(source)}",
            why="it is written in settings and tables",
            fix="rename it: letters, digits, dot, _ and -, at most 100",
        )
    return name


def _refuse_source(source: str) -> None:
    if is_address(source):
        refuse_address(source)
        return
    path = path_of(source)
    try:
        what = "" if path.is_file() else "it is no file" if path.exists() else "there is none"
        if not what and path.stat().st_size > LARGEST_BYTES:
            what = f"it is larger than {LARGEST_BYTES / 1e9:g} GB"
    except OSError as error:
        what = error.strerror or str(error)
    if what:
        raise ConfigError(
            "there are no weights to take here",
            where=f"--from {source}",
            why=what,
            fix="give the path of a file of weights, or an https:// address",
        )


def _refuse_other(target: Path, wanted: Wanted) -> None:
    """Refuse where something else lies at the target, or nobody can tell."""
    try:
        found = file_sha256(target)
    except OSError as error:
        found, why = "", error.strerror or str(error)
    else:
        should = f"instead of {wanted.sha256[:16]}…" if wanted.sha256 else "and nothing says what it must be"
        why = f"its sha256 is {found} {should}"
    if not found or found != wanted.sha256:
        raise ConfigError(
            "a file of this name is there already",
            where=str(target),
            why=f"{why}; runs may name it, so it is not written over",
            fix="remove it, or name another folder with --to"
            + ("" if wanted.sha256 else "; if it is the one you mean, give its sha256 with --sha256"),
        )


def _put(found: Path, target: Path, wanted: Wanted) -> None:
    """Move to its place what is whole, unless a file of that name has come there meanwhile."""
    fsync(found)
    try:
        os.link(found, target)
    except FileExistsError:
        _refuse_other(target, wanted)
    except OSError:
        # Some file systems have no hard links, by which alone nothing is written over.
        with space_guard(target):
            found.replace(target)


@contextmanager
def _cleared_away(folder: Path) -> Iterator[Path]:
    """A scratch folder within ``folder`` that is gone afterwards, also where tme is told to end."""

    def end(kind: int, _: object) -> None:
        sys.exit(128 + kind)

    main = threading.current_thread() is threading.main_thread()
    # What is ignored, as under nohup, stays so.
    kinds = [kind for kind in ENDING if main and signal.getsignal(kind) == signal.SIG_DFL]
    for kind in kinds:
        signal.signal(kind, end)
    scratch: Path | None = None
    try:
        with space_guard(folder / "*"):
            scratch = Path(mkdtemp(prefix=".tme-fetch-", dir=folder))
        yield scratch
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)


def _bring(wanted: Wanted, scratch: Path, say: Say) -> Path:
    """The weights, in the scratch folder under their own name; nothing in them has been looked at."""
    arrived = scratch / "arrived"
    if is_address(wanted.source):
        say(f"fetching {shown(wanted.source)}")
        name = wanted.file.name if wanted.file.url else f"{wanted.segmenter.name} --sha256 HEX"
        download(
            wanted.source,
            arrived,
            say,
            f"check address and network, or bring the file here: `tme models fetch {name} --from FILE`",
        )
    else:
        _copy(path_of(wanted.source), arrived)
    found = scratch / wanted.file.name
    if wanted.file.member and _unpacked(arrived, wanted.file.member, found, wanted.source):
        return found
    return arrived.rename(found)


def _copy(source: Path, target: Path) -> None:
    try:
        with space_guard(target.parent):
            shutil.copyfile(source, target)
    except OSError as error:
        raise ConfigError(
            "the file cannot be read",
            where=f"--from {source}",
            why=error.strerror or str(error),
            fix="check its permissions and disk",
        ) from error


def _unpacked(archive: Path, member: str, target: Path, source: str) -> bool:
    """Whether it is an archive that holds the file, which is then taken out of it."""
    where = shown(source)
    try:
        with opened(archive) as found:
            inside = [info for info in found.infolist() if PurePosixPath(info.filename).name == member]
            if not inside:
                return False
            if len(inside) > 1:
                raise EngineError(
                    f"the archive does not hold one {member}",
                    where=where,
                    why=f"it holds {len(inside)}",
                    fix=f"unpack it and give the {member} you mean with --from",
                )
            if inside[0].file_size > LARGEST_BYTES:
                raise too_large(where)
            with space_guard(target.parent), found.open(inside[0]) as stream, target.open("xb") as out:
                shutil.copyfileobj(stream, out)
    except zipfile.BadZipFile as error:
        raise EngineError(
            "what arrived is neither the network nor an archive of it",
            where=where,
            why=str(error)[:200],
            fix="check the address, or get the file again",
        ) from error
    return True


def _check(found: Path, wanted: Wanted) -> None:
    """Refuse what is not pinned or not the file pinned, before anything looks into it."""
    digest = file_sha256(found)
    member = wanted.file.member
    of = f" of the {member} in it" if member and not wanted.source.endswith(Path(member).suffix) else ""
    if not wanted.sha256:
        raise EngineError(
            "the weights are not pinned",
            where=shown(wanted.source),
            why="tme knows no sha256 for them, and a file is not trusted by its name; nothing was kept",
            fix=f"if you trust this very file, repeat the command with --sha256 {digest}",
        )
    if digest != wanted.sha256:
        raise ConfigError(
            "the weights are not the ones pinned",
            where=shown(wanted.source),
            why=f"sha256{of} is {digest} instead of {wanted.sha256}; nothing was kept",
            fix="try again; if it stays, the file was changed: ask its authors, or use another source",
        )


def _refuse_kind(found: Path, wanted: Wanted) -> None:
    """Refuse what is not weights of the engine, or holds what must not be read."""
    refuse = supply_of(wanted.segmenter).refuse
    try:
        if refuse is not None:
            refuse(found)
    except EngineError as error:
        problem = replace(error.problem, where=found.name)
        raise EngineError(problem.what, problems=(problem,)) from error


def _note(target: Path, wanted: Wanted, say: Say) -> None:
    """Write down beside the file what it is, for `tme models verify`."""
    source = shown(wanted.source) if is_address(wanted.source) else "a file" if wanted.source else "unknown"
    old = record_of(target)
    if old is not None and (old.engine, old.sha256) == (wanted.segmenter.name, wanted.sha256):
        return
    record = Record(
        engine=wanted.segmenter.name,
        sha256=wanted.sha256,
        size_bytes=target.stat().st_size,
        source=source,
    )
    try:
        write_json(target.with_name(target.name + RECORD), record.model_dump())
    except OSError as error:
        say(f"its sha256 cannot be noted beside it: {error.strerror}")


def _say_how_to_use(target: Path, wanted: Wanted, say: Say) -> None:
    size = size_text(target.stat().st_size)
    say(f"{target.name} ({size}) lies in {target.parent}; in the settings, set")
    say("cells:")
    say(f"  engine: {wanted.segmenter.name}")
    say(f"  weights: {json.dumps(str(target), ensure_ascii=False)}")
    say(f"  weights_sha256: {wanted.sha256}")
    if wanted.segmenter.missing():
        say(f"the engine cannot run here yet: {wanted.segmenter.missing()}")
