"""Small slides, masks and tables with known content, for tests of what people look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from tme.cells.types import CELL_SCHEMA
from tme.testing.memory import ArraySlide
from tme.tissue.types import ARTEFACTS, TissueMask
from tme.vessels.types import VESSEL_SCHEMA


def octagons(x_px: np.ndarray, y_px: np.ndarray, radius_px: np.ndarray) -> np.ndarray:
    """One octagon per centre, in level-0 pixels."""
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    points = np.stack(
        [
            x_px[:, None] + np.cos(angle) * radius_px[:, None],
            y_px[:, None] + np.sin(angle) * radius_px[:, None],
        ],
        -1,
    )
    return shapely.polygons(points)


def cell_table(n: int, width_px: int, height_px: int, mpp: float, seed: int = 0, **columns: Any) -> pa.Table:
    """``n`` cells of radius 4 µm at random places; ``columns`` replace the made-up ones."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, width_px, n), np.sort(rng.uniform(0, height_px, n))
    names = rng.choice(["lymphocyte", "plasma", "other"], n)
    values: dict[str, Any] = {name: pa.nulls(n, CELL_SCHEMA.field(name).type) for name in CELL_SCHEMA.names}
    values |= {
        "cell_id": np.arange(n),
        "x_px": x,
        "y_px": y,
        "x_um": x * mpp,
        "y_um": y * mpp,
        "area_um2": np.full(n, 50.25, np.float32),
        "class": names.tolist(),
        "class_prob": rng.uniform(0.5, 1, n).astype(np.float32),
        "is_til": names != "other",
        "in_cluster": np.zeros(n, bool),
        "compartment": ["evaluable"] * n,
        "geometry": shapely.to_wkb(octagons(x, y, np.full(n, 4 / mpp))).tolist(),
    }
    return pa.table(values | columns).select(CELL_SCHEMA.names).cast(CELL_SCHEMA)


def vessel_table(
    n: int, width_px: int, height_px: int, mpp: float, seed: int = 0, **columns: Any
) -> pa.Table:
    """``n`` vessels of radius 10 µm at random places."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, width_px, n), np.sort(rng.uniform(0, height_px, n))
    values: dict[str, Any] = {
        name: pa.nulls(n, VESSEL_SCHEMA.field(name).type) for name in VESSEL_SCHEMA.names
    }
    values |= {
        "vessel_id": np.arange(n),
        "x_um": x * mpp,
        "y_um": y * mpp,
        "area_um2": np.full(n, 314.2, np.float32),
        "max_feret_um": np.full(n, 20.0, np.float32),
        "geometry": shapely.to_wkb(octagons(x, y, np.full(n, 10 / mpp))).tolist(),
    }
    return pa.table(values | columns).select(VESSEL_SCHEMA.names).cast(VESSEL_SCHEMA)


def plain_slide(width_px: int = 1600, height_px: int = 1200, mpp: float = 0.5, seed: int = 0) -> ArraySlide:
    """A pink slide with a little noise, so that no two places look the same."""
    rng = np.random.default_rng(seed)
    small = rng.integers(150, 230, (height_px // 20 + 1, width_px // 20 + 1, 3), np.uint8)
    pixels = np.repeat(np.repeat(small, 20, 0), 20, 1)[:height_px, :width_px]
    return ArraySlide(np.ascontiguousarray(pixels), mpp)


def tissue_mask(slide: ArraySlide, mpp: float = 4.0, artefact: str = "", share: float = 0.25) -> TissueMask:
    """Tissue everywhere but in a strip at the left; ``artefact`` covers the lower ``share`` of it."""
    width_um, height_um = slide.info.width * slide.info.mpp, slide.info.height * slide.info.mpp
    width, height = slide.info.size_at(mpp)
    tissue = np.ones((height, width), bool)
    tissue[:, : width // 10] = False
    artefacts = np.zeros(tissue.shape, np.uint8)
    if artefact:
        artefacts[int(height * (1 - share)) :] = 1 << ARTEFACTS.index(artefact)
        artefacts[~tissue] = 0
    return TissueMask(mpp, width_um, height_um, tissue, artefacts, True, 1)
