"""Which fields are shown at full resolution, and what lies in them.

Fields are drawn from four strata so that a reader sees more than the best-looking place: the
highest density, the median, random places of a fixed seed, and the border of an artefact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.geometry import Box
from tme.overlay.density import Counted, per_square
from tme.slide.types import SlideInfo
from tme.tissue.types import TissueMask
from tme.units import px_to_um, um2_to_mm2, um_to_whole_px

FIELD_MPP = 0.5
SEED = 20150
MIN_USABLE = 0.5
BORDER_USABLE = 0.2
BORDER_ARTEFACT = 0.05

HIGHEST, MEDIAN, RANDOM, BORDER = "highest density", "median density", "random", "artefact border"
ORDER = (HIGHEST, MEDIAN, RANDOM, BORDER)
CYCLE = (HIGHEST, MEDIAN, RANDOM, BORDER, HIGHEST, RANDOM)


@dataclass(frozen=True)
class Field:
    """One rectangle shown at full resolution.

    Attributes
    ----------
    box : Box
        Pixels at ``mpp``.
    mpp : float
        µm/px it is shown at.
    reason : str
        One of `ORDER`.
    """

    box: Box
    mpp: float
    reason: str

    @property
    def x_um(self) -> float:
        """Left edge, µm from the slide's corner."""
        return px_to_um(self.box.x0, self.mpp)

    @property
    def y_um(self) -> float:
        """Upper edge, µm from the slide's corner."""
        return px_to_um(self.box.y0, self.mpp)

    @property
    def width_um(self) -> float:
        """Width, µm."""
        return px_to_um(self.box.width, self.mpp)

    @property
    def height_um(self) -> float:
        """Height, µm."""
        return px_to_um(self.box.height, self.mpp)


@dataclass(frozen=True, eq=False)
class _Places:
    """Candidate fields on a grid of half a side: (H, W) each, corners (H,) and (W,) in px."""

    density: NDArray[np.float64]
    usable: NDArray[np.float64]
    artefact: NDArray[np.float64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]


def choose_fields(
    info: SlideInfo, tissue: TissueMask, counted: Counted | None, number: int, side_um: float
) -> tuple[Field, ...]:
    """At most ``number`` fields of ``side_um`` that do not overlap, the same on every run.

    Returns
    -------
    tuple of Field
        In the order highest, median, random, artefact border; fewer where the tissue is small,
        none where there is no tissue.
    """
    mpp = info.working_mpp(max(FIELD_MPP, info.mpp))
    width, height = info.size_at(mpp)
    side = um_to_whole_px(side_um, mpp)
    places = _places(tissue, counted, side_um / 2, (height, width), side, mpp)
    free = places.usable > 0
    picks: list[tuple[str, Box]] = []
    for index in range(number):
        found = _pick(places, free, CYCLE[index % len(CYCLE)])
        if found is None:
            break
        reason, row, column = found
        y0, x0 = int(places.top[row]), int(places.left[column])
        picks.append((reason, Box(y0, x0, y0 + side, x0 + side).clip(width, height)))
        beside = (np.abs(places.top - y0) >= side)[:, None] | (np.abs(places.left - x0) >= side)[None, :]
        free = free & beside
    picks.sort(key=lambda pick: ORDER.index(pick[0]))
    return tuple(Field(box, mpp, reason) for reason, box in picks)


def _places(
    tissue: TissueMask, counted: Counted | None, half_um: float, size: tuple[int, int], side: int, mpp: float
) -> _Places:
    sums = [_two_by_two(values) for values in per_square(counted, tissue, half_um)]
    counts, usable_mm2, artefact_mm2 = sums
    whole = um2_to_mm2(min(2 * half_um, tissue.width_um) * min(2 * half_um, tissue.height_um))
    density = np.divide(counts, usable_mm2, out=np.zeros_like(counts), where=usable_mm2 > 0)
    corners = [
        # Places at the right and lower edge are moved inwards, so that fields are whole.
        np.array([max(0, min(um_to_whole_px(i * half_um, mpp, 0), extent - side)) for i in range(n)])
        for n, extent in zip(counts.shape, size, strict=True)
    ]
    return _Places(density, usable_mm2 / whole, artefact_mm2 / whole, corners[0], corners[1])


def _two_by_two(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of 2 x 2 neighbours; an axis with a single entry stays as it is."""
    if values.shape[0] > 1:
        values = values[:-1] + values[1:]
    if values.shape[1] > 1:
        values = values[:, :-1] + values[:, 1:]
    return values


def _pick(places: _Places, free: NDArray[np.bool_], wanted: str) -> tuple[str, int, int] | None:
    """The next place for a stratum; a random one where the stratum is empty, None where all are."""
    usable = free & (places.usable >= MIN_USABLE)
    if not usable.any():
        # Slivers of tissue are shown only where the slide has nothing better.
        best = places.usable.max(initial=0.0)
        usable = free & (places.usable >= min(MIN_USABLE, best) / 2)
    border = free & (places.usable >= BORDER_USABLE) & (places.artefact >= BORDER_ARTEFACT)
    counted = bool(places.density.max(initial=0.0) > 0)
    for reason in (wanted, RANDOM):
        eligible = border if reason == BORDER else usable
        if not eligible.any() or (reason in (HIGHEST, MEDIAN) and not counted):
            continue
        score = np.where(eligible, _scores(places, usable, reason), -np.inf)
        row, column = np.unravel_index(int(np.argmax(score)), score.shape)
        return reason, int(row), int(column)
    return None


def _scores(places: _Places, usable: NDArray[np.bool_], reason: str) -> NDArray[np.float64]:
    if reason == HIGHEST:
        return places.density
    if reason == MEDIAN:
        scores: NDArray[np.float64] = -np.abs(places.density - np.median(places.density[usable]))
        return scores
    if reason == BORDER:
        return np.minimum(places.artefact, places.usable)
    return np.random.default_rng(SEED).random(places.density.shape)


def inside_field(field: Field, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) bool: points that lie in the field (half-open)."""
    x, y = x_um - field.x_um, y_um - field.y_um
    return (x >= 0) & (x < field.width_um) & (y >= 0) & (y < field.height_um)


def numbered(fields: tuple[Field, ...]) -> Iterator[tuple[int, Field]]:
    """Fields with the numbers a reader sees, from 1."""
    return enumerate(fields, start=1)
