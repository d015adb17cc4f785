"""Where things lie on a synthetic slide: outline, regions, direction of the fibres, artefacts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.testing.render_noise import Field, enlarge, ramp, rough_noise, smooth_noise
from tme.testing.render_spec import COARSE_PX, MASK_PX, MPP, Look, SlideSpec
from tme.units import mm2_to_um2, px_to_mm2, px_to_um

Mask = NDArray[np.bool_]
MARGIN_UM = 110.0
CELL_UM = px_to_um(COARSE_PX, MPP)


@dataclass(frozen=True, eq=False)
class Plan:
    """Smooth fields of one slide on the coarse grid (4 µm cells), all (h, w) float32.

    Attributes
    ----------
    inside : signed distance to the tissue's outline in µm, positive inside.
    angle2 : (h, w, 2) cosine and sine of twice the fibres' direction.
    elongation : 0 where fibres are cut across, 1 where they are cut lengthwise.
    stroma, fat, necrosis : 0-1 shares of each region; the rest is tumour.
    pen, blur : 0-1, strength of each artefact.
    """

    inside: Field
    angle2: Field
    elongation: Field
    stroma: Field
    fat: Field
    necrosis: Field
    pen: Field
    blur: Field

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the coarse grid."""
        return self.inside.shape[0], self.inside.shape[1]

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the slide, px."""
        return self.shape[1] * COARSE_PX, self.shape[0] * COARSE_PX

    def mask(self, field: Field, level: float) -> Mask:
        """``field`` > ``level`` on the grid of the truth masks (2 µm)."""
        scale = COARSE_PX // MASK_PX
        return enlarge(field, (self.shape[1] * scale, self.shape[0] * scale)) > level


def plan_slide(spec: SlideSpec, look: Look, rng: np.random.Generator) -> Plan:
    """Draw the fields of one slide; the tissue's area is ``spec.area_mm2`` to 0.5 %."""
    inside = _outline(spec, rng)
    shape = inside.shape[0], inside.shape[1]
    ridge = smooth_noise(shape, 55, rng) + 0.25 * smooth_noise(shape, 12, rng)
    stroma = _share(-np.abs(ridge), inside, 0.0, look.stroma_share, 0.12)
    fat = _share(rough_noise(shape, (45, 9), (1.0, 0.15), rng), inside, 60.0, look.fat_share, 0.05)
    necrosis = _share(rough_noise(shape, (60, 10), (1.0, 0.3), rng), inside, 30.0, look.necrosis_share, 0.15)
    angle2, elongation = _directions(shape, ridge, stroma, rng)
    necrosis = np.asarray(necrosis * (1 - fat), np.float32)
    stroma = np.asarray(stroma * (1 - fat) * (1 - necrosis), np.float32)
    zero = np.zeros(shape, np.float32)
    pen = _pen(inside, rng) if spec.pen else zero
    blur = _blur(inside, rng) if spec.blur else zero
    return Plan(inside, angle2, elongation, stroma, fat, necrosis, pen, blur)


