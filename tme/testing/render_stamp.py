"""Painting one nucleus, one lymphocyte, one red cell: soft-edged, textured, never twice the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tme.testing.render_ground import Canvas
from tme.testing.render_noise import Field, smooth_noise

_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Texture:
    """Noise that stamps cut their irregularities from; (1024, 1024) float32, mean 0, SD 1."""

    coarse: Field
    fine: Field

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Texture:
        """A pair of noise sheets."""
        return cls(smooth_noise((_SIZE, _SIZE), 9, rng), smooth_noise((_SIZE, _SIZE), 2.4, rng))


@dataclass(frozen=True)
class Ellipse:
    """Centre and half axes in px, angle in radians, where to cut the noise."""

    x: float
    y: float
    a: float
    b: float
    angle: float
    cut_x: int
    cut_y: int


@dataclass(frozen=True, eq=False)
class Patch:
    """A window of the canvas around an ellipse, with what stamps need there.

    ``rho`` is 1 on the ellipse's (irregular) outline, 0 at its centre; ``coarse`` and ``fine`` are
    noise of the same shape.
    """

    rows: slice
    columns: slice
    rho: Field
    coarse: Field
    fine: Field


def patch(
    canvas: Canvas, texture: Texture, shape: Ellipse, reach_px: float, irregular: float
) -> Patch | None:
    """The window that holds an ellipse and ``reach_px`` around it; None if it leaves the canvas."""
    radius = int(shape.a * 1.15 + reach_px + 2)
    x0, y0 = int(shape.x) - radius, int(shape.y) - radius
    size = 2 * radius + 1
    height, width = canvas.shape
    if x0 < 0 or y0 < 0 or x0 + size > width or y0 + size > height:
        return None
    cut_x, cut_y = shape.cut_x % (_SIZE - size), shape.cut_y % (_SIZE - size)
    coarse = texture.coarse[cut_y : cut_y + size, cut_x : cut_x + size]
    fine = texture.fine[cut_y : cut_y + size, cut_x : cut_x + size]
    dx = np.arange(x0, x0 + size, dtype=np.float32)[None, :] + np.float32(0.5 - shape.x)
    dy = np.arange(y0, y0 + size, dtype=np.float32)[:, None] + np.float32(0.5 - shape.y)
    c, s = np.float32(np.cos(shape.angle)), np.float32(np.sin(shape.angle))
    u = (dx * c + dy * s) * np.float32(1 / shape.a)
    v = (dy * c - dx * s) * np.float32(1 / shape.b)
    rho = np.sqrt(u * u + v * v) + np.float32(irregular) * coarse
    return Patch(slice(y0, y0 + size), slice(x0, x0 + size), rho, coarse, fine)


def edge(rho: Field, level: float, scale_px: float) -> Field:
    """Cover 0-1 of the inside of ``rho`` = ``level``, about a pixel and a half soft."""
    cover = (np.float32(level) - rho) * np.float32(scale_px / 1.5) + np.float32(0.5)
    return np.asarray(np.minimum(np.maximum(cover, np.float32(0)), np.float32(1)), np.float32)


def paint_nucleus(
    canvas: Canvas,
    where: Patch,
    small_px: float,
    od: float,
    vesicular: float,
    chromatin: float,
    focus: float = 1.0,
) -> None:
    """A nucleus: membrane darker than its inside by ``vesicular``, clumps of ``chromatin``.

    ``focus`` below 1 softens its edge, as of a nucleus that lies deep in the section.
    """
    cover = edge(where.rho, 1.0, small_px * focus)
    rim = np.abs(where.rho - np.float32(0.86)) * np.float32(5.0)
    rim = np.maximum(np.float32(1) - rim, np.float32(0))
    value = np.float32(od) * (
        np.float32(1 - 0.6 * vesicular)
        + np.float32(vesicular) * rim
        + np.float32(chromatin) * where.fine
        + np.float32(0.5 * chromatin) * where.coarse
    )
    blue = canvas.haematoxylin[where.rows, where.columns]
    blue += cover * (np.maximum(value, np.float32(0.15 * od)) - np.float32(0.8) * blue)
    canvas.second[where.rows, where.columns] *= 1 - np.float32(0.35) * cover


def paint_cytoplasm(canvas: Canvas, where: Patch, reach: float, strength: float) -> None:
    """The body of a spindle cell: a little denser than the ground, with a pale border to the next."""
    body = edge(where.rho + np.float32(0.25) * where.coarse, reach, 4.0)
    border = np.maximum(1 - np.abs(where.rho - np.float32(reach + 0.3)) * np.float32(5.0), 0)
    change = 1 + np.float32(strength) * body - np.float32(0.16) * border
    canvas.second[where.rows, where.columns] *= change
    canvas.haematoxylin[where.rows, where.columns] *= change


def paint_marker(
    canvas: Canvas, where: Patch, small_px: float, membrane_px: float, od: float, fill: float
) -> None:
    """Brown membrane and cytoplasm around (``fill``: and over) a nucleus, uneven along its course."""
    # The cell's border is uneven in its own way: the noise turned round is as good as other noise.
    border = where.rho + np.float32(0.13) * where.coarse[::-1, ::-1]
    outer = edge(border, 1.0 + membrane_px / small_px, small_px)
    inner = edge(where.rho, 1.0 - 0.25 * membrane_px / small_px, small_px)
    uneven = np.maximum(np.float32(1) + np.float32(0.25) * where.coarse + np.float32(0.2) * where.fine, 0.3)
    ring = np.float32(od) * np.maximum((outer - np.float32(1 - fill) * inner) * uneven, 0)
    brown = canvas.marker[where.rows, where.columns]
    # Where cells overlap the stain does not simply add up: the section is as thick as before.
    spill = edge(border, 1.0 + 2.2 * membrane_px / small_px, 2.0) * np.maximum(where.fine, 0)
    np.maximum(brown + np.float32(0.35) * ring, ring, out=brown)
    brown += np.float32(0.1 * od) * spill
    canvas.second[where.rows, where.columns] *= 1 - np.float32(0.4) * outer


def paint_halo(canvas: Canvas, where: Patch, small_px: float, width_px: float, strength: float) -> None:
    """The white cleft that shrinkage leaves around a cell."""
    ring = edge(where.rho, 1.0 + width_px / small_px, small_px) * np.float32(strength)
    ring = ring * (where.coarse > -0.3)
    for layer in (canvas.haematoxylin, canvas.second, canvas.marker):
        layer[where.rows, where.columns] *= 1 - ring


def paint_speck(canvas: Canvas, where: Patch, small_px: float, od: float) -> None:
    """An opaque speck: all stains alike, which is near black."""
    cover = edge(where.rho, 1.0, small_px) * np.float32(od)
    for layer in (canvas.haematoxylin, canvas.second, canvas.marker):
        layer[where.rows, where.columns] += cover


def paint_red_cell(canvas: Canvas, where: Patch, small_px: float, od: float, orange: float) -> None:
    """An erythrocyte: a disc, a little paler in its middle; ``orange`` is the share of yellow-brown."""
    disc = edge(where.rho, 1.0, small_px) * (np.float32(0.75) + np.float32(0.3) * np.minimum(where.rho, 1))
    canvas.second[where.rows, where.columns] += np.float32(od) * disc
    canvas.marker[where.rows, where.columns] += np.float32(od * orange) * disc
