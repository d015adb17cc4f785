"""Which cells of a window are black or brown grains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.cell_scenes import painted, profile_of
from tme.cells.classify import classify, never_positive
from tme.cells.measure import measure
from tme.cells.outline import trace
from tme.cells.pigment import pigment_cells
from tme.stains import STAINS


def scene(stain: str) -> tuple[np.ndarray, np.ndarray]:
    """A brown cell, a black grain and a blue nucleus, labelled 2, 5 and 7."""
    density, labels = np.zeros((40, 90, 2), np.float32), np.zeros((40, 90), np.int32)
    density[10:30, 10:30] = (0.5, 0.9)
    density[10:30, 70:80] = (0.6, 0.0)
    pixels = painted(density, profile_of(stain))
    pixels[10:30, 40:60] = 25
    labels[10:30, 10:30], labels[10:30, 40:60], labels[10:30, 70:80] = 2, 5, 7
    return pixels, labels


def test_a_black_grain_is_told_from_a_brown_cell_and_a_nucleus() -> None:
    pixels, labels = scene("CD8")
    found = pigment_cells(labels, np.array([5, 2, 7, 5]), pixels, profile_of("CD8"), STAINS.get("CD8"))
    assert found.tolist() == [True, False, False, True]
    nothing = np.zeros(0, np.int64)
    assert pigment_cells(labels, nothing, pixels, profile_of("CD8"), STAINS.get("CD8")).tolist() == []


def test_a_tinged_speck_is_black_where_no_nucleus_is_seen() -> None:
    pixels, labels = scene("CD8")
    pixels[10:30, 40:60] = (35, 24, 30)  # on purple ground; 1.2 and 1.1 times red
    chosen = np.array([2, 5, 7])
    rest = pixels, profile_of("CD8"), STAINS.get("CD8")
    assert not pigment_cells(labels, chosen, *rest).any()
    assert not pigment_cells(labels, chosen, *rest, np.zeros(3, bool)).any()
    assert pigment_cells(labels, chosen, *rest, np.ones(3, bool)).tolist() == [False, True, False]


def test_a_brown_grain_is_told_from_a_brown_cell_where_the_slide_tells() -> None:
    pixels, labels = scene("CD8")
    pixels[10:30, 40:60] = np.round(245 * 10 ** -np.array([0.45, 0.58, 0.73]))
    chosen, slide = np.array([2, 5, 7]), profile_of("CD8")
    assert not pigment_cells(labels, chosen, pixels, slide, STAINS.get("CD8")).any()
    told = pigment_cells(labels, chosen, pixels, replace(slide, least_green=1.08), STAINS.get("CD8"))
    assert told.tolist() == [False, True, False]


def test_where_the_marker_sits_in_the_nucleus_nothing_is_black() -> None:
    pixels, labels = scene("KI67")
    found = pigment_cells(labels, np.array([2, 5, 7]), pixels, profile_of("KI67"), STAINS.get("KI67"))
    assert not found.any()


def test_only_a_black_cell_is_never_positive_as_the_table_has_it() -> None:
    labels = scene("CD8")[1]
    density = np.zeros((40, 90, 2), np.float32)
    density[10:30, 10:60, 1] = 0.9
    density[10:30, 70:80, 1] = -3.0
    outlines = trace(labels)
    black = outlines.labels == 5
    calls = classify(
        measure(labels, density, outlines, 0.5), STAINS.get("CD8"), profile_of("CD8"), pigment=black
    )
    assert calls.positive is not None
    stored = calls.probability.astype(np.float32)
    assert never_positive(calls.positive, stored).tolist() == black.tolist()
    assert calls.positive.tolist() == (outlines.labels == 2).tolist()
