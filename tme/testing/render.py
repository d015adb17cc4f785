"""Synthetic slides that look like soft-tissue biopsies, with exact truth.

`render_slide` draws one: same spec and seed, same bytes. Everything about its look (stain colours and
strength, nuclear size and density, background, composition, focus) is drawn from the seed over the
ranges found in real fields, so that nothing can be tuned to one look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tme.slide.types import RGB
from tme.testing.render_cells import debris, paint_cells, place_cells, specks
from tme.testing.render_glass import develop
from tme.testing.render_ground import Canvas, paint_ground
from tme.testing.render_place import Occupancy
from tme.testing.render_spec import MPP, PX, Look, SlideSpec, draw_look
from tme.testing.render_stamp import Ellipse, Texture, paint_red_cell, patch
from tme.testing.render_tissue import plan_slide
from tme.testing.render_truth import Truth, make_truth
from tme.testing.render_vessels import Vessel, paint_vessel, place_vessels

__all__ = ["Rendered", "SlideSpec", "Truth", "render_slide"]


@dataclass(frozen=True, eq=False)
class Rendered:
    """A slide: ``pixels`` (H, W, 3) uint8 RGB at ``mpp`` µm/px, and what is on it."""

    pixels: RGB
    mpp: float
    truth: Truth


def render_slide(spec: SlideSpec, seed: int) -> Rendered:
    """Draw one slide and its truth.

    Parameters
    ----------
    spec : SlideSpec
    seed : int
        Non-negative; with the spec it decides every byte.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(8)]
    look = draw_look(spec.stain, streams[0])
    plan = plan_slide(spec, look, streams[1])
    canvas = paint_ground(plan, look, spec.stain != "HE", streams[2])
    taken = Occupancy.empty(plan)
    vessels = place_vessels(plan, round(spec.mvd_per_mm2 * spec.area_mm2), taken, streams[3])
    cells = place_cells(plan, spec, look, vessels, taken, streams[4])
    texture = Texture.draw(streams[5])
    for vessel in vessels:
        paint_vessel(canvas, vessel, look, texture, spec.stain == "CD31", streams[6])
        _fill_lumen(canvas, vessel, look, spec.stain, texture, streams[6])
    paint_cells(canvas, cells, look, spec.stain, texture, streams[6])
    debris(plan, spec, look, canvas, texture, streams[6])
    specks(plan, spec, canvas, texture, streams[6])
    return Rendered(develop(canvas, plan, look, streams[7]), MPP, make_truth(spec, plan, cells, vessels))


def _fill_lumen(
    canvas: Canvas, vessel: Vessel, look: Look, stain: str, texture: Texture, rng: np.random.Generator
) -> None:
    """Red cells in a lumen wide enough for them: none, some, or packed."""
    amount = float(rng.choice([0.0, 0.35, 0.9], p=[0.35, 0.35, 0.3]))
    if vessel.lumen is None or vessel.lumen_um < 6.5 or amount == 0:
        return
    import cv2

    low, high = vessel.lumen.min(0), vessel.lumen.max(0)
    spacing = 4.9 * PX
    spots = np.stack(np.meshgrid(*(np.arange(low[k], high[k], spacing) for k in (0, 1))), -1).reshape(-1, 2)
    spots = spots + rng.uniform(-0.35, 0.35, spots.shape) * spacing
    border = vessel.lumen.astype(np.float32)
    colour = (0.68, 0.3) if stain == "HE" else (2.0 * look.cytoplasm_od, 0.05)
    for x, y in spots[rng.random(len(spots)) < amount]:
        if cv2.pointPolygonTest(border, (float(x), float(y)), True) < 2.0 * PX:
            continue
        radius = PX * float(rng.uniform(2.7, 3.5))
        shape = Ellipse(x, y, radius, radius * float(rng.uniform(0.75, 1)), float(rng.uniform(0, 3)), 0, 0)
        where = patch(canvas, texture, shape, 2.0, 0.04)
        if where is not None:
            paint_red_cell(canvas, where, shape.b, *colour)