def _outline(spec: SlideSpec, rng: np.random.Generator) -> Field:
    raw = _cores(spec, rng) if spec.cores else _fragments(spec, rng)
    shape = raw.shape[0], raw.shape[1]
    rough = (
        30 * smooth_noise(shape, 40, rng) + 9 * smooth_noise(shape, 9, rng) + 3 * smooth_noise(shape, 3, rng)
    )
    raw = np.asarray(raw + rough, np.float32)
    raw[[0, 1, -2, -1], :] = -50
    raw[:, [0, 1, -2, -1]] = -50
    low, high = -120.0, 160.0
    for _ in range(22):
        level = 0.5 * (low + high)
        found = _largest_pieces(raw > level)
        area = px_to_mm2(float(found.sum()), CELL_UM)
        low, high = (level, high) if area > spec.area_mm2 else (low, level)
    keep = cv2.dilate(_largest_pieces(raw > high).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(keep > 0, raw - np.float32(high), np.float32(-50.0)).astype(np.float32)


def _largest_pieces(mask: Mask) -> Mask:
    """Pieces of at least 0.04 mm² with their holes filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = mm2_to_um2(0.04) / CELL_UM**2
    out = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(out, [c for c in contours if cv2.contourArea(c) >= least], -1, 1, cv2.FILLED)
    return out > 0


def _cores(spec: SlideSpec, rng: np.random.Generator) -> Field:
    """Distance field (µm) of needle cores that lie side by side along x."""
    n = spec.cores
    widths = rng.uniform(780, 1050, n) if spec.area_mm2 / n > 0.7 else rng.uniform(380, 520, n)
    length = mm2_to_um2(spec.area_mm2) / float(widths.sum()) * 1.1
    gaps = rng.uniform(130, 230, n)
    height = int((widths.sum() + gaps[1:].sum() + 2 * MARGIN_UM) / CELL_UM)
    width = int((length + 2 * MARGIN_UM) / CELL_UM)
    x, y = np.meshgrid(np.arange(width) * CELL_UM, np.arange(height) * CELL_UM)
    field = np.full((height, width), -1e3, np.float32)
    top = MARGIN_UM
    for k in range(n):
        radius = float(rng.uniform(0.25, 0.45)) * widths[k]
        bend = rng.uniform(-35, 35) * np.sin(np.pi * (x / length) + rng.uniform(0, 6))
        across = widths[k] / 2 - np.abs(y - (top + widths[k] / 2 + bend))
        along = length / 2 - np.abs(x - width * CELL_UM / 2 + rng.uniform(-25, 25))
        out_x, out_y = radius - along, radius - across
        outside = np.hypot(np.maximum(out_x, 0), np.maximum(out_y, 0)) + np.minimum(
            np.maximum(out_x, out_y), 0
        )
        field = np.maximum(field, (radius - outside).astype(np.float32))
        top += widths[k] + gaps[(k + 1) % n]
    return field


def _fragments(spec: SlideSpec, rng: np.random.Generator) -> Field:
    """Distance field (µm) of a few irregular fragments in a row."""
    n = int(rng.integers(2, 4))
    shares = rng.uniform(0.6, 1.4, n)
    areas = mm2_to_um2(spec.area_mm2) * shares / shares.sum()
    aspect = rng.uniform(0.7, 1.4, n)
    half_x, half_y = np.sqrt(areas / np.pi * aspect) * 1.08, np.sqrt(areas / np.pi / aspect) * 1.08
    gap = 190.0
    width = int((2 * half_x.sum() + gap * (n - 1) + 2 * MARGIN_UM) / CELL_UM)
    height = int((2 * half_y.max() + 2 * MARGIN_UM) / CELL_UM)
    x, y = np.meshgrid(np.arange(width) * CELL_UM, np.arange(height) * CELL_UM)
    field = np.full((height, width), -1e3, np.float32)
    left = MARGIN_UM
    for k in range(n):
        cx, cy = left + half_x[k], height * CELL_UM / 2
        radius = np.hypot((x - cx) / half_x[k], (y - cy) / half_y[k])
        field = np.maximum(field, ((1 - radius) * min(half_x[k], half_y[k])).astype(np.float32))
        left += 2 * half_x[k] + gap
    return field


def _share(noise: Field, inside: Field, depth_um: float, share: float, softness: float) -> Field:
    """A region that covers ``share`` of the tissue deeper than ``depth_um``, with soft borders."""
    allowed = inside > depth_um
    if share <= 0 or not allowed.any():
        return np.zeros(inside.shape, np.float32)
    level = float(np.quantile(noise[allowed], 1 - share))
    spread = max(float(noise[allowed].std()), 1e-6) * softness
    return np.asarray(ramp(noise, level - spread, level + spread) * allowed, np.float32)


def _directions(
    shape: tuple[int, int], ridge: Field, stroma: Field, rng: np.random.Generator
) -> tuple[Field, Field]:
    """Fascicles: warped Voronoi cells, each with its own direction and tilt, melted at their borders."""
    pitch = float(rng.uniform(55, 95))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x = x + 14 * smooth_noise(shape, 30, rng)
    y = y + 14 * smooth_noise(shape, 30, rng)
    rows, columns = int(shape[0] / pitch) + 2, int(shape[1] / pitch) + 2
    seeds = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) * pitch
    seeds = seeds + rng.uniform(-0.45, 0.45, seeds.shape) * pitch
    nearest = _nearest(x, y, seeds)
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.8, len(seeds))
    tilt = np.where(
        rng.random(len(seeds)) < 0.22, rng.uniform(0, 0.25, len(seeds)), rng.uniform(0.6, 1, len(seeds))
    )
    wave = 0.35 * smooth_noise(shape, 25, rng) + 0.12 * smooth_noise(shape, 6, rng)
    theta = angle[nearest] + wave
    gradient_y, gradient_x = np.gradient(cv2.GaussianBlur(ridge, (0, 0), 4))
    theta_ridge = np.arctan2(gradient_y, gradient_x) + np.pi / 2 + wave
    double = np.stack(
        [
            (1 - stroma) * np.cos(2 * theta) + stroma * np.cos(2 * theta_ridge),
            (1 - stroma) * np.sin(2 * theta) + stroma * np.sin(2 * theta_ridge),
        ],
        -1,
    ).astype(np.float32)
    blurred = cv2.GaussianBlur(double, (0, 0), 5)
    elongation = cv2.GaussianBlur(tilt[nearest].astype(np.float32), (0, 0), 5)
    return np.asarray(blurred, np.float32), np.asarray(np.maximum(elongation, 0.7 * stroma), np.float32)


def _nearest(x: Field, y: Field, seeds: NDArray) -> NDArray[np.int64]:
    """Index of the nearest seed for every cell."""
    _, index = cKDTree(seeds).query(np.stack([x, y], -1).reshape(-1, 2))
    return np.asarray(index, np.int64).reshape(x.shape)


def _pen(inside: Field, rng: np.random.Generator) -> Field:
    """A felt-tip stroke that crosses the tissue's edge; covers a few per cent of it."""
    ys, xs = np.nonzero((inside > 0) & (inside < 40))
    k0 = int(rng.integers(len(xs)))
    start = np.array([xs[k0], ys[k0]], float)
    along_y, along_x = (
        np.gradient(cv2.GaussianBlur(inside, (0, 0), 10), axis=k)[ys[k0], xs[k0]] for k in (0, 1)
    )
    heading = float(np.arctan2(along_y, along_x) + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1))
    points = [start - 60 * np.array([np.cos(heading), np.sin(heading)])]
    for _ in range(int(rng.integers(15, 20))):
        heading += rng.normal(0, 0.18)
        points.append(points[-1] + 9 * np.array([np.cos(heading), np.sin(heading)]))
    canvas = np.zeros(inside.shape, np.uint8)
    line = np.round(np.array(points) * 16).astype(np.int32)
    cv2.polylines(canvas, [line], False, 255, int(rng.integers(16, 28)), cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.7), np.float32)


def _blur(inside: Field, rng: np.random.Generator) -> Field:
    """A soft-edged patch out of focus, about 0.1-0.2 mm²."""
    ys, xs = np.nonzero(inside > 90)
    k = int(rng.integers(len(xs)))
    y, x = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]].astype(np.float32)
    axes = rng.uniform(34, 52, 2)
    radius = np.hypot((x - xs[k]) / axes[0], (y - ys[k]) / axes[1])
    radius = radius + 0.06 * smooth_noise((inside.shape[0], inside.shape[1]), 20, rng)
    return ramp(1.0 - radius, -0.12, 0.12)
