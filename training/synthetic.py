"""Rendered fields with exact truth: spindle tumour cells, which no labelled set holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.learn.field import Field, from_masks
from tme.testing.render import SlideSpec, lay_out, render_slide
from tme.testing.render_cells import KINDS, CellList

SIDE = 512
FIRST_SEED = 910_000
"""Far from every seed a test or a demo uses."""
HELD_SEED = 920_000
COUNTS = {"HE": 40, "CD8": 10, "CD31": 6}
SIXTEENTHS = 4


def fields(first_seed: int = FIRST_SEED, counts: Mapping[str, int] = COUNTS) -> Iterator[Field]:
    """Fields of so many slides of every stain; each slide has a look of its own."""
    seed = first_seed
    for stain, count in counts.items():
        for _ in range(count):
            yield from _of_slide(stain, seed)
            seed += 1


def _of_slide(stain: str, seed: int) -> Iterator[Field]:
    rng = np.random.default_rng(seed)
    spec = SlideSpec(stain, area_mm2=0.3, til_density_per_mm2=float(rng.uniform(60, 900)))
    slide = render_slide(spec, seed)
    cells = lay_out(spec, seed).cells
    labels, kinds = instances(cells, slide.pixels.shape[:2])
    tissue = slide.pixels.min(axis=2) < 225
    for top in range(0, labels.shape[0] - SIDE + 1, SIDE):
        for left in range(0, labels.shape[1] - SIDE + 1, SIDE):
            box = np.s_[top : top + SIDE, left : left + SIDE]
            if tissue[box].mean() < 0.4:
                continue
            part = labels[box]
            present = np.unique(part[part > 0])
            lymphocyte = np.isin(kinds[present - 1], ["lymphocyte", "leucocyte"]).astype(np.float32)
            name = f"{stain}-{seed}-{top}-{left}"
            dataset = "synthetic_he" if stain == "HE" else "synthetic_ihc"
            rgb = np.ascontiguousarray(slide.pixels[box])
            yield from_masks(name, dataset, f"synthetic-{seed}", rgb, slide.mpp, part, lymphocyte)


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
