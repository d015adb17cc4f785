"""Before any compute: open, check the header, decode a sample, look at the colours.

A bad file is an answer here, never an exception. `preflight_many` does it in child processes, so
that a file that crashes or hangs a decoder is one file's problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tme.errors import Problem, TileError, TmeError
from tme.slide.colours import LUMINANCE, colour_fault, survey_colours
from tme.slide.damage import spares
from tme.slide.guards import decoding, shown
from tme.slide.hashing import fingerprint
from tme.slide.open import open_slide
from tme.slide.reader import TiledSlide
from tme.slide.types import RGB, SlideInfo

SAMPLES = 8
SAMPLE_PX = 256
SURVEY_PX = 512
WHOLE_LEVEL_PIXELS = 4_000_000
MOSAIC = 6
SPOT_PX = 64
SPOTS = 9
CELL_PX = 8
MIN_LEVEL_CORRELATION = 0.8
MIN_LEVEL_CONTRAST = 4.0
MAX_MPP_CELLS = 0.65
MAX_MPP_VESSELS = 1.1
# Steps of the golden ratio and its square: points that never line up with a grid of tiles.
GOLDEN = (0.6180339887498949, 0.7548776662466927)


@dataclass(frozen=True)
class Preflight:
    """What is known of one slide file before anything is computed.

    Attributes
    ----------
    info : SlideInfo or None
        None if the file cannot be used.
    fingerprint : str
        See `tme.slide.hashing.fingerprint`; empty if the file cannot be read.
    problems : tuple of Problem
        Severity ``error`` means the slide is refused.
    """

    info: SlideInfo | None
    fingerprint: str
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands against computing this slide."""
        return self.info is not None


def preflight(path: Path, mpp: float | None = None, stain_kind: str | None = None) -> Preflight:
    """Check one slide in at most a few seconds; never raises for a bad file.

    Parameters
    ----------
    path : Path
    mpp : float, optional
        µm/px from the sheet.
    stain_kind : {"cells", "vessels"}, optional
        What will be measured, for cautions about a coarse scan; None: both are named.
    """
    path = Path(path)
    mark = ""
    try:
        mark = fingerprint(path)
        with decoding(path):
            info, problems = _checked(path, mpp, stain_kind)
    except TmeError as error:
        return Preflight(None, mark, error.problems)
    refused = any(problem.severity == "error" for problem in problems)
    return Preflight(None if refused else info, mark, problems)


def _checked(path: Path, mpp: float | None, stain_kind: str | None) -> tuple[SlideInfo, tuple[Problem, ...]]:
    slide = open_slide(path, mpp)
    try:
        return slide.info, _seen(slide, shown(path), stain_kind)
    except TileError as error:
        if not spares(slide):
            raise
        damaged = Problem(
            shown(path), error.problem.what, error.problem.why, "its area is left out", severity="caution"
        )
    finally:
        slide.close()
    # A second damaged tile among so few that are looked at is no single spot: that one is an error.
    slide = open_slide(path, mpp, slide.failed)
    try:
        return slide.info, (damaged, *_seen(slide, shown(path), stain_kind))
    finally:
        slide.close()


def _seen(slide: TiledSlide, where: str, stain_kind: str | None) -> tuple[Problem, ...]:
    """Problems and cautions of an open slide, read where a sample is."""
    problems = [Problem(where, caution, severity="caution") for caution in slide.info.cautions]
    problems += _coarse(where, slide.info.mpp, stain_kind)
    for level, x, y in _sample(slide):
        slide.read(x, y, SAMPLE_PX, SAMPLE_PX, slide.info.levels[level].mpp)
    problems += _colours(where, slide)
    problems += _levels(where, slide)
    return tuple(problems)


def _coarse(where: str, mpp: float, stain_kind: str | None) -> list[Problem]:
    lost = []
    if mpp > MAX_MPP_CELLS and stain_kind != "vessels":
        lost.append(f"cells are not counted above {MAX_MPP_CELLS:g}")
    if mpp > MAX_MPP_VESSELS and stain_kind != "cells":
        lost.append(f"vessels are not measured above {MAX_MPP_VESSELS:g}")
    if not lost:
        return []
    return [
        Problem(
            where,
            f"the scan has {mpp:.3g} µm/px; " + " and ".join(lost),
            "nuclei and thin walls are a few pixels wide there",
            "scan it at 20x (0.5 µm/px) or finer",
            "caution",
        )
    ]


