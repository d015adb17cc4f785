"""Cellpose through the engine protocol: real packages, weights made here, nothing downloaded."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from tests.engines import fields
from tests.engines.conftest import Installed
from tme.cells.engines import SEGMENTERS, load_engine, supply_of
from tme.cells.engines._cellpose_network import load_network
from tme.cells.engines.cellpose import colour_image, nuclear_image
from tme.cells.stage import find_cells
from tme.config import CellSettings
from tme.errors import ConfigError, EngineError, SpaceError
from tme.safety import file_sha256
from tme.stains import STAINS
from tme.testing.memory import ArraySlide
from tme.tissue.types import TissueMask


class Canary:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_nuclei_are_found_where_they_are(settings: CellSettings) -> None:
    rgb, truth = fields.field(512, seed=2)
    found = SEGMENTERS.get("cellpose").load(settings).segment(rgb, fields.MPP, fields.PROFILE)
    assert found.labels.dtype == np.int32
    assert found.labels.shape == truth.shape
    assert found.til_prob is None
    assert np.array_equal(np.unique(found.labels), np.arange(found.labels.max() + 1))
    recall, precision = fields.found(found.labels, truth)
    assert recall > 0.95
    assert precision > 0.95


def test_what_a_slide_is_like_decides_not_the_window(settings: CellSettings) -> None:
    """The faint noise of a window without nuclei is not stretched until it looks like nuclei."""
    rgb, _ = fields.field(256, seed=3, pitch=1000)
    engine = SEGMENTERS.get("cellpose").load(settings)
    spans: list[float] = []
    network = engine.network  # type: ignore[attr-defined]
    network.model.net.register_forward_pre_hook(
        lambda _, inputs: spans.append(float(inputs[0].amax() - inputs[0].amin()))
    )
    assert not engine.segment(rgb, fields.MPP, fields.PROFILE).labels.any()
    image = (nuclear_image(rgb, fields.MPP, fields.PROFILE), colour_image(rgb, fields.PROFILE))
    # From 0, with which cellpose pads, to the brightest pixel: as it was handed over.
    assert max(spans) <= 1.01 * float(image[network.generation - 3].max())
    glass = np.full_like(rgb, 245)
    assert not engine.segment(glass, fields.MPP, fields.PROFILE).labels.any()


def test_areas_outside_the_settings_are_dropped(settings: CellSettings) -> None:
    rgb, _ = fields.field(256, seed=4)
    segmenter = SEGMENTERS.get("cellpose")
    every = segmenter.load(settings).segment(rgb, fields.MPP, fields.PROFILE).labels
    areas = np.bincount(every.ravel())[1:] * fields.MPP**2
    middle = float(np.median(areas))
    some = settings.model_copy(update={"min_area_um2": middle})
    kept = segmenter.load(some).segment(rgb, fields.MPP, fields.PROFILE).labels
    assert kept.max() == (areas >= middle).sum()
    assert 0 < kept.max() < every.max()


def test_same_bytes_again_and_from_several_threads(cellpose: Installed, settings: CellSettings) -> None:
    windows = [fields.field(160, seed)[0] for seed in (5, 6, 7)]
    engine = SEGMENTERS.get("cellpose").load(settings)
    alone = [engine.segment(rgb, fields.MPP, fields.PROFILE).labels for rgb in windows]
    assert cellpose.torch.get_num_threads() == 1
    again = SEGMENTERS.get("cellpose").load(settings)
    with ThreadPoolExecutor(3) as pool:
        together = list(
            pool.map(lambda rgb: again.segment(rgb, fields.MPP, fields.PROFILE).labels, windows * 2)
        )
    for one, other in zip(alone * 2, together, strict=True):
        assert one.any()
        assert one.tobytes() == other.tobytes()


def test_slide_in_fixed_windows(settings: CellSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window has one shape, also at the edge; each nucleus is counted once; tasks change nothing."""
    segmenter = SEGMENTERS.get("cellpose")
    monkeypatch.setattr(segmenter, "core_px", 192)
    monkeypatch.setattr(segmenter, "halo_px", 32)
    rgb, truth = fields.field(308, seed=8)
    slide = ArraySlide(rgb, fields.MPP)
    everywhere = np.ones((39, 39), bool)
    tissue = TissueMask(4.0, 154.0, 154.0, everywhere, np.zeros((39, 39), np.uint8), False, 1)
    load_engine.cache_clear()
    engine = load_engine(settings)
    seen: list[tuple[int, ...]] = []
    real = engine.segment

    def watched(pixels: Any, mpp: float, profile: Any) -> Any:
        seen.append(pixels.shape)
        return real(pixels, mpp, profile)

    monkeypatch.setattr(engine, "segment", watched)
    stain = STAINS.get("HE")
    tables = [
        find_cells(slide, tissue, fields.PROFILE, stain, settings, task_px=task_px) for task_px in (192, 2048)
    ]
    load_engine.cache_clear()
    assert set(seen) == {(256, 256, 3)}
    assert len(seen) == 2 * 4
    assert tables[0].table.equals(tables[1].table)
    assert tables[0].table.num_rows == truth.max()
    assert tables[0].provenance["model_id"] == engine.model_id
    assert tables[0].provenance["model_sha256"] == settings.weights_sha256


