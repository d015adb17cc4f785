"""Packed masks of all windows -> Vessels, joined over the whole slide.

Three passes over the windows, each holding one at a time: (1) stained pieces are connected across
borders and kept where they hold enough seeds; (2) kept pieces are widened by half the joining
distance and connected again, which says what belongs to one vessel; (3) each vessel is put together
in its own box, filled, measured and judged. Nothing depends on the order or number of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from tme.config import VesselSettings
from tme.geometry import Box
from tme.slide.types import SlideInfo
from tme.stains.types import StainProfile
from tme.units import um2_to_px
from tme.vessels.connect import Pieces, SlideLabels, label_pieces
from tme.vessels.fill import disc, join_radius
from tme.vessels.measure import Assembly, measure_vessel
from tme.vessels.packed import PackedPlane, WindowMask, pack, unpack
from tme.vessels.table import Row, vessel_table
from tme.vessels.types import Vessels
from tme.vessels.windows import CORE_PX, vessel_mpp

Bits = NDArray[np.bool_]

MIN_SEED_UM2 = 2.0
"""Area above the threshold that a connected piece must hold."""
MIN_PIECE_UM2 = 4.0
"""Smaller pieces are noise: they neither are vessels nor bridge two."""


@dataclass(frozen=True)
class Fragment:
    """The part of one widened piece that lies in one window: stained pixels in their own box."""

    number: int
    box: Box
    bits: bytes
    density: int


@dataclass(frozen=True)
class KeptWindow:
    """Pieces of one window that are kept: mask, first pixel of each piece, and its DAB levels' sum."""

    core: Box
    bits: bytes
    first: tuple[int, ...]
    density: tuple[int, ...]


def join_masks(
    parts: Iterable[WindowMask], info: SlideInfo, profile: StainProfile, settings: VesselSettings
) -> Vessels:
    """Join the masks of all windows into vessels.

    Parameters
    ----------
    parts : iterable of WindowMask
        Every window of the slide's grid, in any order.
    info : SlideInfo
    profile : StainProfile
        The one the masks were made with.
    settings : VesselSettings

    Returns
    -------
    Vessels
        ``compartment`` and ``in_hotspot`` are null: they need regions and densities.
    """
    mpp = vessel_mpp(info, settings)
    ordered = sorted(parts, key=lambda part: part.core)
    kept = keep_supported(ordered, mpp)
    pale = PackedPlane(CORE_PX, ((part.core, part.pale) for part in ordered))
    threshold = profile.dab_threshold_od or 1.0
    rows: list[Row] = []
    for group in group_fragments(kept, settings, mpp):
        row = measure_vessel(_assembly(group), pale, settings, mpp, threshold)
        if row is not None:
            rows.append(row)
    provenance = {
        "work_mpp_um": mpp,
        "dab_threshold_od": profile.dab_threshold_od,
        "threshold_source": profile.threshold_source,
    }
    return Vessels(vessel_table(rows, mpp, info.mpp), provenance)


def keep_supported(parts: Sequence[WindowMask], mpp: float) -> list[KeptWindow]:
    """Pieces, connected over the slide, that hold enough seeds and are no specks."""
    labels = SlideLabels(CORE_PX)
    offsets, sizes, seeds = [], [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for part in parts:
        pieces = _pieces(part)
        offsets.append(labels.add(part.core, pieces))
        sizes.append(np.bincount(pieces.label_of, minlength=pieces.count + 1)[1:])
        seeds.append(np.asarray(part.seeds, np.int64))
    joined = labels.joined()
    total = joined.max(initial=0) + 1
    size = np.bincount(joined, weights=np.concatenate(sizes), minlength=total)
    seed = np.bincount(joined, weights=np.concatenate(seeds), minlength=total)
    good = (seed >= um2_to_px(MIN_SEED_UM2, mpp)) & (size >= um2_to_px(MIN_PIECE_UM2, mpp))
    kept = []
    for part, offset in zip(parts, offsets, strict=True):
        keep = np.concatenate([[False], good[joined[offset + 1 : offset + 1 + len(part.seeds)]]])
        kept.append(_kept_window(part, keep))
    return kept


def _pieces(part: WindowMask) -> Pieces:
    return label_pieces(unpack(part.stained, (part.core.height, part.core.width)))


def _kept_window(part: WindowMask, keep: Bits) -> KeptWindow:
    if not keep.any():
        return KeptWindow(part.core, b"", (), ())
    pieces = _pieces(part)
    _, first = np.unique(pieces.label_of, return_index=True)
    density = np.asarray(part.density, np.int64)
    return KeptWindow(
        part.core,
        pack(keep[pieces.labels]),
        tuple(pieces.pixels[first][keep[1:]].tolist()),
        tuple(density[keep[1:]].tolist()),
    )


def group_fragments(
    kept: Sequence[KeptWindow], settings: VesselSettings, mpp: float
) -> Iterator[list[Fragment]]:
    """Fragments that belong to one vessel, vessel by vessel."""
    plane = PackedPlane(CORE_PX, ((window.core, window.bits) for window in kept))
    labels = SlideLabels(CORE_PX)
    radius = join_radius(settings, mpp)
    fragments: list[Fragment] = []
    for window in kept:
        outer = plane.read(window.core.grow(radius + 1))
        if not outer.any():
            continue
        widened = cv2.dilate(outer.view(np.uint8), disc(radius))
        inside = slice(radius + 1, -radius - 1)
        pieces = label_pieces(np.ascontiguousarray(widened[inside, inside]).view(bool))
        offset = labels.add(window.core, pieces)
        fragments += _fragments(window, np.ascontiguousarray(outer[inside, inside]), pieces, offset)
    joined = labels.joined()
    groups: dict[int, list[Fragment]] = {}
    for fragment in fragments:
        groups.setdefault(int(joined[fragment.number]), []).append(fragment)
    yield from groups.values()


def _fragments(window: KeptWindow, stained: Bits, pieces: Pieces, offset: int) -> Iterator[Fragment]:
    if not window.first:
        return
    owners = pieces.labels.ravel()[list(window.first)]
    density = np.bincount(owners, weights=np.asarray(window.density, np.float64))
    labelled = np.where(stained, pieces.labels, 0)
    for label, place in _boxes(labelled, pieces.count):
        bits = labelled[place] == label
        y0, x0 = window.core.y0 + place[0].start, window.core.x0 + place[1].start
        box = Box(y0, x0, y0 + bits.shape[0], x0 + bits.shape[1])
        yield Fragment(offset + label, box, pack(bits), int(density[label]))


def _boxes(labels: NDArray[np.int32], count: int) -> Iterator[tuple[int, tuple[slice, slice]]]:
    for index, place in enumerate(find_objects(labels, max_label=count)):
        if place is not None:
            yield index + 1, place


def _assembly(group: list[Fragment]) -> Assembly:
    boxes = [fragment.box for fragment in group]
    around = Box(
        min(box.y0 for box in boxes),
        min(box.x0 for box in boxes),
        max(box.y1 for box in boxes),
        max(box.x1 for box in boxes),
    )
    pieces = tuple((fragment.box, fragment.bits) for fragment in group)
    return Assembly(around, pieces, sum(fragment.density for fragment in group))