def _sample(slide: TiledSlide) -> Iterator[tuple[int, int, int]]:
    """(level, x, y) of the sample: every level at least once, level 0 most often."""
    levels = len(slide.info.levels)
    for index in range(max(SAMPLES, levels)):
        level = slide.info.levels[index % levels]
        across, down = ((0.5 + step * index) % 1.0 for step in GOLDEN)
        x = int(across * max(level.width - SAMPLE_PX, 0))
        yield index % levels, x, int(down * max(level.height - SAMPLE_PX, 0))


def _colours(where: str, slide: TiledSlide) -> list[Problem]:
    fault = colour_fault(survey_colours(small_picture(slide)))
    if not fault:
        return []
    return [
        Problem(
            where,
            "colours that cannot be a stained section on glass",
            fault,
            "export the brightfield scan again as RGB; if other viewers show wrong colours too, "
            "the file's colour tag is wrong",
        )
    ]


def small_picture(slide: TiledSlide) -> RGB:
    """The whole slide at about 512 px; a mosaic of spots where no coarse level makes that cheap."""
    coarsest = slide.info.levels[-1]
    if coarsest.width * coarsest.height <= WHOLE_LEVEL_PIXELS:
        mpp = max(coarsest.mpp, coarsest.mpp * max(coarsest.width, coarsest.height) / SURVEY_PX)
        return slide.read(0, 0, *slide.info.size_at(mpp), mpp)
    spots = _spots(coarsest.width, coarsest.height, MOSAIC)
    parts = [slide.read(x, y, SPOT_PX, SPOT_PX, coarsest.mpp) for x, y in spots]
    return np.concatenate(parts)


def _spots(width: int, height: int, side: int) -> list[tuple[int, int]]:
    across = [int((i + 0.5) / side * width) - SPOT_PX // 2 for i in range(side)]
    down = [int((i + 0.5) / side * height) - SPOT_PX // 2 for i in range(side)]
    return [(max(x, 0), max(y, 0)) for y in down for x in across]


def _levels(where: str, slide: TiledSlide) -> list[Problem]:
    """Whether each level shows what the level above it shows."""
    problems = []
    for index, level in enumerate(slide.info.levels[1:], start=1):
        side = int(SPOTS**0.5)
        finer, own = [], []
        for x, y in _spots(level.width, level.height, side):
            box = (x, y, min(SPOT_PX, level.width - x), min(SPOT_PX, level.height - y))
            finer.append(_cells(slide.read_from(index - 1, *box, level.mpp)))
            own.append(_cells(slide.read_from(index, *box, level.mpp)))
        if _disagree(np.concatenate(finer), np.concatenate(own)):
            problems.append(
                Problem(
                    where,
                    f"level {index} shows another picture than level {index - 1}",
                    "tissue would be found on one picture and cells on another",
                    "export the slide again",
                )
            )
    return problems


def _cells(pixels: RGB) -> NDArray[np.float64]:
    """Mean luminance of 8 x 8 px cells, flat; what a sharper or shifted level has in common."""
    luminance = pixels.astype(np.float64) @ np.array(LUMINANCE)
    rows, columns = (max(side // CELL_PX, 1) for side in luminance.shape)
    cut = luminance[: rows * CELL_PX, : columns * CELL_PX]
    grid = cut.reshape(rows, cut.shape[0] // rows, columns, cut.shape[1] // columns)
    return np.asarray(grid.mean(axis=(1, 3)).ravel())


def _disagree(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    if max(first.std(), second.std()) < MIN_LEVEL_CONTRAST:
        return abs(float(first.mean() - second.mean())) > 10 * MIN_LEVEL_CONTRAST
    if min(first.std(), second.std()) == 0:
        return True
    return float(np.corrcoef(first, second)[0, 1]) < MIN_LEVEL_CORRELATION
