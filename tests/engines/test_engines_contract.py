"""What every registered segmenter says of itself, and what a missing one tells the user."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from packaging.requirements import Requirement

from tests.engines import fields
from tme.cells.engines import SEGMENTERS, _cellpose_network, _optional, instanseg, load_engine, stardist
from tme.cells.engines import cellpose as entry
from tme.cells.engines._levels import channel_image, joint_image
from tme.cells.engines._weights import pinned_weights
from tme.cells.engines.cellpose import CellposeSegmenter, colour_image, nuclear_image
from tme.config import CellSettings
from tme.errors import ConfigError, EngineError
from tme.safety import file_sha256

OPTIONAL = {"cellpose": entry, "instanseg": instanseg, "stardist": stardist}


@pytest.mark.parametrize("name", SEGMENTERS.names())
def test_a_segmenter_says_what_it_is(name: str) -> None:
    segmenter = SEGMENTERS.get(name)
    assert segmenter.name == name
    assert 0.1 <= segmenter.mpp <= 1.0
    assert segmenter.core_px > 0
    assert segmenter.halo_px * segmenter.mpp >= 20, "the halo holds the largest nucleus"
    assert segmenter.licence
    assert isinstance(segmenter.missing(), str)
    assert isinstance(segmenter.needs_weights, bool)


def test_what_needs_nothing_is_ready() -> None:
    segmenter = SEGMENTERS.get("watershed")
    assert segmenter.missing() == ""
    assert not segmenter.needs_weights


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_engine_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> NoReturn:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(_optional, "version", absent)
    assert f"pip install 'tme[{name}]'" in SEGMENTERS.get(name).missing()
    load_engine.cache_clear()
    with pytest.raises(EngineError) as raised:
        load_engine(CellSettings(engine=name, weights="weights"))
    problem = raised.value.problem
    assert "is not installed" in problem.what
    assert f"pip install 'tme[{name}]'" in problem.fix
    assert "watershed" in problem.fix


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_engine_without_weights_says_what_to_fetch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = OPTIONAL[name].EXTRA
    monkeypatch.setattr(_optional, "version", lambda _: ".".join(map(str, extra.least)))
    monkeypatch.setattr(_optional, "find_spec", lambda _: True)
    assert SEGMENTERS.get(name).missing() == ""
    with pytest.raises(EngineError, match=f"no weights are named for the {name} engine") as raised:
        SEGMENTERS.get(name).load(CellSettings(engine=name))
    assert "https://" in raised.value.problem.fix
    assert "cells.weights" in raised.value.problem.fix


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_optional_engine_is_an_extra_of_the_package(name: str) -> None:
    extra = OPTIONAL[name].EXTRA
    assert extra.name == name
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [Requirement(text) for text in project["project"]["optional-dependencies"][name]]
    (package,) = [one for one in wanted if one.name == extra.package]
    assert ".".join(map(str, extra.least)) in package.specifier
    assert ".".join(map(str, extra.below)) not in package.specifier
    assert any(one.name.startswith(extra.runtime) for one in wanted)


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        ("2.3.2", False),
        ("3.0.11", False),
        ("3.1.1.2", True),
        ("4.2.1.1", True),
        ("4.0.1.dev3", True),
        ("5.0", False),
    ],
)
def test_versions_of_cellpose(found: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optional, "version", lambda _: found)
    monkeypatch.setattr(_optional, "find_spec", lambda _: True)
    reason = CellposeSegmenter().missing()
    assert (reason == "") is fits
    assert fits or found in reason


def test_torch_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optional, "version", lambda _: "3.1.1.2")
    monkeypatch.setattr(_optional, "find_spec", lambda _: None)
    assert "torch is not installed" in CellposeSegmenter().missing()


def test_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> NoReturn:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(_cellpose_network, "import_module", broken)
    with pytest.raises(EngineError, match=r"cannot be imported.*torchvision::nms") as raised:
        _cellpose_network.load_network(Path("weights"), "cpu")
    assert "torchvision" in raised.value.problem.fix


def test_weights_that_are_not_named() -> None:
    with pytest.raises(EngineError, match="no weights are named for the cellpose engine") as raised:
        pinned_weights(CellSettings(engine="cellpose"), {}, "fetch this")
    assert raised.value.problem.where == "cells.weights"
    assert raised.value.problem.fix.startswith("fetch this")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_weights_that_are_not_there(tmp_path: Path, name: str) -> None:
    settings = CellSettings(engine="cellpose", weights=str(tmp_path / name))
    with pytest.raises(EngineError, match="the weights are not there"):
        pinned_weights(settings, {}, "fetch this")


def test_weights_nobody_pinned(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"weights")
    settings = CellSettings(engine="cellpose", weights=str(path))
    with pytest.raises(EngineError, match="not pinned") as raised:
        pinned_weights(settings, {"other": "0" * 64}, "fetch this")
    assert f"cells.weights_sha256: {file_sha256(path)}" in raised.value.problem.fix


def test_pinned_weights_and_altered_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"weights")
    digest = file_sha256(path)
    plain = CellSettings(engine="cellpose", weights=str(path))
    assert pinned_weights(plain, {"mine": digest}, "") == (path, digest)
    named = plain.model_copy(update={"weights_sha256": digest})
    assert pinned_weights(named, {"mine": "0" * 64}, "") == (path, digest)
    path.write_bytes(b"weightz")
    for settings, known in ((plain, {"mine": digest}), (named, {})):
        with pytest.raises(ConfigError, match="not the ones pinned"):
            pinned_weights(settings, known, "")


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_published_names_are_pinned(name: str, tmp_path: Path) -> None:
    for published, digest in OPTIONAL[name].KNOWN_WEIGHTS.items():
        assert len(bytes.fromhex(digest)) == 32
        path = tmp_path / published
        path.write_bytes(b"something else under this name")
        with pytest.raises(ConfigError, match="not the ones pinned"):
            pinned_weights(CellSettings(engine=name, weights=str(path)), OPTIONAL[name].KNOWN_WEIGHTS, "")


def test_images_for_the_networks_are_scaled_by_the_slide() -> None:
    rgb, truth = fields.field(128, seed=1)
    grey = nuclear_image(rgb, fields.MPP, fields.PROFILE)
    colour = colour_image(rgb, fields.PROFILE)
    assert grey.dtype == colour.dtype == np.float32
    assert grey[truth > 0].mean() > 0.5 > 0.2 > grey[truth == 0].mean() >= 0
    assert colour[truth > 0].mean() < colour[truth == 0].mean() < 1
    # A piece of the window gives a piece of the image: nothing is read off the window itself.
    assert np.array_equal(colour_image(rgb[30:90, 10:70], fields.PROFILE), colour[30:90, 10:70])
    inner = nuclear_image(np.ascontiguousarray(rgb[30:90, 10:70]), fields.MPP, fields.PROFILE)[8:-8, 8:-8]
    assert np.array_equal(inner, grey[38:82, 18:62])
    glass = np.full((8, 8, 3), 245, np.uint8)
    assert np.allclose(colour_image(glass, fields.PROFILE), 1.0)
    assert not nuclear_image(glass, fields.MPP, fields.PROFILE).any()


@pytest.mark.parametrize("stretched", [joint_image, channel_image])
@pytest.mark.parametrize("counterstain_od", [0.0, 0.3, 0.6])
def test_levels_are_the_slides(stretched: Callable[..., NDArray[np.float32]], counterstain_od: float) -> None:
    rgb, truth = fields.field(128, seed=1)
    image = stretched(rgb, fields.PROFILE, counterstain_od)
    assert image.dtype == np.float32
    assert np.array_equal(stretched(rgb[30:90, 10:70], fields.PROFILE, counterstain_od), image[30:90, 10:70])
    assert image[truth > 0].mean() < image[truth == 0].mean() < 1
    glass = np.full((8, 8, 3), 245, np.uint8)
    assert np.allclose(stretched(glass, fields.PROFILE, counterstain_od), 1.0)
    # The darkest nuclei of the slide under the counterstain: each channel at 0, or the darkest of them.
    nuclear, second = np.asarray(fields.PROFILE.vectors[:2])
    dark = 245.0 * 10.0 ** -(1.5 * 0.6 * nuclear + counterstain_od * second)
    at_floor = stretched(dark[None, None], fields.PROFILE, counterstain_od)
    assert at_floor.min() == pytest.approx(0, abs=1e-6)
    assert bool(at_floor.max() < 1e-6) is (stretched is channel_image)
