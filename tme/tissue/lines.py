"""Cover-slip edges and air bubbles: long thin grey curves, straight or round.

Glue and air bend light without colouring it, so their outlines are grey, much longer than wide,
and either straight or parts of a circle. Strands of tissue are stained or crooked. On glass such a
curve is not tissue; where a straight one runs on over tissue, or a round one encloses it, the
tissue there cannot be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.tissue.glass import Glass
from tme.tissue.morphology import Mask, even, grown, opened
from tme.tissue.runs import Pieces, find_pieces
from tme.units import um_to_px, um_to_whole_px

THICK_UM = 64.0
MIN_LENGTH_UM = 1000.0
MIN_PART_UM = 100.0
MAX_LINES = 4
MAX_OFF_UM = 16.0
MAX_COLOUR = 0.3
MIN_COVERED = 0.6
MIN_RADIUS_UM = 150.0
MAX_RADIUS_UM = 8000.0
MIN_TURN = 0.7
BAND_UM = 48.0
SECTORS = 72

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lines:
    """What was found, each (H, W) bool.

    Attributes
    ----------
    on_glass : the curves themselves
    edge : a band along straight ones, from end to end
    bubble : the inside of round ones
    """

    on_glass: Mask
    edge: Mask
    bubble: Mask


def find_lines(tissue: Mask, coarse: RGB, glass: Glass, mpp: float) -> Lines:
    """Grey straight lines and circles among the thin parts of ``tissue``.

    Parameters
    ----------
    tissue : (H, W) bool
        What is not glass.
    coarse : (H, W, 3) uint8
        Mean RGB.
    glass : Glass
    mpp : float
        µm/px of both.
    """
    thin = tissue & ~opened(tissue, um_to_whole_px(THICK_UM / 2, mpp))
    pieces = find_pieces(thin, diagonal=True)
    curves = _grey_curves(pieces, coarse, glass, um_to_px(MIN_PART_UM, mpp))
    found = Lines(*(np.zeros(tissue.shape, np.bool_) for _ in range(3)))
    rounds = [_round(curve, mpp) if len(curve) >= um_to_px(MIN_LENGTH_UM, mpp) else None for curve in curves]
    for curve, circle in zip(curves, rounds, strict=True):
        if circle is not None:
            _fill_circle(found.bubble, *circle)
            _set(found.on_glass, curve)
    rest = [curve for curve, circle in zip(curves, rounds, strict=True) if circle is None]
    for line in _straight_lines(rest, mpp):
        parts = [part for curve in rest if len(part := line.part_of(curve, mpp))]
        _mark_edge(found, line, np.concatenate(parts), mpp)
    if found.on_glass.any():
        found.on_glass[...] = grown(found.on_glass, 1) & tissue
    return found


@dataclass(frozen=True, eq=False)
class _Line:
    """An endless straight line: a point (x, y) on it and its unit direction."""

    point: Points
    direction: Points

    def beside(self, curve: Points, mpp: float) -> NDArray[np.bool_]:
        """Which points of ``curve`` lie within the band."""
        across = (curve - self.point) @ np.array([-self.direction[1], self.direction[0]])
        return np.asarray(np.abs(across) <= um_to_px(BAND_UM / 2, mpp))

    def part_of(self, curve: Points, mpp: float) -> Points:
        """The points of ``curve`` in the band, if they make out most of some stretch of it."""
        near = curve[self.beside(curve, mpp)]
        return near if len(near) and self.covered(near) >= MIN_COVERED else near[:0]

    def covered(self, points: Points) -> float:
        """Share of the stretch from the first point to the last that has points."""
        along = points @ self.direction
        return len(np.unique(np.floor(along))) / (np.ptp(along) + 1.0)


def _grey_curves(pieces: Pieces, coarse: RGB, glass: Glass, min_px: float) -> list[Points]:
    """Pixel centres (x, y) of the larger grey pieces."""
    order = np.argsort(pieces.label, kind="stable")
    first = np.searchsorted(pieces.label[order], np.arange(pieces.count + 1))
    curves = []
    for label in np.flatnonzero(pieces.areas(*even(pieces.shape)) >= min_px):
        runs = order[first[label] : first[label + 1]]
        spans = [np.arange(pieces.start[run], pieces.stop[run]) for run in runs]
        rows = np.repeat(pieces.row[runs], [len(span) for span in spans])
        columns = np.concatenate(spans)
        if _is_grey(coarse[rows, columns], glass):
            curves.append(np.column_stack([columns + 0.5, rows + 0.5]))
    return curves


def _is_grey(pixels: RGB, glass: Glass) -> bool:
    red, green, blue = (float(np.mean(plane)) for plane in glass.density(pixels[None]))
    return max(red, green, blue) - min(red, green, blue) <= MAX_COLOUR * (red + green + blue) / 3.0


def _straight_lines(curves: list[Points], mpp: float) -> list[_Line]:
    """Straight lines at least a millimetre long; a curve may hold a corner, hence several."""
    least = um_to_px(MIN_LENGTH_UM, mpp)
    lines = []
    for curve in curves:
        left = curve
        for _ in range(MAX_LINES):
            if len(left) < least or (line := _best_line(left, least, mpp)) is None:
                break
            lines.append(line)
            left = left[~line.beside(left, mpp)]
    return lines


def _best_line(curve: Points, least: float, mpp: float) -> _Line | None:
    """The line most points lie on (Hough 1962), refined by its principal axis; None if too short."""
    corner = np.floor(curve.min(axis=0))
    size = np.ceil(curve.max(axis=0) - corner).astype(int) + 1
    canvas = np.zeros((size[1], size[0]), np.uint8)
    inside = (curve - corner).astype(int)
    canvas[inside[:, 1], inside[:, 0]] = 1
    best = cv2.HoughLines(canvas, 2.0, math.radians(0.25), max(1, int(least / 2)))
    if best is None:
        return None
    distance, angle = (float(value) for value in np.ravel(best[0])[:2])
    normal = np.array([math.cos(angle), math.sin(angle)])
    line = _Line(corner + 0.5 + distance * normal, np.array([-normal[1], normal[0]]))
    near = line.part_of(curve, mpp)
    if len(near) < least:
        return None
    centre = near.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((near - centre).T))
    line = _Line(centre, vectors[:, 1])
    near = line.part_of(curve, mpp)
    off = (near - centre) @ vectors[:, 0]
    straight = len(near) > 0 and np.ptp(near @ vectors[:, 1]) >= least
    return line if straight and off.std() <= um_to_px(MAX_OFF_UM, mpp) else None


def _round(curve: Points, mpp: float) -> tuple[tuple[int, int], int] | None:
    """Centre (x, y) and outer radius of a circle through the points (Kåsa 1976), or None."""
    x, y = curve.T
    system = np.column_stack([2.0 * x, 2.0 * y, np.ones_like(x)])
    (across, down, rest), *_ = np.linalg.lstsq(system, x * x + y * y, rcond=None)
    radius = math.sqrt(max(rest + across * across + down * down, 0.0))
    if not um_to_px(MIN_RADIUS_UM, mpp) <= radius <= um_to_px(MAX_RADIUS_UM, mpp):
        return None
    off = np.hypot(x - across, y - down) - radius
    angle = np.arctan2(y - down, x - across)
    turn = len(np.unique(np.floor(angle / (2.0 * math.pi) * SECTORS))) / SECTORS
    if off.std() > um_to_px(MAX_OFF_UM, mpp) or turn < MIN_TURN:
        return None
    return (round(across), round(down)), math.ceil(radius + um_to_px(BAND_UM / 2, mpp))


def _mark_edge(found: Lines, line: _Line, points: Points, mpp: float) -> None:
    """The band along the line between its farthest parts is edge; the parts are not tissue."""
    along = (points - line.point) @ line.direction
    first = np.floor(line.point + along.min() * line.direction).astype(int).tolist()
    last = np.floor(line.point + along.max() * line.direction).astype(int).tolist()
    canvas = np.zeros(found.edge.shape, np.uint8)
    cv2.line(canvas, first, last, 1, um_to_whole_px(BAND_UM, mpp))
    found.edge[canvas > 0] = True
    _set(found.on_glass, points)


def _fill_circle(target: Mask, centre: tuple[int, int], radius: int) -> None:
    canvas = np.zeros(target.shape, np.uint8)
    cv2.circle(canvas, centre, radius, 1, -1)
    target[canvas > 0] = True


def _set(target: Mask, points: Points) -> None:
    where = points.astype(np.int64)
    target[where[:, 1], where[:, 0]] = True