def test_largest_window_that_costs_no_seventh_tile() -> None:
    segmenter = SEGMENTERS.get("cellpose")
    side = segmenter.core_px + 2 * segmenter.halo_px

    def tiles(pixels: int) -> int:
        padded = -(-pixels // 16) * 16 + 16
        return int(np.ceil((1.0 + 2 * 0.1) * padded / 256))

    assert tiles(side) == 6
    assert tiles(side + 16) == 7


def test_full_size_network_of_version_3(
    cellpose: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published architecture; version 4's has 1.2 GB and is left to the small one."""
    if cellpose.generation != 3:
        pytest.skip("the network of cellpose 4 takes 1.2 GB")
    net = import_module("cellpose.resnet_torch").CPnet
    monkeypatch.setattr(cellpose.models, "CPnet", net)
    path = tmp_path / "full"
    net([2, 32, 64, 128, 256], 3, 3).save_model(str(path))
    network = load_network(path, "cpu")
    logit = network.model.eval(np.zeros((96, 96), np.float32), channels=[0, 0], diameter=30)[1][2]
    assert logit.shape == (96, 96)
    assert np.isfinite(logit).all()
    assert sum(part.numel() for part in network.model.net.parameters()) > 6_000_000


def test_no_network_is_touched(
    cellpose: Installed, settings: CellSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionRefusedError("a run must not reach out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(cellpose.models.utils, "download_url_to_file", refuse)
    monkeypatch.setattr(cellpose.models, "cache_model_path", refuse)
    engine = SEGMENTERS.get("cellpose").load(settings)
    rgb, _ = fields.field(128, seed=9)
    assert engine.segment(rgb, fields.MPP, fields.PROFILE).labels.any()


def test_altered_weights_are_refused_before_torch_reads_them(
    cellpose: Installed, settings: CellSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.weights is not None
    bytes_ = bytearray(Path(settings.weights).read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    path = tmp_path / "altered"
    path.write_bytes(bytes_)
    monkeypatch.setattr(cellpose.torch, "load", lambda *_, **__: pytest.fail("read before it was checked"))
    with pytest.raises(ConfigError, match="not the ones pinned"):
        SEGMENTERS.get("cellpose").load(settings.model_copy(update={"weights": str(path)}))


def test_code_in_weights_is_not_run(cellpose: Installed, tmp_path: Path) -> None:
    path, mark = tmp_path / "bad", tmp_path / "mark"
    cellpose.torch.save({"output.2.weight": Canary(mark)}, path)
    with pytest.raises(EngineError, match="not weights cellpose can use"):
        load_network(path, "cpu")
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", "half"])
def test_what_is_no_weights_file(trained: Path, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "file"
    whole_file = trained.read_bytes()
    path.write_bytes(content if isinstance(content, bytes) else whole_file[: len(whole_file) // 2])
    with pytest.raises(EngineError, match="not weights cellpose can use"):
        load_network(path, "cpu")


def test_tensors_that_make_no_network(cellpose: Installed, trained: Path, tmp_path: Path) -> None:
    torch = cellpose.torch
    state = torch.load(trained, weights_only=True)
    path = tmp_path / "file"
    partial = {name: value for index, (name, value) in enumerate(state.items()) if index != 3}
    for wrong in ({"anything": torch.zeros(2)}, partial, {**state, "more": "text"}, list(state.values())):
        torch.save(wrong, path)
        with pytest.raises(EngineError, match="not weights cellpose can use"):
            load_network(path, "cpu")


def test_weights_of_the_other_generation(cellpose: Installed, tmp_path: Path) -> None:
    path = tmp_path / "other"
    cellpose.torch.save(cellpose.other_weights(), path)
    with pytest.raises(EngineError, match=r"the weights belong to cellpose [34], installed is [34]\."):
        load_network(path, "cpu")


def test_dino_weights_need_their_package(cellpose: Installed, tmp_path: Path) -> None:
    if cellpose.generation != 4:
        pytest.skip("cellpose 3 has no DINO network")
    path = tmp_path / "dino"
    cellpose.torch.save({"W2": cellpose.torch.zeros(1), "encoder.cls_token": cellpose.torch.zeros(1)}, path)
    with pytest.raises(EngineError, match="dinov3"):
        load_network(path, "cpu")


def test_gpu_asked_for_and_absent(cellpose: Installed, trained: Path) -> None:
    if cellpose.torch.cuda.is_available() or cellpose.torch.backends.mps.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(EngineError, match="no GPU"):
        load_network(trained, "gpu")
    assert not load_network(trained, "auto").gpu


def test_gpu_memory_that_runs_out_is_said(
    cellpose: Installed, settings: CellSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SEGMENTERS.get("cellpose").load(settings)

    def full(*_: Any, **__: Any) -> NoReturn:
        raise cellpose.torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine.network.model, "eval", full)  # type: ignore[attr-defined]
    with pytest.raises(SpaceError, match="GPU's memory"):
        engine.segment(fields.field(64, seed=1)[0], fields.MPP, fields.PROFILE)


def test_retrained_weights_say_the_hash_to_pin(settings: CellSettings) -> None:
    assert settings.weights is not None
    digest = file_sha256(Path(settings.weights))
    with pytest.raises(EngineError, match=f"cells.weights_sha256: {digest}"):
        SEGMENTERS.get("cellpose").load(settings.model_copy(update={"weights_sha256": None}))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])
def test_what_torch_writes_may_be_fetched_if_it_is_tensors_alone(
    cellpose: Installed, trained: Path, tmp_path: Path, zipped: bool
) -> None:
    torch, path = cellpose.torch, tmp_path / "weights"
    refuse = supply_of(SEGMENTERS.get("cellpose")).refuse
    assert refuse is not None
    refuse(trained)
    state = torch.load(trained, weights_only=True)
    kinds = {"whole": state, "parameter": {"w": torch.nn.Parameter(torch.zeros(3))}}
    kinds["bfloat16"] = {name: value.bfloat16() for name, value in state.items()}
    for plain in kinds.values():
        torch.save(plain, path, _use_new_zipfile_serialization=zipped)
        refuse(path)
    for code in (torch.nn.Conv2d(1, 1, 1), {"w": Canary(tmp_path / "touched")}):
        torch.save(code, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(EngineError, match="would run"):
            refuse(path)
    assert not (tmp_path / "touched").exists()
