"""StarDist through the engine protocol: the real package, weights made here, nothing downloaded."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from tests.engines import fields, small_stardist
from tme.cells.engines import SEGMENTERS, _stardist_network, load_engine
from tme.cells.engines import stardist as entry
from tme.cells.engines._levels import JOINT_COUNTERSTAIN_OD, joint_image
from tme.cells.engines._stardist_network import load_network
from tme.cells.stage import find_cells
from tme.config import CellSettings
from tme.errors import ConfigError, EngineError
from tme.safety import file_sha256
from tme.stains import STAINS
from tme.testing.memory import ArraySlide
from tme.tissue.types import TissueMask

pytestmark = pytest.mark.skipif(
    find_spec("stardist") is None, reason="StarDist is not installed here; `make test-engines` tests it"
)
Files = dict[str, bytes]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """As the engine itself sets it, before anything is computed."""
    _stardist_network._one_thread(import_module("tensorflow"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A small network that finds the nuclei of `tests.engines.fields`, as the files StarDist keeps."""
    rgb, truth = fields.field(400, seed=1)
    image = joint_image(rgb, fields.PROFILE, JOINT_COUNTERSTAIN_OD)
    model = small_stardist.trained(image, truth, steps=70)
    return small_stardist.files_of(model, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def settings(files: Files, tmp_path_factory: pytest.TempPathFactory) -> CellSettings:
    """Settings that name the trained weights."""
    return naming(small_stardist.packed(files, tmp_path_factory.mktemp("weights") / "small.zip", "2D_he/"))


@pytest.fixture
def cleared_engines() -> Iterator[None]:
    """No engine of another test is handed out, and none of this test afterwards."""
    load_engine.cache_clear()
    yield
    load_engine.cache_clear()


def naming(path: Path) -> CellSettings:
    """Settings that name and pin an archive."""
    return CellSettings(engine="stardist", weights=str(path), weights_sha256=file_sha256(path))


def segmented(settings: CellSettings, rgb: Any) -> Any:
    """Labels of one window by an engine loaded for it."""
    return SEGMENTERS.get("stardist").load(settings).segment(rgb, fields.MPP, fields.PROFILE).labels


def test_nuclei_are_found_where_they_are(settings: CellSettings) -> None:
    rgb, truth = fields.field(512, seed=2)
    found = SEGMENTERS.get("stardist").load(settings).segment(rgb, fields.MPP, fields.PROFILE)
    assert found.labels.dtype == np.int32
    assert found.labels.shape == truth.shape
    assert found.til_prob is None
    assert np.array_equal(np.unique(found.labels), np.arange(found.labels.max() + 1))
    recall, precision = fields.found(found.labels, truth)
    assert recall > 0.95
    assert precision > 0.95


def test_what_a_slide_is_like_decides_not_the_window(
    settings: CellSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faint noise of a window without nuclei is not stretched until it looks like nuclei."""
    engine = SEGMENTERS.get("stardist").load(settings)
    network = engine.network.model.keras_model  # type: ignore[attr-defined]
    seen: list[Any] = []
    real = network.predict
    monkeypatch.setattr(network, "predict", lambda x, **options: seen.append(x) or real(x, **options))
    rgb, _ = fields.field(256, seed=3, pitch=1000)
    assert not engine.segment(rgb, fields.MPP, fields.PROFILE).labels.any()
    assert np.array_equal(seen[0][0], joint_image(rgb, fields.PROFILE, JOINT_COUNTERSTAIN_OD))
    glass = np.full_like(rgb, 245)
    assert not engine.segment(glass, fields.MPP, fields.PROFILE).labels.any()


def test_areas_outside_the_settings_are_dropped(settings: CellSettings) -> None:
    rgb, _ = fields.field(256, seed=4)
    every = segmented(settings, rgb)
    areas = np.bincount(every.ravel())[1:] * fields.MPP**2
    middle = float(np.median(areas))
    kept = segmented(settings.model_copy(update={"min_area_um2": middle}), rgb)
    assert kept.max() == (areas >= middle).sum()
    assert 0 < kept.max() < every.max()


def test_thresholds_are_those_of_the_weights(files: Files, tmp_path: Path) -> None:
    strict = files | {"thresholds.json": json.dumps({"prob": 0.99999, "nms": 0.4}).encode()}
    path = small_stardist.packed(strict, tmp_path / "strict.zip")
    assert not segmented(naming(path), fields.field(256, seed=4)[0]).any()


def test_same_bytes_again_and_from_several_threads(settings: CellSettings) -> None:
    windows = [fields.field(160, seed)[0] for seed in (5, 6, 7)]
    alone = [segmented(settings, rgb) for rgb in windows]
    again = SEGMENTERS.get("stardist").load(settings)
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
    segmenter = SEGMENTERS.get("stardist")
    monkeypatch.setattr(segmenter, "core_px", 192)
    monkeypatch.setattr(segmenter, "halo_px", 32)
    monkeypatch.setattr(segmenter, "mpp", fields.MPP)
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


def test_network_of_the_published_shape(tmp_path: Path) -> None:
    """1.4 M parameters; halo and window are fit for it."""
    model = small_stardist.network()
    path = small_stardist.packed(small_stardist.files_of(model, tmp_path), tmp_path / "full.zip")
    loaded = load_network(path).model
    assert loaded.keras_model.count_params() == 1_425_761
    segmenter = SEGMENTERS.get("stardist")
    assert max(loaded._axes_tile_overlap("YX")) <= segmenter.halo_px
    stride = loaded._axes_div_by("YX")
    assert stride == (16, 16)
    assert (segmenter.core_px + 2 * segmenter.halo_px) % stride[0] == 0
    for one, other in zip(model.keras_model.get_weights(), loaded.keras_model.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_pinned_hash_is_the_one_the_package_checks_against() -> None:
    details = import_module("csbdeep.models.pretrained").get_model_details
    _, _, published = details(import_module("stardist.models").StarDist2D, "2D_versatile_he")
    assert {Path(published["url"]).name: published["hash"]} == entry.KNOWN_WEIGHTS
    assert published["url"] in entry.FETCH


def test_no_network_is_touched(settings: CellSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionRefusedError("a run must not reach out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(import_module("csbdeep.models.pretrained"), "get_file", refuse)
    assert segmented(settings, fields.field(128, seed=9)[0]).any()


def test_a_real_network_may_be_fetched(settings: CellSettings) -> None:
    refuse = entry.StardistSegmenter.supply.refuse
    assert refuse is not None
    assert settings.weights is not None
    refuse(Path(settings.weights))


def test_altered_weights_are_refused_before_anything_reads_them(
    settings: CellSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.weights is not None
    content = bytearray(Path(settings.weights).read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "altered.zip"
    path.write_bytes(content)
    monkeypatch.setattr(_stardist_network, "opened", lambda *_: pytest.fail("read before it was checked"))
    with pytest.raises(ConfigError, match="not the ones pinned"):
        SEGMENTERS.get("stardist").load(settings.model_copy(update={"weights": str(path)}))


@pytest.mark.parametrize("lost", ["config.json", "thresholds.json", "weights_best.h5"])
def test_a_network_with_a_part_missing(files: Files, tmp_path: Path, lost: str) -> None:
    """StarDist would go on: with random weights, or thresholds of its own."""
    rest = {name: content for name, content in files.items() if name != lost}
    with pytest.raises(EngineError, match="once each"):
        load_network(small_stardist.packed(rest, tmp_path / "part.zip"))


def test_two_networks_in_one_archive(files: Files, tmp_path: Path) -> None:
    both = {f"{folder}/{name}": content for folder in "ab" for name, content in files.items()}
    with pytest.raises(EngineError, match="once each"):
        load_network(small_stardist.packed(both, tmp_path / "both.zip"))


def test_nothing_is_unpacked_elsewhere_and_nothing_stays(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    path = small_stardist.packed(files | {"../../stray.txt": b"x"}, tmp_path / "up.zip", "../../")
    assert load_network(path).model.config.n_rays == 16
    assert sorted(item.name for item in tmp_path.iterdir()) == ["room", "up.zip"]
    assert not list(room.iterdir())


def test_an_archive_that_unpacks_to_too_much(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stardist_network, "LARGEST_BYTES", 1000)
    with pytest.raises(EngineError, match="more than a gigabyte"):
        load_network(small_stardist.packed(files, tmp_path / "large.zip"))


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 and then nothing"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="not weights StarDist can use"):
        load_network(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights_best.h5": b"not HDF5"},
        {"config.json": b"not JSON"},
        {"config.json": b'{"axes": "YXC", "n_channel_in": 3, "backbone": "__import__"}'},
        {"thresholds.json": b"{}"},
        {"thresholds.json": b'{"prob": 0, "nms": 0.4}'},
        {"thresholds.json": b"[0.5, 0.4]"},
    ],
)
def test_files_that_make_no_network(files: Files, tmp_path: Path, wrong: Files) -> None:
    with pytest.raises(EngineError, match="not weights StarDist can use"):
        load_network(small_stardist.packed(files | wrong, tmp_path / "wrong.zip"))


def test_weights_of_another_shape(files: Files, tmp_path: Path) -> None:
    other = small_stardist.files_of(small_stardist.network(n_rays=8, unet_n_depth=2), tmp_path)
    mixed = files | {"weights_best.h5": other["weights_best.h5"]}
    with pytest.raises(EngineError, match="not weights StarDist can use"):
        load_network(small_stardist.packed(mixed, tmp_path / "mixed.zip"))


def test_a_network_for_grey_images(tmp_path: Path) -> None:
    grey = small_stardist.files_of(small_stardist.small(axes="YX", n_channel_in=1), tmp_path)
    with pytest.raises(EngineError, match="takes 1 channels, and tme gives RGB"):
        load_network(small_stardist.packed(grey, tmp_path / "grey.zip"))


def test_gpu_asked_for(settings: CellSettings) -> None:
    with pytest.raises(EngineError, match="CPU only"):
        SEGMENTERS.get("stardist").load(settings.model_copy(update={"device": "gpu"}))


def test_retrained_weights_say_the_hash_to_pin(settings: CellSettings) -> None:
    assert settings.weights is not None
    digest = file_sha256(Path(settings.weights))
    with pytest.raises(EngineError, match=f"cells.weights_sha256: {digest}"):
        SEGMENTERS.get("stardist").load(settings.model_copy(update={"weights_sha256": None}))
