"""Weights file -> a cellpose network that is complete, of the installed version, and repeatable.

Cellpose reads weights leniently: a path that does not exist makes it download its default, tensors
that are missing stay at their random start. Both are refused here, before and after it loads.
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tme.cells.engines._plain_tensors import why_not_plain
from tme.cells.engines._torch import make_repeatable, use_gpu
from tme.errors import EngineError


@dataclass(frozen=True)
class Network:
    """A loaded ``cellpose.models.CellposeModel``.

    Attributes
    ----------
    model : CellposeModel
    generation : {3, 4}
        Version of cellpose the weights and the installed package belong to.
    model_id : str
    gpu : bool
    out_of_memory : type
        What torch raises when a GPU's memory runs out.
    """

    model: Any
    generation: int
    model_id: str
    gpu: bool
    out_of_memory: type[Exception]


def load_network(path: Path, device: str) -> Network:
    """Read checked weights.

    Parameters
    ----------
    path : Path
        An existing file.
    device : {"auto", "cpu", "gpu"}

    Raises
    ------
    EngineError
        If there is no such device, cellpose cannot be imported, or the file is not weights of the
        installed version's network.
    """
    torch, models = _packages()
    gpu = use_gpu(torch, device)
    state = _read_state(torch, path)
    generation = _generation(state, path)
    make_repeatable(torch, gpu)
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    # Version 3 converts its network in place for MKLDNN, which two threads must not do at once;
    # version 4 would run in bfloat16 on CPUs too, where rounding depends on the processor.
    options: dict[str, Any] = {"mkldnn": False} if generation == 3 else {"use_bfloat16": gpu}
    try:
        model = models.CellposeModel(gpu=gpu, pretrained_model=str(path), **options)
    except (RuntimeError, ValueError, KeyError) as error:
        raise _not_weights(path, str(error)) from error
    _refuse_partial(model.net, state, path)
    kind = "cpnet" if generation == 3 else model.backbone
    model_id = f"cellpose-{version('cellpose')}-{kind}" + ("-gpu" if gpu else "")
    return Network(model, generation, model_id, gpu, torch.OutOfMemoryError)


def refuse_file(path: Path) -> None:
    """Refuse what is not a file of tensors alone, without torch and without running any of it.

    Raises
    ------
    EngineError
        If the file is anything else.
    """
    reason = why_not_plain(path)
    if reason:
        raise _not_weights(path, reason)


def _packages() -> tuple[Any, Any]:
    """torch and cellpose.models, imported only now: together they take seconds."""
    try:
        return import_module("torch"), import_module("cellpose.models")
    except (ImportError, RuntimeError, OSError) as error:
        # torchvision built for another torch raises RuntimeError, a missing library OSError.
        raise EngineError(
            "cellpose is installed but cannot be imported",
            where="cells.engine: cellpose",
            why=f"{type(error).__name__}: {error}"[:300],
            fix="cellpose 4 needs the torchvision made for the torch installed; "
            "install that pair, or cellpose 3.1, which needs no torchvision",
        ) from error


def _read_state(torch: Any, path: Path) -> Mapping[str, Any]:
    """The file's tensors by name; only plain tensors, never code."""
    try:
        # Mapping into memory spares a second copy of a gigabyte; older files are not zip archives.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise _not_weights(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise _not_weights(path, "it holds something else than tensors by name")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _generation(state: Mapping[str, Any], path: Path) -> int:
    """3 or 4: which cellpose made the weights; it must be the one installed."""
    made_by = 4 if "W2" in state else 3 if "output.2.weight" in state else 0
    if not made_by:
        raise _not_weights(path, "it is no network of cellpose 3.1 or 4")
    installed = version("cellpose")
    if made_by != int(installed.split(".")[0]):
        raise EngineError(
            f"the weights belong to cellpose {made_by}, installed is {installed}",
            where=f"cells.weights: {path.name}",
            why="networks of the two generations are not interchangeable",
            fix="pip install 'cellpose>=3.1,<4'" if made_by == 3 else "pip install 'cellpose>=4,<5'",
        )
    if "encoder.cls_token" in state and find_spec("dinov3") is None:
        raise EngineError(
            "the weights need the package dinov3, which is not installed",
            where=f"cells.weights: {path.name}",
            why="they are of cellpose's DINO network",
            fix="install dinov3 as cellpose's manual says, or use the SAM weights cpsam_v2",
        )
    return made_by


def _refuse_partial(net: Any, state: Mapping[str, Any], path: Path) -> None:
    """Refuse weights that left a part of the network at its random start, which cellpose lets pass."""
    optional = ("diam_mean", "diam_labels", "num_batches_tracked")
    missing = [name for name in net.state_dict() if name not in state and not name.endswith(optional)]
    if missing:
        raise _not_weights(path, f"{len(missing)} parts of the network are not in it, such as {missing[0]}")
    if "output.2.weight" in state and len(state["output.2.weight"]) != net.nout:
        raise _not_weights(path, "it is not a segmentation network")


def _not_weights(path: Path, why: str) -> EngineError:
    return EngineError(
        "the file is not weights cellpose can use",
        where=f"cells.weights: {path.name}",
        why=why.strip().split("\n")[0][:300],
        fix="use a file of cellpose's published or retrained segmentation networks",
    )
