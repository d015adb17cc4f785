"""Files of synthetic slides: what readers see in them, and that nothing random is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from tme.testing.writers import WRITERS


def picture() -> np.ndarray:
    """A smooth (1100, 2300, 3) picture: JPEG keeps it nearly as it is."""
    y, x = np.mgrid[0:1100, 0:2300]
    layers = [(x / 10) % 256, np.full(x.shape, 140), 200 - y / 8]
    return np.stack([np.clip(layer, 0, 255) for layer in layers], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for suffix, write in WRITERS.items():
        made[suffix] = folder / f"slide{suffix}"
        write(made[suffix], picture(), 0.5, 90)
    return made


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_pixels_come_back(suffix: str, files: dict[str, Path]) -> None:
    seen = tifffile.imread(files[suffix], key=0)
    inner = np.s_[:, :2200]
    difference = np.abs(seen[inner].astype(int) - picture()[inner])
    assert seen.shape == (1100, 2300, 3)
    assert np.median(difference) <= 2


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_same_pixels_same_bytes_and_no_trace_of_the_machine(
    suffix: str, files: dict[str, Path], tmp_path: Path
) -> None:
    again = tmp_path / files[suffix].name
    WRITERS[suffix](again, picture(), 0.5, 90)
    data = again.read_bytes()
    assert data == files[suffix].read_bytes()
    for trace in (b"tifffile", b"uuid", b"UUID", str(tmp_path).encode(), b"Date", b"Time"):
        assert trace not in data


def test_svs_opens_as_aperio_with_resolution_and_thumbnail_only(files: dict[str, Path]) -> None:
    with openslide.OpenSlide(files[".svs"]) as slide:
        assert slide.properties[openslide.PROPERTY_NAME_VENDOR] == "aperio"
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == 0.5
        assert slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER] == "20"
        assert slide.level_dimensions == ((2300, 1100), (575, 275))
        assert list(slide.associated_images) == ["thumbnail"]


def test_generic_tiff_has_its_levels_and_resolution(files: dict[str, Path]) -> None:
    with openslide.OpenSlide(files[".tif"]) as slide:
        assert slide.level_dimensions == ((2300, 1100), (575, 275))
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.5)


def test_ome_tiff_names_its_physical_size_and_keeps_its_pyramid_in_subifds(files: dict[str, Path]) -> None:
    with tifffile.TiffFile(files[".ome.tif"]) as tiff:
        assert tiff.is_ome
        assert len(tiff.pages) == 1
        assert [level.shape for level in tiff.series[0].levels] == [(1100, 2300, 3), (275, 575, 3)]
        meta = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (meta["PhysicalSizeX"], meta["PhysicalSizeY"], meta["PhysicalSizeXUnit"]) == (0.5, 0.5, "µm")
    assert (meta["SizeX"], meta["SizeY"], meta["SizeC"]) == (2300, 1100, 3)


def test_a_small_picture_has_one_level(tmp_path: Path) -> None:
    for suffix, write in WRITERS.items():
        write(tmp_path / f"small{suffix}", picture()[:300, :400], 0.25, 80)
        assert tifffile.imread(tmp_path / f"small{suffix}", key=0).shape == (300, 400, 3)
