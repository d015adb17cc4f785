"""µm per pixel: where it comes from, and when a slide is refused for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from slide_files import ome_xml, tissue, write_png, write_tiff, write_zarr

from tme.errors import SlideError
from tme.slide.reader import TiledSlide
from tme.slide.resolution import in_um, number, resolve
from tme.slide.source import Header, RawLevel

Opener = Callable[..., TiledSlide]
PICTURE = tissue(100, 120)


def header(x: float | None, y: float | None = None, power: float | None = None) -> Header:
    return Header((RawLevel(100, 100, 100, 100),), x, x if y is None else y, power)


def svs(path: Path, rest: str) -> Path:
    text = f"Aperio Image Library v11\r\n120x100 [0,0 120x100]|{rest}"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), photometric="rgb", description=text, metadata=None)
    return path


@pytest.mark.parametrize(
    ("rest", "mpp", "power"),
    [
        ("AppMag = 20|MPP = 0.4990", 0.499, 20),
        ("AppMag = 40|MPP = 0,2520|Date = 1", 0.252, 40),
        ("MPP = 0.25", 0.25, None),
    ],
)
def test_aperio(tmp_path: Path, opened: Opener, rest: str, mpp: float, power: float | None) -> None:
    info = opened(svs(tmp_path / "a.svs", rest)).info
    assert (info.mpp, info.mpp_source, info.objective_power, info.vendor) == (
        mpp,
        "metadata",
        power,
        "aperio",
    )
    assert info.cautions == ()


@pytest.mark.parametrize("rest", ["AppMag = 20", "MPP = ", "MPP = 0", "MPP = nan", "MPP = -0.5", "MPP = n/a"])
def test_aperio_without_resolution_is_refused(tmp_path: Path, opened: Opener, rest: str) -> None:
    path = svs(tmp_path / "a.svs", rest)
    with pytest.raises(SlideError, match=r"does not say how many µm.*column mpp.*a\.svs,0\.5"):
        opened(path)
    assert opened(path, 0.5).info.mpp_source == "sheet"


@pytest.mark.parametrize(
    ("value", "unit", "mpp"),
    [
        ("0.25", "µm", 0.25),
        ("0.25", "\u03bcm", 0.25),
        ("250", "nm", 0.25),
        ("0.0005", "mm", 0.5),
        ("0,5", "µm", 0.5),
    ],
)
def test_ome_units(tmp_path: Path, opened: Opener, value: str, unit: str, mpp: float) -> None:
    text = ome_xml(120, 100, mpp=value).replace(
        'PhysicalSizeX="', f'PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}" PhysicalSizeX="'
    )
    tifffile.imwrite(
        tmp_path / "a.ome.tif", PICTURE, photometric="rgb", description=text.encode(), metadata=None
    )
    assert opened(tmp_path / "a.ome.tif").info.mpp == pytest.approx(mpp)


@pytest.mark.parametrize(
    ("per_unit", "unit", "mpp"),
    [((40_000.0, 40_000.0), "CENTIMETER", 0.25), ((50_800.0, 50_800.0), "INCH", 0.5)],
)
def test_tiff_tags(
    tmp_path: Path, opened: Opener, per_unit: tuple[float, float], unit: str, mpp: float
) -> None:
    path = write_tiff(tmp_path / "a.tif", PICTURE, resolution=per_unit, resolutionunit=unit)
    assert opened(path).info.mpp == pytest.approx(mpp, rel=1e-6)


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 1200])
def test_screen_and_print_resolutions_count_as_missing(tmp_path: Path, opened: Opener, dpi: int) -> None:
    path = write_tiff(tmp_path / "a.tif", PICTURE, resolution=(dpi, dpi), resolutionunit="INCH")
    with pytest.raises(SlideError, match=r"does not say how many µm.*screen or print"):
        opened(path)


def test_imagej_unit(tmp_path: Path, opened: Opener) -> None:
    for unit in ("micron", r"\u00B5m"):
        path = write_tiff(
            tmp_path / "a.tif",
            PICTURE,
            resolution=(4.0, 4.0),
            resolutionunit="NONE",
            description=f"ImageJ=1.54f\nunit={unit}\n",
        )
        assert opened(path).info.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_scale_needs_a_unit(tmp_path: Path, opened: Opener, version: str) -> None:
    assert opened(write_zarr(tmp_path / "a.zarr", PICTURE, version)).info.mpp == 0.5
    path = write_zarr(tmp_path / "b.zarr", PICTURE, version, unit="pixel")
    with pytest.raises(SlideError, match="does not say"):
        opened(path)


def test_images_take_the_sheet_only(tmp_path: Path, opened: Opener) -> None:
    path = write_png(tmp_path / "a.png", PICTURE)
    with pytest.raises(SlideError, match="does not say"):
        opened(path)
    assert opened(path, 0.25).info.mpp == 0.25


@pytest.mark.parametrize("mpp", [0.02, 0.05, 0.0999, 2.01, 2.5, 5.0, 19.9])
@pytest.mark.parametrize("from_sheet", [True, False])
def test_absurd_values_are_refused(mpp: float, from_sheet: bool) -> None:
    with pytest.raises(SlideError, match=r"outside 0\.1-2"):
        resolve(Path("a.svs"), header(None if from_sheet else mpp), mpp if from_sheet else None)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sheet_value_must_be_a_resolution(mpp: float) -> None:
    with pytest.raises(SlideError, match="not a resolution"):
        resolve(Path("a.svs"), header(0.5), mpp)


@given(st.floats(0.1, 1.9), st.floats(0.9, 1.1))
def test_pixels_must_be_square_within_five_percent(mpp: float, ratio: float) -> None:
    both = header(mpp, mpp * ratio)
    if abs(both.mpp_x / both.mpp_y - 1) > 0.05:  # type: ignore[operator]
        with pytest.raises(SlideError, match="across"):
            resolve(Path("a.svs"), both, None)
    elif 0.1 <= (mpp + mpp * ratio) / 2 <= 2:
        assert resolve(Path("a.svs"), both, None).mpp == pytest.approx(mpp * (1 + ratio) / 2)


@pytest.mark.parametrize(
    ("power", "mpp", "told"), [(40, 0.25, False), (20, 0.5, False), (20, 0.23, True), (40, 0.5, True)]
)
def test_magnification_is_only_a_caution(power: float, mpp: float, told: bool) -> None:
    found = resolve(Path("a.svs"), header(mpp, power=power), None)
    assert found.mpp == mpp
    assert any("do not belong together" in caution for caution in found.cautions) == told


def test_the_sheet_wins_and_says_so() -> None:
    found = resolve(Path("a.svs"), header(0.25), 0.5)
    assert (found.mpp, found.source) == (0.5, "sheet")
    assert "the file 0.25" in found.cautions[0]
    assert resolve(Path("a.svs"), header(0.25), 0.252).cautions == ()
    assert resolve(Path("a.svs"), header(352.8), 0.5).cautions == ()


@given(st.floats(1e-3, 1e3))
def test_numbers_survive_a_decimal_comma(value: float) -> None:
    assert number(repr(value).replace(".", ",")) == value


def test_what_is_no_number_or_length() -> None:
    assert [number(text) for text in ("", "x", "nan", "inf", "-1", "0", None)] == [None] * 7
    assert in_um("1", "pixel") is None
    assert in_um("", "µm") is None
    assert in_um("2", "Å") == pytest.approx(2e-4)
    assert np.isclose(in_um(1, "inch") or 0, 25400)
