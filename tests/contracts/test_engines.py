"""What every segmenter must hold, and that a new one is one new file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tme.cells.engines
from tests.cell_scenes import MPP, all_tissue, nuclei_field, painted, profile_of
from tme.cells.engines import SEGMENTERS, Engine, Segmenter, load_engine
from tme.cells.stage import find_cells
from tme.config import CellSettings, Config
from tme.pipeline.inputs import engine_version
from tme.stains import STAINS
from tme.testing.memory import ArraySlide

CELL_STAINS = tuple(name for name, stain in STAINS.items() if "cells" in stain.targets)
READY = tuple(name for name, one in SEGMENTERS.items() if not one.needs_weights and one.missing() == "")
NEW_ENGINE = """
import cv2
import numpy as np

from tme.cells.engines import SEGMENTERS
from tme.cells.types import Detections


class Blobs:
    name, model_id, model_sha256 = "blobs", "blobs-1", ""
    mpp, core_px, halo_px, fixed_window, least = 0.5, 128, 32, True, 0.5
    licence, needs_weights = "of its own", False

    def missing(self):
        return ""

    def load(self, settings):
        return self

    def segment(self, rgb, mpp, profile):
        labels = cv2.connectedComponents((rgb[..., 0] < 150).astype(np.uint8))[1]
        return Detections(labels.astype(np.int32), np.full(labels.max(), 0.75, np.float32), self.least)


SEGMENTERS.add("blobs", Blobs())
"""


def ready(name: str) -> tuple[Segmenter, Engine]:
    """A segmenter and its engine, loaded."""
    segmenter = SEGMENTERS.get(name)
    return segmenter, segmenter.load(CellSettings(engine=name))


def test_at_least_one_engine_runs_without_weights() -> None:
    assert READY


@pytest.mark.parametrize("name", SEGMENTERS.names())
def test_a_segmenter_says_what_it_needs_to_know(name: str) -> None:
    segmenter = SEGMENTERS.get(name)
    assert segmenter.name == name
    assert isinstance(segmenter.missing(), str)
    assert isinstance(segmenter.needs_weights, bool)
    assert isinstance(segmenter.package, str)
    assert isinstance(segmenter.fixed_window, bool)
    assert segmenter.licence
    assert segmenter.core_px > 2 * segmenter.halo_px > 0
    assert 0.1 <= segmenter.mpp <= 0.65


@pytest.mark.parametrize("stain", CELL_STAINS)
@pytest.mark.parametrize("name", READY)
def test_labels_are_numbered_and_of_the_windows_shape(name: str, stain: str) -> None:
    segmenter, engine = ready(name)
    assert engine.model_id
    assert isinstance(engine.model_sha256, str)
    density, centres = nuclei_field((210, 170), seed=4)
    found = engine.segment(painted(density, profile_of(stain)), segmenter.mpp, profile_of(stain))
    assert found.labels.dtype == np.int32
    assert found.labels.shape == (210, 170)
    count = int(found.labels.max())
    assert np.array_equal(np.unique(found.labels), np.arange(count + 1))
    assert count == pytest.approx(len(centres), abs=2)
    assert found.til_prob is None or found.til_prob.shape == (count,)


@pytest.mark.parametrize("stain", CELL_STAINS)
@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("level", [0, 128, 245, 255])
def test_an_empty_window_has_no_cells(name: str, stain: str, level: int) -> None:
    segmenter, engine = ready(name)
    window = np.full((120, 140, 3), level, np.uint8)
    assert not engine.segment(window, segmenter.mpp, profile_of(stain)).labels.any()


@pytest.mark.parametrize("stain", CELL_STAINS)
@pytest.mark.parametrize("name", READY)
def test_the_same_window_gives_the_same_bytes_and_stays_as_it_was(name: str, stain: str) -> None:
    segmenter, engine = ready(name)
    rgb = np.random.default_rng(0).integers(60, 256, (150, 150, 3), dtype=np.uint8)
    rgb[20:130, 20:130] = painted(nuclei_field((110, 110), 2)[0], profile_of(stain))
    before = rgb.copy()
    first = engine.segment(rgb, segmenter.mpp, profile_of(stain))
    again = ready(name)[1].segment(rgb.copy(), segmenter.mpp, profile_of(stain))
    assert first.labels.tobytes() == again.labels.tobytes()
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("name", READY)
def test_sizes_of_the_settings_are_kept(name: str) -> None:
    segmenter = SEGMENTERS.get(name)
    rgb = painted(nuclei_field((200, 200), 3)[0], profile_of("HE"))

    def areas(low: float, high: float) -> NDArray[np.float64]:
        settings = CellSettings(engine=name, min_area_um2=low, max_area_um2=high)
        labels = segmenter.load(settings).segment(rgb, MPP, profile_of("HE")).labels
        return np.bincount(labels.ravel())[1:] * MPP**2

    everything = areas(10.0, 400.0)
    middle = float(np.median(everything))
    assert (areas(middle, 400.0) >= middle).all()
    assert (areas(10.0, middle) <= middle).all()
    assert 0 < len(areas(middle, 400.0)) < len(everything)


@pytest.fixture
def one_more_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engines' folder with a new file; all is undone afterwards."""
    SEGMENTERS.discover()
    (tmp_path / "blobs_engine.py").write_text(NEW_ENGINE, encoding="utf-8")
    monkeypatch.setattr(tme.cells.engines, "__path__", [*tme.cells.engines.__path__, str(tmp_path)])
    monkeypatch.setattr(SEGMENTERS, "_items", dict(SEGMENTERS._items))
    monkeypatch.setattr(SEGMENTERS, "_discovered", False)
    load_engine.cache_clear()
    yield
    load_engine.cache_clear()
    sys.modules.pop("tme.cells.engines.blobs_engine", None)


@pytest.mark.usefixtures("one_more_file")
def test_an_engine_is_added_by_one_new_file() -> None:
    assert "blobs" in SEGMENTERS.names()
    density, centres = nuclei_field((300, 260), 6)
    slide = ArraySlide(painted(density, profile_of("HE")), MPP)
    cells = find_cells(
        slide, all_tissue(slide), profile_of("HE"), STAINS.get("HE"), CellSettings(engine="blobs")
    )
    assert cells.table.num_rows == len(centres)
    assert cells.provenance["model_id"] == "blobs-1"
    assert set(cells.table["is_til"].to_pylist()) == {True}
    assert set(cells.table["class_prob"].to_pylist()) == {0.75}


@pytest.mark.usefixtures("one_more_file")
def test_an_engine_that_names_no_package_has_no_version() -> None:
    assert not hasattr(SEGMENTERS.get("blobs"), "package")
    assert engine_version(Config.model_validate({"cells": {"engine": "blobs"}})) == ""


@pytest.mark.usefixtures("one_more_file")
def test_an_engine_says_from_which_probability_on_a_cell_is_a_lymphocyte() -> None:
    slide = ArraySlide(painted(nuclei_field((300, 260), 6)[0], profile_of("HE")), MPP)
    SEGMENTERS.get("blobs").least = 0.8  # type: ignore[attr-defined]
    cells = find_cells(
        slide, all_tissue(slide), profile_of("HE"), STAINS.get("HE"), CellSettings(engine="blobs")
    )
    assert set(cells.table["is_til"].to_pylist()) == {False}
    assert set(cells.table["class_prob"].to_pylist()) == {0.25}


def test_the_new_engine_is_gone_again() -> None:
    assert "blobs" not in SEGMENTERS.names()
