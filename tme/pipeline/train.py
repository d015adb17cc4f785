"""`tme train`: labelled fields -> weights of tme's own network for them, if they are better."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tme.cells.engines._description import Description, Reading, WeightsFile
from tme.cells.engines.tmenet import BUNDLED
from tme.errors import ConfigError, EngineError, SheetError
from tme.learn.field import Field
from tme.learn.holding import LEAST_FIELDS, Parts, hold_out
from tme.learn.labels import LYMPHOCYTE_NAMES, Names
from tme.learn.reading import LabelRule, read_fields
from tme.learn.sources import Sources, find_sources
from tme.safety import file_sha256, is_safe_id, slug
from tme.slide.hashing import content_sha256
from tme.store import canonical_json, new_artefact, write_text

if TYPE_CHECKING:
    from tme.learn.teaching import Start, Taught

Say = Callable[[str], None]
NEEDED = ("torch", "onnx")
NAMED = ("tme", "torch", "onnx", "nncf", "numpy", "opencv-python-headless")
NOT_KEPT = 3
USUAL_MINUTES = 8.0


@dataclass(frozen=True)
class TrainRequest:
    """What was asked for on the command line; see ``tme train --help``."""

    fields: Path
    output: Path
    name: str | None = None
    start: Path | None = None
    mpp: float | None = None
    hold_out: float = 0.25
    patient_pattern: str | None = None
    lymphocytes: tuple[str, ...] = ()
    complete: bool = True
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    cores: int = 2
    keep_anyway: bool = False


def train(request: TrainRequest, say: Say) -> int:
    """Read, check, learn, compare; write if it is better.

    Returns
    -------
    int
        0 the weights are written, 3 they are not better and were not kept.

    Raises
    ------
    EngineError
        If a package or the weights to start from are missing.
    ConfigError
        If the output or an option cannot be used.
    SheetError
        With every problem of every file.
    """
    _check_packages()
    name = _checked_name(request)
    sources, parts = _fields(request, say)
    from tme.learn.compare import table
    from tme.learn.teaching import Wish, read_start, teach

    start = read_start(request.start or BUNDLED)
    wish = Wish(request.steps, _minutes(request), request.seed, request.cores)
    with TemporaryDirectory(prefix="tme-train-") as scratch:
        taught = teach(start, parts, wish, Path(scratch), say)
        for line in (*(table(taught.columns) if taught.columns else []), *taught.notes):
            say(line)
        if not taught.better and not request.keep_anyway:
            say("the held fields are not answered better than before: nothing was written")
            say("label more fields, or keep the weights all the same with --keep-anyway")
            return NOT_KEPT
        kept = (
            "The held fields are answered better than before."
            if taught.better
            else "They are NOT known to be better: kept because of --keep-anyway."
        )
        say(kept)
        _write(request, name, start, parts, taught, sources, kept)
    _say_how_to_use(request.output / f"{name}.json", say)
    return 0


def _check_packages() -> None:
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise EngineError(
            f"the package {missing[0]} is not installed",
            where="tme train",
            why="training is an optional part of tme",
            fix="pip install 'tme[train]'",
        )


def _checked_name(request: TrainRequest) -> str:
    """The weights' name.

    Raises
    ------
    ConfigError
        If it, the pattern or the output folder cannot be used.
    """
    name = request.name or slug(request.output.resolve().name)
    if not is_safe_id(name):
        raise ConfigError(
            f"{name[:80]!r} cannot name weights",
            where="--name",
            why="it becomes a file's name",
            fix="use letters, digits, _ and -, at most 64",
        )
    if request.output.exists() and (not request.output.is_dir() or any(request.output.iterdir())):
        raise ConfigError(
            "the output is there already",
            where=str(request.output),
            why="weights that slides were counted with are never written over",
            fix="choose another --output",
        )
    try:
        re.compile(request.patient_pattern or "")
    except re.error as error:
        raise ConfigError(
            "the pattern is no regular expression",
            where="--patient-pattern",
            why=str(error),
            fix="for P01_a.png and P01_b.png: --patient-pattern 'P[0-9]+'",
        ) from error
    return name


def _fields(request: TrainRequest, say: Say) -> tuple[Sources, Parts]:
    sources = find_sources(request.fields, request.mpp, request.patient_pattern)
    rule = LabelRule(Names.of(request.lymphocytes or LYMPHOCYTE_NAMES), request.complete)
    fields = read_fields(sources, rule)
    parts = hold_out(fields, request.hold_out, request.seed)
    say(f"{_number(parts.learn)} to learn from, {_number(parts.held)} held out")
    if not parts.held and not request.keep_anyway:
        raise SheetError(
            "there is no field to judge the weights by",
            where=str(request.fields),
            why=f"{len(fields)} fields are given; one is held out of {LEAST_FIELDS} or more",
            fix="label more fields, or keep the weights unmeasured with --keep-anyway",
        )
    if parts.held and not parts.by_patient:
        say("caution: all fields are of one patient; what is measured says little about others")
    return sources, parts


def _number(fields: list[Field]) -> str:
    return f"{len(fields)} fields with {sum(len(field.centres) for field in fields)} nuclei"


def _minutes(request: TrainRequest) -> float | None:
    """A limit the user set, or the usual one; none where the user set the steps."""
    if request.minutes is None and request.steps is None:
        return USUAL_MINUTES
    return request.minutes


def _write(
    request: TrainRequest,
    name: str,
    start: Start,
    parts: Parts,
    taught: Taught,
    sources: Sources,
    kept: str,
) -> None:
    from tme.learn.card import model_card
    from tme.learn.compare import table
    from tme.learn.fit import described

    inputs: dict[str, Any] = {
        "fields": [[content_sha256(one.image), file_sha256(one.labels)] for one in sources.found],
        "start": file_sha256(start.weights),
        "recipe": described(taught.recipe),
        "held": sorted(field.name for field in parts.held),
    }
    key = sha256(canonical_json(inputs).encode()).hexdigest()
    with new_artefact(request.output, key, inputs) as folder:
        targets = {"fp32": f"{name}.onnx", "int8": f"{name}-int8.onnx"}
        for precision, path in taught.files.items():
            copyfile(path, folder / targets[precision])
        copyfile(taught.log, folder / "log.csv")
        files = {
            precision: WeightsFile(name=targets[precision], sha256=file_sha256(folder / targets[precision]))
            for precision in taught.files
        }
        description = _description(name, start.description, taught, files)
        write_text(folder / f"{name}.json", description.model_dump_json(indent=1) + "\n")
        if taught.columns:
            write_text(folder / "before-after.md", "\n".join(table(taught.columns)) + "\n")
        write_text(folder / "model-card.md", model_card(name, start, parts, taught, _versions(), kept))


def _description(name: str, old: Description, taught: Taught, files: dict[str, WeightsFile]) -> Description:
    return Description(
        model_id=name,
        mpp=old.mpp,
        files=files,
        reading=Reading(**vars(taught.reader.rule)),
        calibration=taught.reader.calibration,
        domain=old.domain,
        licence=f"{old.licence}; fine-tuned on fields whose terms are for their owner to state",
        data=f"{old.data}; then fields of the user's own: see the model card",
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in NAMED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _say_how_to_use(path: Path, say: Say) -> None:
    say(f"wrote {path.parent}; read its model-card.md, then set")
    say("cells:")
    say("  engine: tmenet")
    say(f"  weights: {path.absolute()}")
    say(f"  weights_sha256: {file_sha256(path)}")
