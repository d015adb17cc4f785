"""Cells of a synthetic slide: what they are and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.testing.render_place import Occupancy, Points, even_points, fibre_angle, random_points, value_at
from tme.testing.render_spec import PX, Look, SlideSpec
from tme.testing.render_tissue import Plan
from tme.testing.render_vessels import Vessel

KINDS = ("tumour", "stroma", "endothelium", "lymphocyte", "leucocyte", "ghost")


@dataclass(frozen=True, eq=False)
class CellList:
    """Cells as columns of length n.

    Attributes
    ----------
    xy : (n, 2) float64, centres in px
    a, b, angle : half axes of the nucleus in px, radians
    kind : index into `KINDS`
    positive : whether the marker is on the cell
    """

    xy: Points
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    angle: NDArray[np.float64]
    kind: NDArray[np.int8]
    positive: NDArray[np.bool_]

    @classmethod
    def of(
        cls, rows: list[tuple[float, float, float, float, float]], kind: str, positive: bool = False
    ) -> CellList:
        """From rows of x, y, a, b, angle, all of one kind."""
        table = np.array(rows, np.float64).reshape(-1, 5)
        n = len(table)
        return cls(
            table[:, :2],
            table[:, 2],
            table[:, 3],
            table[:, 4],
            np.full(n, KINDS.index(kind), np.int8),
            np.full(n, positive),
        )

    @classmethod
    def joined(cls, parts: list[CellList]) -> CellList:
        """All rows of several lists, in order."""
        names = ("xy", "a", "b", "angle", "kind", "positive")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def place_cells(
    plan: Plan, spec: SlideSpec, look: Look, vessels: list[Vessel], taken: Occupancy, rng: np.random.Generator
) -> CellList:
    """All cells of a slide; marks what they take. The count of TILs is the one asked for."""
    parts = [_endothelium(vessels, look, rng)]
    n_til = round(spec.til_density_per_mm2 * spec.area_mm2)
    others = round(spec.area_mm2 * rng.uniform(30, 110))
    parts += _lymphocytes(plan, n_til, spec.stain == "CD8", vessels, taken, rng)
    if spec.stain == "CD8":
        parts += _lymphocytes(plan, round(others + 0.35 * n_til), False, vessels, taken, rng)
    if spec.stain == "CD31":
        wanted = round(spec.area_mm2 * rng.uniform(12, 50))
        spots = random_points(_habitable(plan), 3 * wanted, rng)
        parts.append(_round_cells(spots, wanted, "leucocyte", True, taken, rng))
    parts.append(_spindles(plan, spec, look, taken, rng))
    parts.append(_ghosts(plan, spec, taken, rng))
    return CellList.joined(parts)


def _habitable(plan: Plan) -> NDArray[np.float32]:
    """Where cells can live, 0-1 on the coarse grid."""
    weight = (plan.inside > 10) * np.maximum(1 - 2.5 * plan.fat, 0) * (1 - plan.necrosis) ** 2
    return np.asarray(weight, np.float32)


def _lymphocytes(
    plan: Plan, n: int, positive: bool, vessels: list[Vessel], taken: Occupancy, rng: np.random.Generator
) -> list[CellList]:
    """``n`` lymphocytes: part in clusters around parents (Thomas process), part scattered."""
    weight = _habitable(plan)
    clustered = round(n * float(rng.uniform(0.4, 0.65)))
    size = float(rng.uniform(7, 14))
    spread_px = PX * float(rng.uniform(7, 22))
    rows: list[CellList] = []
    left = clustered
    for _ in range(8):
        if left <= 0:
            break
        parents = even_points(weight * (1 + 1.5 * plan.stroma), max(1, round(left / size)), rng)
        near = rng.random(len(parents)) < 0.3
        if vessels and near.any():
            picks = rng.integers(0, len(vessels), int(near.sum()))
            parents[near] = [vessels[k].outline.mean(0) for k in picks]
        spots = np.repeat(parents, rng.poisson(size * 1.2, len(parents)), 0)
        spots = spots + rng.normal(0, spread_px, spots.shape)
        spots = spots[_allowed(plan, spots)]
        found = _round_cells(rng.permutation(spots), left, "lymphocyte", positive, taken, rng)
        rows.append(found)
        left -= len(found.a)
    left += n - clustered
    for _ in range(8):
        if left <= 0:
            break
        found = _round_cells(even_points(weight, left, rng), left, "lymphocyte", positive, taken, rng)
        rows.append(found)
        left -= len(found.a)
    return rows


def _allowed(plan: Plan, spots: Points) -> NDArray[np.bool_]:
    width, height = plan.size_px
    within = ((spots >= 0) & (spots < (width, height))).all(1)
    return within & (value_at(_habitable(plan), np.clip(spots, 0, None)) > 0.3)


def _round_cells(
    spots: Points, most: int, kind: str, positive: bool, taken: Occupancy, rng: np.random.Generator
) -> CellList:
    """Round cells of 6-8 µm at the spots that are free, at most ``most``."""
    radius = PX * np.clip(rng.normal(3.35, 0.28, len(spots)), 2.7, 4.1)
    squeeze = rng.uniform(0.84, 1.0, len(spots))
    angle = rng.uniform(0, np.pi, len(spots))
    rows: list[tuple[float, float, float, float, float]] = []
    room = 1.25 if positive else 1.05
    for k in range(len(spots)):
        if len(rows) >= most:
            break
        x, y, a, b = spots[k, 0], spots[k, 1], radius[k], radius[k] * squeeze[k]
        if taken.ellipse_fits(x, y, a, b, angle[k], 0.8 * room):
            taken.take_ellipse(x, y, a * room, b * room, angle[k])
            rows.append((x, y, a, b, angle[k]))
    return CellList.of(rows, kind, positive)


def _spindles(
    plan: Plan, spec: SlideSpec, look: Look, taken: Occupancy, rng: np.random.Generator
) -> CellList:
    """Tumour cells and fibroblasts, along the fibres."""
    tumour = np.maximum(1 - plan.stroma - plan.necrosis - 2.2 * plan.fat, 0)
    per_mm2 = tumour * look.tumour_per_mm2 + plan.stroma * (plan.fat < 0.4) * look.stroma_per_mm2
    weight = (plan.inside > 4) * per_mm2
    mean = float(weight[plan.inside > 0].mean())
    spots = rng.permutation(even_points(weight.astype(np.float32), round(1.25 * mean * spec.area_mm2), rng))
    n = len(spots)
    stroma = rng.random(n) < value_at(plan.stroma, spots)
    lengthwise = value_at(plan.elongation, spots)
    angle = fibre_angle(plan, spots) + rng.normal(0, np.where(stroma, 0.15, 0.2), n)
    size = PX * look.nuclear_scale * np.exp(rng.normal(0, look.pleomorphism, n))
    a = size * np.where(stroma, rng.uniform(4.5, 7.5, n), 4.0 + lengthwise * rng.uniform(1.0, 4.6, n))
    b = size * np.where(stroma, rng.uniform(1.1, 1.8, n), 3.2 - lengthwise * rng.uniform(0.3, 1.1, n))
    giant = ~stroma & (rng.random(n) < 0.012)
    a, b = np.where(giant, a * 1.4, a), np.where(giant, b * 1.9, b)
    kept = np.zeros(n, bool)
    for k in range(n):
        if taken.ellipse_fits(spots[k, 0], spots[k, 1], a[k], b[k], angle[k], 0.84):
            taken.take_ellipse(spots[k, 0], spots[k, 1], a[k], b[k], angle[k])
            kept[k] = True
    kind = np.where(stroma, KINDS.index("stroma"), KINDS.index("tumour")).astype(np.int8)
    return CellList(spots[kept], a[kept], b[kept], angle[kept], kind[kept], np.zeros(int(kept.sum()), bool))


def _endothelium(vessels: list[Vessel], look: Look, rng: np.random.Generator) -> CellList:
    """Flat nuclei in the vessels' walls, about one per 22 µm of outline."""
    rows = []
    for vessel in vessels:
        step = np.roll(vessel.outline, -1, 0) - vessel.outline
        lengths = np.hypot(step[:, 0], step[:, 1])
        wanted = max(1, int(rng.poisson(lengths.sum() / PX / 26)))
        spacing = lengths.sum() / wanted
        at = (np.arange(wanted) + rng.uniform(0.2, 0.8, wanted)) * spacing
        index = np.searchsorted(np.cumsum(lengths), at).clip(0, len(lengths) - 1)
        centre = vessel.outline.mean(0)
        for k in index:
            angle = float(np.arctan2(step[k, 1], step[k, 0]))
            inward = centre - vessel.outline[k]
            if vessel.kind in ("slit", "lengthwise"):
                inward = np.array([-step[k, 1], step[k, 0]]) * _side(vessel.outline)
            inward = inward / max(float(np.hypot(*inward)), 1e-6)
            x, y = vessel.outline[k] + inward * PX * 1.2
            rows.append((x, y, PX * rng.uniform(3.2, 5.2), PX * rng.uniform(0.95, 1.4), angle))
    return CellList.of(rows, "endothelium")


def _side(outline: Points) -> float:
    x, y = outline.T
    return 1.0 if float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) > 0 else -1.0


def _ghosts(plan: Plan, spec: SlideSpec, taken: Occupancy, rng: np.random.Generator) -> CellList:
    """Fading nuclei of necrosis."""
    area = float((plan.necrosis * (plan.inside > 10)).sum()) / max(float((plan.inside > 0).sum()), 1)
    n = round(area * spec.area_mm2 * 1100)
    spots = random_points(plan.necrosis * (plan.inside > 10), n, rng)
    rows = [(x, y, PX * rng.uniform(3, 5.5), PX * rng.uniform(2.2, 3.2), rng.uniform(0, 3)) for x, y in spots]
    rows = [row for row in rows if taken.ellipse_fits(*row, 0.9)]
    return CellList.of(rows, "ghost")
