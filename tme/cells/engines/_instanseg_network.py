"""Weights file -> an InstanSeg network, loaded for inference and nothing else.

InstanSeg publishes TorchScript: network, thresholds and post-processing as one program, which torch's
own interpreter runs. That is no plain table of numbers. The program has no Python, no import and no
network, but it can name operators of torch, and two of those reach files. So such a file is read only
where its sha256 is pinned, and one that names those two operators is refused whatever its hash.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tme.cells.engines._archive import content, opened
from tme.cells.engines._torch import make_repeatable, use_gpu
from tme.errors import EngineError
from tme.safety import printable

# torch.from_file maps a file into memory and can create one; torch.save writes one.
REACHES_FILES = re.compile(rb"\b(from_file|save)\s*\(")
CODE = re.compile(r"/code/.*\.py\Z", re.IGNORECASE | re.DOTALL)
LARGEST_CODE = 64_000_000
UM_PER_PX = (0.1, 1.0)


@dataclass(frozen=True)
class Network:
    """A loaded ``instanseg.InstanSeg``.

    Attributes
    ----------
    model : InstanSeg
    tensor : callable
        Makes a torch tensor of an array.
    model_id : str
    out_of_memory : type
        What torch raises when a GPU's memory runs out.
    """

    model: Any
    tensor: Any
    model_id: str
    out_of_memory: type[Exception]


def load_network(path: Path, device: str) -> Network:
    """Read checked weights.

    Parameters
    ----------
    path : Path
        An existing file whose hash has been checked.
    device : {"auto", "cpu", "gpu"}

    Raises
    ------
    EngineError
        If there is no such device, InstanSeg cannot be imported, or the file is not a TorchScript
        network of InstanSeg's.
    """
    torch, instanseg = _packages()
    gpu = use_gpu(torch, device)
    refuse_file(path)
    make_repeatable(torch, gpu)
    script = _script(torch, path)
    name = "cpu" if not gpu else "cuda" if torch.cuda.is_available() else "mps"
    # Channels last would be faster on a GPU and round otherwise than the same network elsewhere.
    model = instanseg.InstanSeg(script, device=name, verbosity=0, channels_last=False)
    model_id = f"instanseg-{version('instanseg-torch')}" + ("-gpu" if gpu else "")
    return Network(model, torch.from_numpy, model_id, torch.OutOfMemoryError)


def _packages() -> tuple[Any, Any]:
    """torch and instanseg, imported only now: together they take seconds."""
    try:
        return import_module("torch"), import_module("instanseg")
    except (ImportError, RuntimeError, OSError) as error:
        raise EngineError(
            "InstanSeg is installed but cannot be imported",
            where="cells.engine: instanseg",
            why=f"{type(error).__name__}: {error}"[:300],
            fix="install InstanSeg and torch into an environment of their own: pip install 'tme[instanseg]'",
        ) from error


def refuse_file(path: Path) -> None:
    """Refuse what is not a TorchScript archive, and code in it that could reach files; nothing of it is run.

    Raises
    ------
    EngineError
        If the file is anything else.
    """
    try:
        with opened(path) as archive:
            infos = archive.infolist()
            if any(info.filename.endswith("instanseg.pt") for info in infos):
                raise _not_weights(path, "it is the published archive, not the network in it", UNPACK)
            # To torch capitals are no difference.
            code = [info for info in infos if CODE.search(info.filename)]
            if not code:
                raise _not_weights(path, "it holds no TorchScript code")
            if sum(info.file_size for info in code) > LARGEST_CODE:
                raise _not_weights(path, f"its code is over {LARGEST_CODE} bytes")
            reaching = [info.filename for info in code if REACHES_FILES.search(content(archive, info))]
    except zipfile.BadZipFile as error:
        raise _not_weights(path, str(error)) from error
    if reaching:
        name = printable(reaching[0].partition("/")[2])
        raise _not_weights(path, f"its code would read or write files: {name}")


def _script(torch: Any, path: Path) -> Any:
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise _not_weights(path, f"{type(error).__name__}: {error}") from error
    low, high = UM_PER_PX
    if not low <= float(getattr(script, "pixel_size", 0.0)) <= high:
        raise _not_weights(path, "it does not say at how many µm/px it works, as InstanSeg's networks do")
    return script


UNPACK = "`tme models fetch instanseg --from` that archive, or unpack it and name the instanseg.pt in it"


def _not_weights(path: Path, why: str, fix: str = "") -> EngineError:
    return EngineError(
        "the file is not weights InstanSeg can use",
        where=f"cells.weights: {path.name}",
        why=why.strip().split("\n")[0][:300],
        fix=fix or "use the instanseg.pt of a published or retrained network that segments nuclei",
    )
