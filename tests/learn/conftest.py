"""A small network that has learned a little of the drawn nuclei: what the tests fine-tune."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.learn.scenes import draw_scene
from tme.cells.engines._description import Calibration, Description, Reading, WeightsFile
from tme.cells.instances import Decoding
from tme.safety import file_sha256

STEPS = 120


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of weights that find nuclei of the usual colours; skips without PyTorch."""
    for package in ("torch", "onnx"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed here; `make test-engines` tests it")
    import torch

    from tme.learn.export import export_fp32
    from tme.learn.fit import Recipe, fit
    from tme.learn.fit import start as begin
    from tme.learn.network import NucleusNet

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    recipe = Recipe(steps=STEPS, batch=4, side=128, average=0.9)
    scenes = [draw_scene(seed).field(f"{seed}") for seed in range(20, 24)]
    state = fit(begin(NucleusNet(), recipe), scenes, recipe, folder / "log.csv")
    export_fp32(state.mean, folder / "small.onnx")
    description = Description(
        model_id="small",
        mpp=0.5,
        files={"fp32": WeightsFile(name="small.onnx", sha256=file_sha256(folder / "small.onnx"))},
        reading=Reading(**vars(Decoding())),
        calibration=Calibration(slope=1, intercept=0, peak=0.5, least=0.45),
        licence="none: made by a test",
        data="drawn",
    )
    (folder / "small.json").write_text(description.model_dump_json())
    return folder / "small.json"
