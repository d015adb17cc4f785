"""Weights file -> a StarDist network that is complete and runs on one thread.

StarDist keeps a network as a folder, published as a zip: its settings, its thresholds and its weights
in HDF5. Three plain files: the layers are built by StarDist's own code from numbers and names, nothing
in them is run. StarDist reads the folder leniently: without weights the network stays at its random
start, without thresholds it takes a guess. Both are refused here before it looks.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from io import StringIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from tme.cells.engines._archive import content, opened
from tme.errors import EngineError

FILES = ("config.json", "thresholds.json", "weights_best.h5")
LARGEST_BYTES = 1_000_000_000
FOLDER = "model"
HDF5_START = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Network:
    """A loaded ``stardist.models.StarDist2D``.

    Attributes
    ----------
    model : StarDist2D
    model_id : str
    """

    model: Any
    model_id: str


def load_network(path: Path) -> Network:
    """Read checked weights.

    Parameters
    ----------
    path : Path
        An existing zip archive whose hash has been checked.

    Raises
    ------
    EngineError
        If StarDist cannot be imported or the file is not a network of its kind for RGB images.
    """
    tensorflow, models = _packages()
    _one_thread(tensorflow)
    refuse_file(path)
    with TemporaryDirectory(prefix="tme-stardist-") as folder:
        _unpack(path, Path(folder) / FOLDER)
        model = _model(models, Path(folder), path)
    if model.config.axes != "YXC" or model.config.n_channel_in != 3:
        raise _not_weights(path, f"it takes {model.config.n_channel_in} channels, and tme gives RGB")
    return Network(model, f"stardist-{version('stardist')}")


def refuse_file(path: Path) -> None:
    """Refuse what is not an archive of a network's settings, thresholds and HDF5; nothing of it is run.

    Raises
    ------
    EngineError
        If the file is anything else.
    """
    with _members(path) as (archive, members):
        _refuse_without_thresholds(content(archive, members["thresholds.json"]), path)
        with archive.open(members["weights_best.h5"]) as stream:
            if stream.read(len(HDF5_START)) != HDF5_START:
                raise _not_weights(path, "its weights_best.h5 is not HDF5")


def _packages() -> tuple[Any, Any]:
    """tensorflow and stardist.models, imported only now: together they take many seconds."""
    try:
        return import_module("tensorflow"), import_module("stardist.models")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        # csbdeep raises RuntimeError where Keras does not fit TensorFlow.
        raise EngineError(
            "StarDist is installed but cannot be imported",
            where="cells.engine: stardist",
            why=f"{type(error).__name__}: {error}".strip()[:300],
            fix="install StarDist and TensorFlow into an environment of their own: "
            "pip install 'tme[stardist]'",
        ) from error


def _one_thread(tensorflow: Any) -> None:
    """One thread a worker, on the CPU: the same bytes whoever computes.

    TensorFlow can be told so only before it computes for the first time in a process.
    """
    try:
        tensorflow.config.set_visible_devices([], "GPU")
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if tensorflow.config.threading.get_intra_op_parallelism_threads() != 1:
            raise EngineError(
                "TensorFlow is already at work in this process with more than one thread",
                where="cells.engine: stardist",
                why=str(error),
                fix="run tme in a process of its own",
            ) from error


@contextmanager
def _members(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and the three files of a network in it, at its root or in one folder, by their names."""
    try:
        with opened(path) as archive:
            named = [(PurePosixPath(info.filename).name, info) for info in archive.infolist()]
            members = [(name, info) for name, info in named if name in FILES]
            found = sorted(name for name, _ in members)
            if found != sorted(FILES):
                raise _not_weights(path, f"it should hold {', '.join(FILES)} once each; found: {found}")
            if sum(info.file_size for _, info in members) > LARGEST_BYTES:
                raise _not_weights(path, "it unpacks to more than a gigabyte")
            yield archive, dict(members)
    except zipfile.BadZipFile as error:
        raise _not_weights(path, str(error)) from error


def _unpack(path: Path, folder: Path) -> None:
    """The three files of a network into ``folder``; no others."""
    with _members(path) as (archive, members):
        contents = {name: content(archive, info) for name, info in members.items()}
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def _refuse_without_thresholds(text: bytes, path: Path) -> None:
    """Refuse a network that does not say from which probability and up to which overlap a nucleus counts."""
    try:
        thresholds = json.loads(text)
        given = [float(thresholds[name]) for name in ("prob", "nms")]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _not_weights(path, f"thresholds.json: {type(error).__name__}: {error}") from error
    if not all(0 < value < 1 for value in given):
        raise _not_weights(path, f"thresholds.json: prob and nms are {given}, not between 0 and 1")


def _model(models: Any, folder: Path, path: Path) -> Any:
    """The network, without what StarDist prints on the way."""
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            model = models.StarDist2D(None, name=FOLDER, basedir=str(folder))
    except (ValueError, KeyError, TypeError, OSError, RuntimeError, AttributeError) as error:
        raise _not_weights(path, f"{type(error).__name__}: {error}") from error
    return model


def _not_weights(path: Path, why: str) -> EngineError:
    return EngineError(
        "the file is not weights StarDist can use",
        where=f"cells.weights: {path.name}",
        why=why.strip().split("\n")[0][:300],
        fix="use the zip of a published or retrained StarDist2D network for RGB images, unopened",
    )
