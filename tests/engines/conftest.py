"""Cellpose where it is installed, whichever generation, and a trained network of its own kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.engines import fields
from tme.cells.engines.cellpose import colour_image, nuclear_image
from tme.config import CellSettings
from tme.safety import file_sha256

DECLARED: list[Any] = []
OPERATORS = ("nms", "qnms")


@dataclass(frozen=True)
class Installed:
    """Cellpose as it is here: its generation, and its modules, imported."""

    generation: int
    torch: Any
    models: Any

    def other_weights(self) -> dict[str, Any]:
        """What tells the other generation's weights from this one's."""
        name = "W2" if self.generation == 3 else "output.2.weight"
        return {name: self.torch.zeros(3, 3)}


@pytest.fixture(scope="session")
def cellpose() -> Installed:
    """The installed cellpose; skips where there is none."""
    if find_spec("cellpose") is None:
        pytest.skip("cellpose is not installed here; `make test-engines` tests it")
    torch = import_module("torch")
    torch.set_num_threads(1)
    if find_spec("torchvision") is not None:
        _declare_operators(torch)
    return Installed(int(version("cellpose").split(".")[0]), torch, import_module("cellpose.models"))


def _declare_operators(torch: Any) -> None:
    """Let a torchvision that was built for another torch be imported, which is all cellpose needs.

    Only for tests, beside a CPU-only torch: the operators have a name and no code.
    """
    try:
        import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        DECLARED.append(library)


@pytest.fixture(scope="session")
def small_network(cellpose: Installed) -> Iterator[Callable[[], Any]]:
    """Makes networks of cellpose's own class with few channels; cellpose itself makes such ones too."""
    patch = pytest.MonkeyPatch()
    if cellpose.generation == 3:
        full = cellpose.models.CPnet

        def narrow(nbase: list[int], *more: Any, **keywords: Any) -> Any:
            return full([nbase[0], 8, 16, 32, 256], *more, **keywords)

        patch.setattr(cellpose.models, "CPnet", narrow)
        yield lambda: narrow([2], 3, 3, diam_mean=17.0)
    else:
        build = import_module("segment_anything.build_sam")._build_sam

        def flat(checkpoint: Any = None) -> Any:
            return build(
                encoder_embed_dim=96,
                encoder_depth=0,
                encoder_num_heads=4,
                encoder_global_attn_indexes=[],
                checkpoint=checkpoint,
            )

        patch.setitem(import_module("segment_anything").sam_model_registry, "vit_l", flat)
        yield cellpose.models.CPSAM
    patch.undo()


@pytest.fixture(scope="session")
def trained(
    cellpose: Installed, small_network: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Weights of a small network that finds the nuclei of `tests.engines.fields`."""
    cellpose.torch.manual_seed(0)
    net = small_network()
    rgb, truth = fields.field(400, seed=1)
    if cellpose.generation == 3:
        grey = nuclear_image(rgb, fields.MPP, fields.PROFILE)
        image = fields.stacked(grey, grey * 0)
        fields.train(net, image, truth, crop=112, steps=45)
    else:
        image = fields.stacked(*colour_image(rgb, fields.PROFILE).transpose(2, 0, 1))
        fields.train(net, image, truth, crop=256, steps=40)
    path = tmp_path_factory.mktemp("weights") / "small"
    net.save_model(str(path))
    return path


@pytest.fixture
def settings(trained: Path) -> CellSettings:
    """Settings that name the trained weights."""
    return CellSettings(
        engine="cellpose", weights=str(trained), weights_sha256=file_sha256(trained), device="cpu"
    )
