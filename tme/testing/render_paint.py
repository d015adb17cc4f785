"""Painting what `render_cells` and `render_vessels` placed, and the specks between."""

from __future__ import annotations

import cv2
import numpy as np

from tme.testing.render_cells import KINDS, CellList
from tme.testing.render_ground import Canvas
from tme.testing.render_place import random_points
from tme.testing.render_spec import PX, Look, SlideSpec
from tme.testing.render_stamp import (
    Ellipse,
    Patch,
    Texture,
    paint_cytoplasm,
    paint_halo,
    paint_marker,
    paint_nucleus,
    paint_red_cell,
    paint_speck,
    patch,
)
from tme.testing.render_tissue import CELL_UM, Plan
from tme.testing.render_vessels import Vessel
from tme.units import px_to_mm2


def paint_cells(
    canvas: Canvas, cells: CellList, look: Look, stain: str, texture: Texture, rng: np.random.Generator
) -> None:
    """Paint every cell, spindles first, round cells last."""
    n = len(cells.a)
    rounds = np.isin(cells.kind, [KINDS.index("lymphocyte"), KINDS.index("leucocyte")])
    cuts = rng.integers(0, 1 << 20, (n, 2))
    vary = np.exp(rng.normal(0, 0.2, n))
    vesicular = np.clip(rng.normal(0.5, 0.22, n), 0.05, 0.95)
    deep = rng.random(n) < 0.25
    reach = rng.normal(0.06, 0.1, n)
    vary = np.where(deep & ~rounds, vary * rng.uniform(0.55, 0.85, n), vary)
    waiting: list[tuple[Patch, float, bool]] = []
    for k in np.lexsort((np.arange(n), cells.positive, rounds)):
        x, y = cells.xy[k]
        shape = Ellipse(x, y, cells.a[k], cells.b[k], cells.angle[k], int(cuts[k, 0]), int(cuts[k, 1]))
        reach_px, irregular = (2.6 * PX, 0.1) if rounds[k] else (0.6 * cells.a[k], 0.13)
        where = patch(canvas, texture, shape, reach_px, irregular)
        if where is None:
            continue
        small = float(cells.b[k])
        if rounds[k]:
            waiting.append((where, small, bool(cells.positive[k])))
            continue
        od = _od(KINDS[cells.kind[k]], look) * vary[k]
        paint_cytoplasm(canvas, where, 1.55, reach[k])
        paint_nucleus(canvas, where, small, od, vesicular[k], 0.24, 0.5 if deep[k] else 1.0)
    # All clefts before any round cell: a cell's cleft must not wash out its neighbour's stain.
    for where, small, _ in waiting:
        if rng.random() < 0.25:
            paint_halo(canvas, where, small, PX * float(rng.uniform(1.4, 2.4)), float(rng.uniform(0.3, 0.7)))
    strength = 1.0 if stain == "CD8" else 0.55
    for where, small, positive in waiting:
        _paint_round(canvas, where, small, look, strength if positive else 0.0, rng)


def _paint_round(
    canvas: Canvas, where: Patch, small: float, look: Look, strength: float, rng: np.random.Generator
) -> None:
    """A lymphocyte or leucocyte; its marker in membrane and cytoplasm where ``strength`` is above 0."""
    od = look.lymphocyte_od * float(np.exp(rng.normal(0, 0.12)))
    if strength == 0:
        paint_nucleus(canvas, where, small, od, float(rng.uniform(0.05, 0.3)), 0.17)
        return
    paint_nucleus(canvas, where, small, 0.62 * od, float(rng.uniform(0.1, 0.4)), 0.17)
    marker = strength * look.marker_od * float(np.exp(look.marker_spread * max(rng.normal(), -1.5)))
    fill = float(np.clip(rng.normal(0.6, 0.2), 0.3, 1.0))
    paint_marker(canvas, where, small, PX * float(rng.uniform(0.8, 1.8)), marker, fill)


def _od(name: str, look: Look) -> float:
    """Typical optical density of a nucleus of one kind."""
    factors = {"stroma": 1.15, "endothelium": 1.15, "ghost": 0.3}
    return look.nucleus_od * factors.get(name, 1.0)


def specks(plan: Plan, spec: SlideSpec, canvas: Canvas, texture: Texture, rng: np.random.Generator) -> None:
    """Black specks of 2-5 µm on the section (dust, carbon, formalin pigment), none to a few per mm²."""
    n = int(rng.poisson(spec.area_mm2 * float(rng.uniform(0, 3))))
    for x, y in random_points((plan.inside > 10).astype(np.float32), n, rng):
        radius = PX * float(rng.uniform(0.8, 2.2))
        across = radius * float(rng.uniform(0.5, 1))
        shape = Ellipse(x, y, radius, across, float(rng.uniform(0, 3)), int(rng.integers(1000)), 0)
        where = patch(canvas, texture, shape, 2, 0.3)
        if where is not None:
            paint_speck(canvas, where, across, float(rng.uniform(1.2, 2.2)))


def debris(plan: Plan, look: Look, canvas: Canvas, texture: Texture, rng: np.random.Generator) -> None:
    """Pyknotic fragments of 1-3 µm in necrosis and a few anywhere; too small to be cells."""
    weight = (plan.inside > 10) * (0.015 + plan.necrosis)
    amount = px_to_mm2(float(weight.sum()), CELL_UM)
    for x, y in random_points(weight.astype(np.float32), round(1200 * amount), rng):
        radius = PX * float(rng.uniform(0.5, 1.2))
        across = radius * float(rng.uniform(0.7, 1))
        shape = Ellipse(x, y, radius, across, 0.0, int(rng.integers(1000)), int(rng.integers(1000)))
        where = patch(canvas, texture, shape, 2, 0.05)
        if where is not None:
            paint_nucleus(
                canvas, where, shape.b, look.lymphocyte_od * float(rng.uniform(0.5, 1.0)), 0.0, 0.05
            )


def fill_lumen(
    canvas: Canvas, vessel: Vessel, look: Look, stain: str, texture: Texture, rng: np.random.Generator
) -> None:
    """Red cells in a lumen wide enough for them: none, some, or packed."""
    amount = float(rng.choice([0.0, 0.35, 0.9], p=[0.35, 0.35, 0.3]))
    if vessel.lumen is None or vessel.lumen_um < 6.5 or amount == 0:
        return
    low, high = vessel.lumen.min(0), vessel.lumen.max(0)
    spacing = 4.9 * PX
    spots = np.stack(np.meshgrid(*(np.arange(low[k], high[k], spacing) for k in (0, 1))), -1).reshape(-1, 2)
    spots = spots + rng.uniform(-0.35, 0.35, spots.shape) * spacing
    border = vessel.lumen.astype(np.float32)
    colour = (0.68, 0.3) if stain == "HE" else (1.3 * look.cytoplasm_od, 0.05)
    for x, y in spots[rng.random(len(spots)) < amount]:
        if cv2.pointPolygonTest(border, (float(x), float(y)), True) < 2.0 * PX:
            continue
        radius = PX * float(rng.uniform(2.7, 3.5))
        shape = Ellipse(x, y, radius, radius * float(rng.uniform(0.75, 1)), float(rng.uniform(0, 3)), 0, 0)
        where = patch(canvas, texture, shape, 2.0, 0.04)
        if where is not None:
            paint_red_cell(canvas, where, shape.b, *colour)
