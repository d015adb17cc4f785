"""Rendered fields with exact truth: spindle tumour cells, which no labelled set holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.learn.field import Field, from_masks
from tme.testing.render import SlideSpec, lay_out, render_slide
from tme.testing.render_cells import KINDS, CellList
from training.parallel import mapped

FIRST_SEED = 910_000
"""Far from every seed a test or a demo uses."""
HELD_SEED = 920_000
COUNTS = {"HE": 1300, "CD8": 80, "CD31": 40}
"""Many small slides: what a network learns by heart is the look of a slide, not the cells on it."""
AREA_MM2 = 0.1
GLASS = 225
SIXTEENTHS = 4


def fields(
    first_seed: int = FIRST_SEED, counts: Mapping[str, int] = COUNTS, workers: int = 0
) -> Iterator[Field]:
    """A field of each of so many slides of every stain; each slide has a look of its own."""
    stains = [stain for stain, count in counts.items() for _ in range(count)]
    yield from mapped(_of_slide, list(zip(stains, itertools.count(first_seed))), workers)


def _of_slide(which: tuple[str, int]) -> Field:
    """What of a slide, a stain and a seed, holds tissue."""
    stain, seed = which
    rng = np.random.default_rng(seed)
    spec = SlideSpec(stain, area_mm2=AREA_MM2, til_density_per_mm2=float(rng.uniform(60, 900)))
    slide = render_slide(spec, seed)
    labels, kinds = instances(lay_out(spec, seed).cells, slide.pixels.shape[:2])
    left, top, width, height = cv2.boundingRect((slide.pixels.min(axis=2) < GLASS).astype(np.uint8))
    box = np.s_[top : top + height, left : left + width]
    present = np.unique(labels[box])
    lymphocyte = np.isin(kinds[present[present > 0] - 1], ["lymphocyte", "leucocyte"]).astype(np.float32)
    return from_masks(
        f"{stain}-{seed}",
        "synthetic_he" if stain == "HE" else "synthetic_ihc",
        f"synthetic-{seed}",
        np.ascontiguousarray(slide.pixels[box]),
        slide.mpp,
        labels[box],
        lymphocyte,
    )


def instances(cells: CellList, shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """(H, W) label map of the nuclei painted (ghosts left out) and their kinds by label."""
    labels = np.zeros(shape, np.int32)
    names = np.array(KINDS)[cells.kind]
    shown = np.flatnonzero(names != "ghost")
    for number, k in enumerate(shown, 1):
        centre = np.round((cells.xy[k] - 0.5) * 2**SIXTEENTHS).astype(int)
        axes = np.round(np.array([cells.a[k], cells.b[k]]) * 2**SIXTEENTHS).astype(int)
        cv2.ellipse(
            labels,
            tuple(map(int, centre)),
            tuple(map(int, axes)),
            float(np.rad2deg(cells.angle[k])),
            0,
            360,
            number,
            thickness=-1,
            shift=SIXTEENTHS,
        )
    return labels, names[shown]
