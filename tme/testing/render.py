"""Synthetic slides that look like soft-tissue biopsies, with exact truth.

`render_slide` draws one: same spec and seed, same bytes. Everything about its look (stain colours and
strength, nuclear size and density, background, composition, focus) is drawn from the seed over the
ranges found in real fields, so that nothing can be tuned to one look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tme.slide.types import RGB
from tme.testing.render_cells import CellList, place_cells
from tme.testing.render_glass import develop
from tme.testing.render_ground import paint_ground
from tme.testing.render_paint import debris, fill_lumen, paint_cells, specks
from tme.testing.render_place import Occupancy
from tme.testing.render_spec import MPP, Look, SlideSpec, draw_look
from tme.testing.render_stamp import Texture
from tme.testing.render_tissue import Plan, plan_slide
from tme.testing.render_truth import Truth, make_truth
from tme.testing.render_vessels import Vessel, paint_vessel, place_touching, place_vessels

__all__ = ["Layout", "Rendered", "SlideSpec", "Truth", "lay_out", "render_slide"]


@dataclass(frozen=True, eq=False)
class Rendered:
    """A slide: ``pixels`` (H, W, 3) uint8 RGB at ``mpp`` µm/px, and what is on it."""

    pixels: RGB
    mpp: float
    truth: Truth


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything lies on a slide, before anything is painted; `streams` is what paint is drawn from."""

    spec: SlideSpec
    look: Look
    plan: Plan
    vessels: list[Vessel]
    cells: CellList
    streams: list[np.random.Generator]

    def truth(self) -> Truth:
        """The truth of what was laid out."""
        return make_truth(self.spec, self.plan, self.cells, self.vessels)


def lay_out(spec: SlideSpec, seed: int) -> Layout:
    """Place tissue, vessels and cells. `render_slide` paints the same layout from the same seed."""
    *streams, beside = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(9)]
    look = draw_look(spec.stain, streams[0])
    plan = plan_slide(spec, look, streams[1])
    taken = Occupancy.empty(plan)
    n_vessels = round(spec.mvd_per_mm2 * spec.area_mm2)
    if spec.stain == "CD31":
        # A stream of its own: slides of other stains stay as they are, to the byte.
        vessels = place_touching(plan, n_vessels, taken, (streams[3], beside))
    else:
        vessels = place_vessels(plan, n_vessels, taken, streams[3])
    cells = place_cells(plan, spec, look, vessels, taken, streams[4])
    return Layout(spec, look, plan, vessels, cells, streams)


def render_slide(spec: SlideSpec, seed: int) -> Rendered:
    """Draw one slide and its truth.

    Parameters
    ----------
    spec : SlideSpec
    seed : int
        Non-negative; with the spec it decides every byte.
    """
    layout = lay_out(spec, seed)
    look, paint = layout.look, layout.streams[6]
    canvas = paint_ground(layout.plan, look, spec.stain != "HE", layout.streams[2])
    texture = Texture.draw(layout.streams[5])
    for vessel in layout.vessels:
        paint_vessel(canvas, vessel, look, texture, spec.stain == "CD31", paint)
        fill_lumen(canvas, vessel, look, spec.stain, texture, paint)
    paint_cells(canvas, layout.cells, look, spec.stain, texture, paint)
    debris(layout.plan, look, canvas, texture, paint)
    specks(layout.plan, spec, canvas, texture, paint)
    return Rendered(develop(canvas, layout.plan, look, layout.streams[7]), MPP, layout.truth())
