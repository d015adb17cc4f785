"""InstanSeg through the engine protocol: the real package, weights made here, nothing downloaded."""

from __future__ import annotations

import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest

from tests.engines import fields, small_instanseg
from tme.cells.engines import SEGMENTERS, load_engine, supply_of
from tme.cells.engines._instanseg_network import load_network
from tme.cells.engines._levels import CHANNEL_COUNTERSTAIN_OD, channel_image
from tme.cells.stage import find_cells
from tme.config import CellSettings
from tme.errors import ConfigError, EngineError, SpaceError
from tme.safety import file_sha256
from tme.stains import STAINS
from tme.testing.memory import ArraySlide
from tme.tissue.types import TissueMask

pytestmark = [
    pytest.mark.skipif(
        find_spec("instanseg") is None,
        reason="InstanSeg is not installed here; `make test-engines` tests it",
    ),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Watched:
    """A loaded program that keeps what it is given; hooks are not for such programs."""

    def __init__(self, script: Any) -> None:
        self.script = script
        self.seen: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.script, name)

    def __call__(self, image: Any, **options: Any) -> Any:
        self.seen.append(image.numpy().copy())
        return self.script(image, **options)


@pytest.fixture(scope="module")
def torch() -> Any:
    """torch on one thread, as the engine sets it."""
    module = import_module("torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="module")
def trained(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TorchScript of a small network that finds the nuclei of `tests.engines.fields`."""
    net, loss = small_instanseg.network((64, 32, 16))
    rgb, truth = fields.field(400, seed=1)
    image = channel_image(rgb, fields.PROFILE, CHANNEL_COUNTERSTAIN_OD).transpose(2, 0, 1)
    small_instanseg.train(net, loss, image, truth, steps=60)
    return small_instanseg.exported(net, tmp_path_factory.mktemp("weights") / "small.pt")


@pytest.fixture
def settings(trained: Path) -> CellSettings:
    """Settings that name the trained weights."""
    return CellSettings(
        engine="instanseg", weights=str(trained), weights_sha256=file_sha256(trained), device="cpu"
    )


@pytest.fixture
def cleared_engines() -> Iterator[None]:
    """No engine of another test is handed out, and none of this test afterwards."""
    load_engine.cache_clear()
    yield
    load_engine.cache_clear()


def test_nuclei_are_found_where_they_are(settings: CellSettings) -> None:
    rgb, truth = fields.field(512, seed=2)
    found = SEGMENTERS.get("instanseg").load(settings).segment(rgb, fields.MPP, fields.PROFILE)
    assert found.labels.dtype == np.int32
    assert found.labels.shape == truth.shape
    assert found.til_prob is None
    assert np.array_equal(np.unique(found.labels), np.arange(found.labels.max() + 1))
    recall, precision = fields.found(found.labels, truth)
    assert recall > 0.95
    assert precision > 0.95


def test_an_image_of_another_resolution_is_brought_to_that_of_the_network(settings: CellSettings) -> None:
    rgb, truth = fields.field(224, seed=2)
    twice = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    engine = SEGMENTERS.get("instanseg").load(settings)
    labels = engine.segment(np.asarray(twice), fields.MPP / 2, fields.PROFILE).labels
    assert labels.shape == (448, 448)
    recall, precision = fields.found(labels[::2, ::2], truth)
    assert recall > 0.9
    assert precision > 0.9


def test_what_a_slide_is_like_decides_not_the_window(settings: CellSettings) -> None:
    """The faint noise of a window without nuclei is not stretched until it looks like nuclei."""
    engine = SEGMENTERS.get("instanseg").load(settings)
    watched = Watched(engine.network.model.instanseg)  # type: ignore[attr-defined]
    engine.network.model.instanseg = watched  # type: ignore[attr-defined]
    rgb, _ = fields.field(256, seed=3, pitch=1000)
    assert not engine.segment(rgb, fields.MPP, fields.PROFILE).labels.any()
    image = channel_image(rgb, fields.PROFILE, CHANNEL_COUNTERSTAIN_OD)
    assert np.array_equal(watched.seen[0], image.transpose(2, 0, 1)[None])
    glass = np.full_like(rgb, 245)
    assert not engine.segment(glass, fields.MPP, fields.PROFILE).labels.any()


def test_areas_outside_the_settings_are_dropped(settings: CellSettings) -> None:
    rgb, _ = fields.field(256, seed=4)
    segmenter = SEGMENTERS.get("instanseg")
    every = segmenter.load(settings).segment(rgb, fields.MPP, fields.PROFILE).labels
    areas = np.bincount(every.ravel())[1:] * fields.MPP**2
    middle = float(np.median(areas))
    some = settings.model_copy(update={"min_area_um2": middle})
    kept = segmenter.load(some).segment(rgb, fields.MPP, fields.PROFILE).labels
    assert kept.max() == (areas >= middle).sum()
    assert 0 < kept.max() < every.max()


def test_same_bytes_again_and_from_several_threads(torch: Any, settings: CellSettings) -> None:
    """Also after torch has specialised the program on what it saw in the first calls."""
    windows = [fields.field(160, seed)[0] for seed in (5, 6, 7)]
    engine = SEGMENTERS.get("instanseg").load(settings)
    alone = [engine.segment(rgb, fields.MPP, fields.PROFILE).labels for rgb in windows]
    assert torch.get_num_threads() == 1
    again = SEGMENTERS.get("instanseg").load(settings)
    with ThreadPoolExecutor(3) as pool:
        together = list(
            pool.map(lambda rgb: again.segment(rgb, fields.MPP, fields.PROFILE).labels, windows * 2)
        )
    for one, other in zip(alone * 2, together, strict=True):
        assert one.any()
        assert one.tobytes() == other.tobytes()


@pytest.mark.usefixtures("cleared_engines")
def test_slide_in_fixed_windows(settings: CellSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window has one shape, also at the edge; each nucleus is counted once; tasks change nothing."""
    segmenter = SEGMENTERS.get("instanseg")
    monkeypatch.setattr(segmenter, "core_px", 192)
    monkeypatch.setattr(segmenter, "halo_px", 32)
    rgb, truth = fields.field(308, seed=8)
    slide = ArraySlide(rgb, fields.MPP)
    tissue = TissueMask(4.0, 154.0, 154.0, np.ones((39, 39), bool), np.zeros((39, 39), np.uint8), False, 1)
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
    assert seen == [(256, 256, 3)] * 8
    assert tables[0].table.equals(tables[1].table)
    assert tables[0].table.num_rows == truth.max()
    assert tables[0].provenance["model_id"] == engine.model_id
    assert tables[0].provenance["model_sha256"] == settings.weights_sha256


def test_network_of_the_published_shape(torch: Any, tmp_path: Path) -> None:
    """3.8 M parameters; the halo holds all it sees."""
    net, _ = small_instanseg.network(small_instanseg.PUBLISHED_LAYERS)
    path = small_instanseg.exported(net, tmp_path / "full.pt")
    script = load_network(path, "cpu").model.instanseg
    weights = script.fcn.parameters()
    assert sum(part.numel() for part in weights) == pytest.approx(3.82e6, rel=0.01)
    for part in net.parameters():
        part.data.abs_()  # so that no two ways through the network cancel out
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    net(image)[0, :, 128, 128].sum().backward()
    rows = torch.nonzero(image.grad.abs().sum((0, 1, 3)))
    segmenter = SEGMENTERS.get("instanseg")
    assert 0 < 128 - int(rows.min()) <= segmenter.halo_px
    assert 0 < int(rows.max()) - 128 <= segmenter.halo_px
    assert (segmenter.core_px + 2 * segmenter.halo_px) % 32 == 0


def test_no_network_is_touched(settings: CellSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionRefusedError("a run must not reach out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(import_module("instanseg.utils.utils"), "download_model", refuse)
    engine = SEGMENTERS.get("instanseg").load(settings)
    assert engine.segment(fields.field(128, seed=9)[0], fields.MPP, fields.PROFILE).labels.any()


def test_a_real_network_may_be_fetched(trained: Path) -> None:
    refuse = supply_of(SEGMENTERS.get("instanseg")).refuse
    assert refuse is not None
    refuse(trained)


def test_weights_nobody_pinned_or_that_were_altered_are_never_read(
    torch: Any, settings: CellSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file holds code, so not even its published name is enough."""
    assert settings.weights is not None
    content = bytearray(Path(settings.weights).read_bytes())
    path = tmp_path / "instanseg.pt"
    path.write_bytes(content)
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("read before it was checked"))
    unpinned = settings.model_copy(update={"weights": str(path), "weights_sha256": None})
    with pytest.raises(EngineError, match=f"cells.weights_sha256: {file_sha256(path)}"):
        SEGMENTERS.get("instanseg").load(unpinned)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not the ones pinned"):
        SEGMENTERS.get("instanseg").load(settings.model_copy(update={"weights": str(path)}))


def test_code_that_reaches_files_is_refused(torch: Any, tmp_path: Path) -> None:
    """Torch's own interpreter would run it: the file it makes shows that the danger is real."""
    mark = tmp_path / "mark"

    class Reaching(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.pixel_size = 0.5
            self.cells_and_nuclei = False
            self.name = str(mark)

        def forward(self, x):  # type: ignore
            return x + torch.from_file(self.name, True, 4).sum()

    path = tmp_path / "reaching.pt"
    torch.jit.script(Reaching()).save(str(path))
    with pytest.raises(EngineError, match="read or write files"):
        load_network(path, "cpu")
    assert not mark.exists()
    torch.jit.load(str(path))(torch.zeros(1))
    assert mark.exists()


def test_no_other_operator_of_torch_reaches_files(torch: Any) -> None:
    schemas = torch._C._jit_get_all_schemas()
    words = ("file", "path", "directory", "url")
    reaching = {
        schema.name
        for schema in schemas
        for argument in schema.arguments
        if argument.type.str() == "str" and any(word in argument.name for word in words)
    }
    assert reaching == {"aten::from_file", "aten::save"}


@pytest.mark.parametrize("content", [b"", b"not weights", "half"])
def test_what_is_no_weights_file(trained: Path, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "file.pt"
    whole_file = trained.read_bytes()
    path.write_bytes(content if isinstance(content, bytes) else whole_file[: len(whole_file) // 2])
    with pytest.raises(EngineError, match="not weights InstanSeg can use"):
        load_network(path, "cpu")


def test_tensors_without_their_program(torch: Any, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save(dict(torch.jit.load(str(trained)).state_dict()), path)
    with pytest.raises(EngineError, match="no TorchScript code"):
        load_network(path, "cpu")


def test_the_archive_as_published_says_what_to_unpack(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "brightfield_nuclei.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(trained, "instanseg.pt")
        archive.writestr("rdf.yaml", "name: brightfield_nuclei")
    with pytest.raises(EngineError, match="the published archive") as raised:
        load_network(path, "cpu")
    assert "unpack" in raised.value.problem.fix


def test_a_network_of_another_kind(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.jit.script(torch.nn.Conv2d(3, 3, 1)).save(str(path))
    with pytest.raises(EngineError, match="at how many µm/px it works"):
        load_network(path, "cpu")


def test_gpu_asked_for_and_absent(torch: Any, trained: Path) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(EngineError, match="no GPU"):
        load_network(trained, "gpu")


def test_gpu_memory_that_runs_out_is_said(
    torch: Any, settings: CellSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SEGMENTERS.get("instanseg").load(settings)

    def full(*_: Any, **__: Any) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine.network.model, "eval_small_image", full)  # type: ignore[attr-defined]
    with pytest.raises(SpaceError, match="GPU's memory"):
        engine.segment(fields.field(64, seed=1)[0], fields.MPP, fields.PROFILE)
