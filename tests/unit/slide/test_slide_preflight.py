"""Preflight: what it lets through, what it refuses, and that nothing brings it down."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_files import Pixels, halved, ome_xml, tissue, write_ome, write_png, write_tiff

from tme.errors import Problem
from tme.slide.colours import colour_fault, survey_colours
from tme.slide.hashing import fingerprint
from tme.slide.pool import Job, preflight_many
from tme.slide.preflight import Preflight, preflight

PICTURE = tissue(300, 400)


def ycbcr(pixels: Pixels) -> Pixels:
    """YCbCr in the place of RGB: what a wrong colour tag shows."""
    red, green, blue = np.moveaxis(pixels.astype(float), 2, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [luminance, 128 + 0.564 * (blue - luminance), 128 + 0.713 * (red - luminance)]
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def fluorescence() -> Pixels:
    out = np.zeros_like(PICTURE)
    out[..., 2] = 255 - PICTURE[..., 1]
    return (out * 0.5).astype(np.uint8)


GLASS = np.full_like(PICTURE, 243)
FAULTY = {
    "ycbcr": (ycbcr(PICTURE), "do not darken together"),
    "ycbcr of glass": (ycbcr(GLASS), "brightest parts are strongly coloured"),
    "inverted": (255 - PICTURE // 8 * 8 // 2 * 2, ""),
    "fluorescence": (fluorescence(), "dark throughout"),
    "black": (np.zeros_like(PICTURE), "dark throughout"),
    "grey": (np.repeat(PICTURE[..., 1:2], 3, axis=2), "three channels are the same"),
}


@pytest.mark.parametrize("name", [name for name in FAULTY if FAULTY[name][1]])
def test_impossible_colours(tmp_path: Path, name: str) -> None:
    pixels, why = FAULTY[name]
    found = preflight(write_png(tmp_path / "a.png", pixels), 0.5)
    assert found.info is None
    assert [problem.what for problem in found.problems] == [
        "colours that cannot be a stained section on glass"
    ]
    assert why in found.problems[0].why


def _pen() -> Pixels:
    pixels = PICTURE.copy()
    pixels[50:90, 20:380] = (20, 120, 60)
    return pixels


@pytest.mark.parametrize(
    "pixels",
    [
        PICTURE,
        GLASS,
        _pen(),
        tissue(40, 40),
        np.full_like(PICTURE, 255),
        np.full_like(PICTURE, (225, 160, 190)),
    ],
    ids=["tissue", "glass", "pen", "small", "white", "all pink"],
)
def test_possible_colours(pixels: Pixels) -> None:
    assert colour_fault(survey_colours(pixels)) == ""


@pytest.mark.shared
def test_no_field_of_the_shared_sets_is_refused(shared_data: Path) -> None:
    files = [
        file
        for folder in ("he", "ihc", "vessel")
        for file in sorted((shared_data / folder).rglob("*"))
        if file.suffix in {".png", ".jpg", ".webp"}
    ]
    refused = [(file.name, found.problems) for file in files[::9] if not (found := preflight(file, 0.5)).ok]
    assert len(files) > 300
    assert refused == []


def test_a_good_slide(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PICTURE, levels=2)
    found = preflight(path)
    assert found.ok
    assert found.problems == ()
    assert found.fingerprint == fingerprint(path)
    assert found.info is not None
    assert len(found.info.levels) == 3


def test_a_level_of_another_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as tiff:
        common = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        tiff.write(PICTURE, description=ome_xml(400, 300), subifds=2, **common)
        tiff.write(halved(PICTURE), subfiletype=1, **common)
        tiff.write(halved(halved(tissue(300, 400, seed=9)))[:, ::-1], subfiletype=1, **common)
    found = preflight(path)
    assert found.info is None
    assert [problem.what for problem in found.problems] == ["level 2 shows another picture than level 1"]


@pytest.mark.parametrize(
    ("mpp", "kind", "words"),
    [
        (0.5, None, []),
        (0.66, None, ["cells are not counted above 0.65"]),
        (0.66, "vessels", []),
        (1.2, None, ["cells are not counted", "vessels are not measured above 1.1"]),
        (1.2, "vessels", ["vessels are not measured"]),
    ],
)
def test_a_coarse_scan_is_told(tmp_path: Path, mpp: float, kind: str | None, words: list[str]) -> None:
    found = preflight(write_png(tmp_path / "a.png", PICTURE), mpp, kind)
    assert found.ok
    assert all(problem.severity == "caution" for problem in found.problems)
    assert all(word in found.problems[0].what for word in words)
    assert bool(found.problems) == bool(words)


def test_damage_inside_is_met_by_the_sample(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", PICTURE, tile=(64, 64), compression="zstd")
    with tifffile.TiffFile(path) as tiff:
        start, end = tiff.pages.first.dataoffsets[0], path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(bytes(end - start))
    found = preflight(path)
    assert found.info is None
    assert "cannot be decoded" in found.problems[0].what
    assert found.fingerprint


def test_missing_file(tmp_path: Path) -> None:
    assert preflight(tmp_path / "a.svs") == Preflight(
        None,
        "",
        (
            Problem(
                "a.svs",
                "there is no such file",
                "",
                "check the path in the column slide; it is relative to the sheet",
            ),
        ),
    )


def moody(path: Path, mpp: float | None, stain_kind: str | None) -> Preflight:
    """A check that some files kill, and some keep busy for ever."""
    if path.name == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "sleeper":
        time.sleep(600)
    return Preflight(None, path.name, ())


def test_a_crash_or_hang_is_one_files_problem() -> None:
    names = ["a", "killer", "b", "sleeper", "c", "killer", "d"]
    began = time.monotonic()
    found = preflight_many([Job(Path(name)) for name in names], workers=2, timeout_s=1.5, check=moody)
    assert time.monotonic() - began < 60
    assert [answer.fingerprint for answer in found] == ["a", "", "b", "", "c", "", "d"]
    assert "ended its process" in found[1].problems[0].what
    assert "longer than 1.5 s" in found[3].problems[0].what


def test_many_in_order(tmp_path: Path) -> None:
    good = write_png(tmp_path / "a.png", PICTURE)
    jobs = [Job(good, 0.5), Job(tmp_path / "none.svs"), Job(good, None), Job(good, 0.5)]
    found = preflight_many(jobs)
    assert [answer.ok for answer in found] == [True, False, False, True]
    assert found[0] == preflight(good, 0.5)
    assert preflight_many([]) == []
