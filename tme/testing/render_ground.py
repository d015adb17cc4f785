"""The ground a synthetic slide's cells lie on: cytoplasm, collagen, clefts, fat, necrosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from tme.testing.render_noise import Field, enlarge, ramp, smooth_noise, streaks
from tme.testing.render_spec import COARSE_PX, PX, Look
from tme.testing.render_tissue import Plan

HALF = COARSE_PX // PX
"""Cells of the 1 µm grid per coarse cell."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """Optical density of each stain before mixing, (H, W) float32 at 0.5 µm/px.

    Attributes
    ----------
    haematoxylin, second, marker : the stains; ``second`` is eosin, or the section's own grey in IHC.
    """

    haematoxylin: Field
    second: Field
    marker: Field

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), px."""
        return self.second.shape[0], self.second.shape[1]

    def fade(self, y0: int, x0: int, cover: Field) -> None:
        """Take away what lies under ``cover`` (0-1), placed with its corner at (x0, y0); must fit."""
        rows, columns = slice(y0, y0 + cover.shape[0]), slice(x0, x0 + cover.shape[1])
        for layer in (self.haematoxylin, self.second, self.marker):
            layer[rows, columns] *= 1 - cover


def paint_ground(plan: Plan, look: Look, ihc: bool, rng: np.random.Generator) -> Canvas:
    """The section without nuclei and vessels, painted at 1 µm/px and enlarged."""
    width, height = plan.shape[1] * HALF, plan.shape[0] * HALF
    size = (width, height)
    shape = (height, width)
    double = [enlarge(plan.angle2[..., k], size) for k in (0, 1)]
    angle = np.asarray(0.5 * np.arctan2(double[1], double[0]), np.float32)
    fibre = 0.6 * streaks(angle, 20, rng) + 0.7 * streaks(angle, 5, rng)
    stroma, necrosis = enlarge(plan.stroma, size), enlarge(plan.necrosis, size)
    tumour = 1 - stroma - necrosis
    grain = 0.6 * smooth_noise(shape, 5, rng) + 0.8 * smooth_noise(shape, 1.2, rng)
    cloud = smooth_noise(shape, 60, rng)
    eosin = tumour * look.cytoplasm_od * (1 + 0.15 * fibre + 0.2 * grain + 0.12 * cloud)
    eosin += stroma * look.collagen_od * (1 + 0.3 * fibre + 0.1 * grain + 0.14 * cloud)
    eosin += necrosis * look.collagen_od * (0.75 + 0.2 * grain)
    blue = tumour * look.basophilia_od * (1 + 0.3 * fibre + 0.3 * grain) + stroma * 0.35 * look.basophilia_od
    blue += necrosis * look.basophilia_od * (0.5 + 0.3 * grain)
    haze = look.haze_od * (1 + 0.25 * fibre + 0.25 * cloud + 0.2 * grain)
    inside = enlarge(plan.inside, size) + 1.2 * smooth_noise(shape, 3, rng)
    if ihc:
        haze = haze * (1 + 0.7 * ramp(-inside, -25.0, -2.0))
    kept = _section(plan, inside, streaks(angle, 40, rng), stroma, rng)
    layers = [np.maximum(layer, 0) * kept for layer in (blue, eosin, haze)]
    _fat(plan, layers, look, rng)
    full = plan.size_px
    return Canvas(*(enlarge(layer, full) for layer in layers))


def _section(plan: Plan, inside: Field, long_fibre: Field, stroma: Field, rng: np.random.Generator) -> Field:
    """0-1: where there is a section at all: soft outline, less the clefts between fibres."""
    shape = (inside.shape[0], inside.shape[1])
    loose = ramp(smooth_noise(shape, 90, rng) + 0.8 * stroma, 0.3, 1.6)
    start = float(rng.uniform(1.7, 2.1))
    cleft = ramp(long_fibre, start, start + 0.5) * loose
    bubble = ramp(smooth_noise(shape, 5, rng), 2.0, 2.5) * ramp(smooth_noise(shape, 70, rng), -0.2, 1.2)
    return np.asarray(ramp(inside, -1.5, 2.5) * (1 - 0.92 * np.maximum(cleft, 0.8 * bubble)), np.float32)


def _fat(plan: Plan, layers: list[Field], look: Look, rng: np.random.Generator) -> None:
    """Fat lobules on the 1 µm grid, in place: empty cells of 45-80 µm between thin walls."""
    if not plan.fat.any():
        return
    height, width = layers[0].shape
    fat = enlarge(plan.fat, (width, height))
    pitch = float(rng.uniform(46, 72))
    columns, rows = int(width / pitch) + 2, int(height / pitch) + 2
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(float)
    grid[:, 0] += 0.5 * (grid[:, 1] % 2)
    seeds = (grid + rng.uniform(-0.33, 0.33, grid.shape)) * pitch
    ys, xs = np.nonzero(fat > 0.02)
    bend = [7 * smooth_noise((height, width), 45, rng)[ys, xs] for _ in range(2)]
    found, _ = cKDTree(seeds).query(np.stack([xs + bend[0], ys + bend[1]], -1), k=3)
    distance = np.asarray(found)
    to_wall = (distance[:, 1] - distance[:, 0]) * 0.5
    to_corner = (distance[:, 2] - distance[:, 0]) * 0.5
    wall_um = 0.7 + 0.5 * np.abs(smooth_noise((height, width), 30, rng)[ys, xs])
    open_cell = np.clip((to_wall - wall_um) / 0.8 + 0.5, 0, 1) * np.clip((to_corner - 3.0) / 2.5, 0, 1)
    strength = np.clip((fat[ys, xs] - 0.35) * 5, 0, 1)
    for layer in layers:
        layer[ys, xs] *= 1 - strength * open_cell
    layers[1][ys, xs] += (strength * (1 - open_cell) * 0.3 * look.collagen_od).astype(np.float32)
