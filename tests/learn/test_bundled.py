"""Weights come back from the exported file as a network that answers the same and can go on learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here; `make test-engines` tests it")
pytest.importorskip("onnx", reason="onnx is not installed here; `make test-engines` tests it")

import onnx
import torch

from tests.learn.scenes import draw_scene
from tme.cells.engines._runtime import open_network
from tme.errors import EngineError
from tme.learn.bundled import load_onnx
from tme.learn.export import export_fp32
from tme.learn.network import NucleusNet

RGB = draw_scene(5).rgb


def answer(network: NucleusNet) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(torch.from_numpy(RGB.transpose(2, 0, 1)[None].copy()).float())[0].numpy()


def test_the_same_answers(start: Path) -> None:
    path = start.with_name("small.onnx")
    np.testing.assert_allclose(answer(load_onnx(path)), open_network(path, "cpu")[0](RGB), atol=2e-3)


def test_equal_weights_that_the_file_shares_are_read_too(tmp_path: Path) -> None:
    fresh = NucleusNet()
    export_fp32(fresh, tmp_path / "fresh.onnx")
    np.testing.assert_allclose(answer(load_onnx(tmp_path / "fresh.onnx")), answer(fresh), atol=1e-3)


def test_there_are_no_statistics_left_to_spoil(start: Path, tmp_path: Path) -> None:
    network = load_onnx(start.with_name("small.onnx"))
    before = answer(network)
    network.train()(torch.randn(2, 3, 64, 64) * 1000)
    np.testing.assert_array_equal(answer(network), before)
    assert all(parameter.requires_grad for parameter in network.parameters())
    export_fp32(network, tmp_path / "again.onnx")
    np.testing.assert_allclose(answer(load_onnx(tmp_path / "again.onnx")), before, atol=1e-4)


@pytest.mark.parametrize("stranger", [NucleusNet((32, 40, 80, 96)), NucleusNet(blocks=(1, 1, 2))])
def test_another_network_is_refused(stranger: NucleusNet, tmp_path: Path) -> None:
    export_fp32(stranger, tmp_path / "other.onnx")
    with pytest.raises(EngineError, match="of another network"):
        load_onnx(tmp_path / "other.onnx")


def test_an_empty_graph_is_refused(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "empty.onnx"))
    with pytest.raises(EngineError, match="0 convolutions"):
        load_onnx(tmp_path / "empty.onnx")
