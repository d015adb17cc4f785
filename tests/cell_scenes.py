"""Small sections drawn by Beer-Lambert from known densities, with known nuclei."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import reference_profile
from tme.stains.types import StainProfile
from tme.testing.memory import ArraySlide
from tme.tissue.types import TissueMask

MPP = 0.5
THRESHOLD_OD = 0.2
LEVELS = {"nuclear": 0.25, "background": 0.1, "nucleus": 0.6}
MASK_MPP = 4.0

Density = NDArray[np.float32]


def profile_of(stain: str, threshold: float | None = THRESHOLD_OD) -> StainProfile:
    """The reference profile of a stain, with levels and, for DAB, a threshold."""
    kind = STAINS.get(stain).kind
    plain = reference_profile(STAINS.get(stain))
    return StainProfile(
        stain,
        plain.background,
        plain.vectors,
        dab_threshold_od=threshold if kind == "dab" else None,
        threshold_source="slide" if kind == "dab" else "",
        levels=dict(LEVELS),
    )


def painted(density: Density, profile: StainProfile) -> RGB:
    """(H, W, 3) uint8: what a section with these densities of the two stains looks like."""
    vectors = np.asarray(profile.vectors[:2], np.float64)
    light = np.asarray(profile.background) * 10.0 ** -(density.astype(np.float64) @ vectors)
    return np.clip(np.round(light), 0, 255).astype(np.uint8)


def ellipse_mask(
    shape: tuple[int, int], x: float, y: float, a: float, b: float = 0.0, angle: float = 0.0
) -> NDArray[np.bool_]:
    """Pixels whose centre (at +0.5) lies in an ellipse of half axes a and b px (b 0: a disc)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    dx, dy = columns + 0.5 - x, rows + 0.5 - y
    turn = np.deg2rad(angle)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    inside: NDArray[np.bool_] = (along / a) ** 2 + (across / (b or a)) ** 2 <= 1
    return inside


def nuclei_field(
    shape: tuple[int, int], seed: int, pitch: int = 30, second: float = 0.1
) -> tuple[Density, NDArray[np.float64]]:
    """Densities (H, W, 2) of separate nuclei of 5 to 8 µm on a jittered grid, and their centres (n, 2) px.

    No nucleus lies nearer than half a pitch to the border.
    """
    rng = np.random.default_rng(seed)
    density = np.zeros((*shape, 2), np.float32)
    density[..., 0], density[..., 1] = 0.03, second
    centres = []
    for row in range(pitch, shape[0] - pitch // 2, pitch):
        for column in range(pitch, shape[1] - pitch // 2, pitch):
            x, y = column + rng.uniform(-4, 4), row + rng.uniform(-4, 4)
            a, b = rng.uniform(6, 8), rng.uniform(5, 6)
            y0, x0 = row - pitch // 2, column - pitch // 2
            patch = density[y0 : y0 + pitch, x0 : x0 + pitch, 0]
            patch[ellipse_mask(patch.shape, x - x0, y - y0, a, b, rng.uniform(0, 180))] = 0.6
            centres.append((x, y))
    return density, np.array(centres)


def all_tissue(slide: ArraySlide) -> TissueMask:
    """A mask that calls the whole slide tissue, without artefacts."""
    width, height = slide.info.width * slide.info.mpp, slide.info.height * slide.info.mpp
    shape = (int(np.ceil(height / MASK_MPP)), int(np.ceil(width / MASK_MPP)))
    return TissueMask(
        MASK_MPP, width, height, np.ones(shape, bool), np.zeros(shape, np.uint8), has_glass=False, n_pieces=1
    )


def table_bytes(table: pa.Table) -> bytes:
    """Every byte of a table's content, chunking aside."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()
