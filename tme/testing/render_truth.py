"""What is on a synthetic slide: cells, vessels, areas, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.metrics.families.vessel_shape import LUMEN_UM
from tme.testing.render_cells import KINDS, CellList
from tme.testing.render_place import Points
from tme.testing.render_spec import MASK_PX, MPP, PX, SlideSpec
from tme.testing.render_tissue import Plan
from tme.testing.render_vessels import Vessel, polygon_area_um2, polygon_cover
from tme.units import px_to_mm2, px_to_um, um2_to_mm2

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CellTruth:
    """Every nucleus painted, as columns of length n; centres in µm from the slide's top-left."""

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    area_um2: NDArray[np.float64]
    kind: NDArray[np.str_]
    positive: Mask
    is_til: Mask
    evaluable: Mask


@dataclass(frozen=True, eq=False)
class VesselTruth:
    """Every vessel painted, as columns of length n.

    ``outline`` and ``lumen`` hold one (m, 2) array of px per vessel (lumen None without one);
    ``area_um2`` has the lumen filled; ``has_lumen`` by the definition of
    ``lumen_vessel_pct``.
    """

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    kind: NDArray[np.str_]
    area_um2: NDArray[np.float64]
    lumen_area_um2: NDArray[np.float64]
    has_lumen: Mask
    evaluable: Mask
    outline: tuple[Points, ...]
    lumen: tuple[Points | None, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is on a synthetic slide.

    Attributes
    ----------
    spec : SlideSpec
    size_px : (width, height) of the slide
    cells : CellTruth
    vessels : VesselTruth
    mask_um : float
        µm per cell of the two masks.
    tissue, evaluable : (h, w) bool
        Tissue inside the outline (fat and small holes included); the same without pen and blur.
    """

    spec: SlideSpec
    size_px: tuple[int, int]
    cells: CellTruth
    vessels: VesselTruth
    mask_um: float
    tissue: Mask
    evaluable: Mask

    @property
    def tissue_area_mm2(self) -> float:
        """Area inside the outline."""
        return px_to_mm2(float(self.tissue.sum()), self.mask_um)

    @property
    def evaluable_area_mm2(self) -> float:
        """Area of tissue without pen and blur."""
        return px_to_mm2(float(self.evaluable.sum()), self.mask_um)

    @property
    def n_nuclei(self) -> int:
        """Nuclei in the evaluable area, ghosts not counted."""
        return int((self.cells.evaluable & (self.cells.kind != "ghost")).sum())

    @property
    def n_til(self) -> int:
        """TILs in the evaluable area."""
        return int((self.cells.evaluable & self.cells.is_til).sum())

    @property
    def n_vessels(self) -> int:
        """Vessels whose centre lies in the evaluable area."""
        return int(self.vessels.evaluable.sum())

    @property
    def til_density_per_mm2(self) -> float:
        """TILs per mm² of evaluable area."""
        return self.n_til / self.evaluable_area_mm2

    @property
    def mvd_per_mm2(self) -> float:
        """Vessels per mm² of evaluable area."""
        return self.n_vessels / self.evaluable_area_mm2

    @property
    def vessel_area_pct(self) -> float:
        """Filled area of the vessels in % of the evaluable area."""
        filled = float(self.vessels.area_um2[self.vessels.evaluable].sum())
        return 100 * um2_to_mm2(filled) / self.evaluable_area_mm2

    @property
    def lumen_vessel_pct(self) -> float | None:
        """Share of vessels whose lumen has an equivalent diameter of at least 4 µm, %; None without any."""
        if not self.n_vessels:
            return None
        return 100 * float(self.vessels.has_lumen[self.vessels.evaluable].mean())

    def vessel_labels(self) -> NDArray[np.int32]:
        """(H, W) int32 at 1 µm/px: vessel k (from 1, lumen filled), 0 elsewhere."""
        labels = np.zeros((self.size_px[1] // PX, self.size_px[0] // PX), np.int32)
        for k, outline in enumerate(self.vessels.outline):
            low = np.floor(outline.min(0) / PX).astype(int) - 1
            high = np.ceil(outline.max(0) / PX).astype(int) + 1
            cover = polygon_cover((int(high[1] - low[1]), int(high[0] - low[0])), outline / PX - low)
            labels[low[1] : high[1], low[0] : high[0]][cover > 0.5] = k + 1
        return labels

    def summary(self) -> dict[str, Any]:
        """The numbers of ``truth.csv``; None where the stain does not show them."""
        til, vessels = self.spec.stain != "CD31", self.spec.stain == "CD31"
        lumen = self.lumen_vessel_pct
        return {
            "tissue_area_mm2": round(self.tissue_area_mm2, 4),
            "evaluable_area_mm2": round(self.evaluable_area_mm2, 4),
            "n_nuclei": self.n_nuclei,
            "n_til": self.n_til if til else None,
            "til_density_per_mm2": round(self.til_density_per_mm2, 2) if til else None,
            "n_vessels": self.n_vessels if vessels else None,
            "mvd_per_mm2": round(self.mvd_per_mm2, 2) if vessels else None,
            "vessel_area_pct": round(self.vessel_area_pct, 3) if vessels else None,
            "lumen_vessel_pct": round(lumen, 2) if vessels and lumen is not None else None,
        }


def make_truth(spec: SlideSpec, plan: Plan, cells: CellList, vessels: list[Vessel]) -> Truth:
    """Truth of what was placed."""
    tissue = plan.mask(plan.inside, 0.0)
    evaluable = tissue & ~plan.mask(plan.pen, 0.25) & ~plan.mask(plan.blur, 0.5)
    kind = np.array(KINDS)[cells.kind]
    lymphocyte = kind == "lymphocyte"
    is_til = lymphocyte & cells.positive if spec.stain == "CD8" else lymphocyte & (spec.stain == "HE")
    cell_truth = CellTruth(
        px_to_um_array(cells.xy[:, 0]),
        px_to_um_array(cells.xy[:, 1]),
        np.pi * px_to_um_array(cells.a) * px_to_um_array(cells.b),
        kind,
        cells.positive.copy(),
        is_til,
        _at(evaluable, cells.xy),
    )
    centres = np.array([_centroid(v.outline) for v in vessels]).reshape(-1, 2)
    lumens = np.array([0.0 if v.lumen is None else polygon_area_um2(v.lumen) for v in vessels], np.float64)
    vessel_truth = VesselTruth(
        px_to_um_array(centres[:, 0]),
        px_to_um_array(centres[:, 1]),
        np.array([v.kind for v in vessels], dtype=np.str_),
        np.array([polygon_area_um2(v.outline) for v in vessels], np.float64),
        lumens,
        lumens >= np.pi / 4 * LUMEN_UM**2,
        _at(evaluable, centres),
        tuple(v.outline for v in vessels),
        tuple(v.lumen for v in vessels),
    )
    return Truth(
        spec, plan.size_px, cell_truth, vessel_truth, px_to_um(MASK_PX, MPP), tissue, np.asarray(evaluable)
    )


def px_to_um_array(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths in px of the slide to µm."""
    return values * px_to_um(1.0, MPP)


def _at(mask: Mask, points: Points) -> Mask:
    column = np.clip((points[:, 0] / MASK_PX).astype(np.int64), 0, mask.shape[1] - 1)
    row = np.clip((points[:, 1] / MASK_PX).astype(np.int64), 0, mask.shape[0] - 1)
    return np.asarray(mask[row, column])


def _centroid(outline: Points) -> Points:
    """Centroid of the filled polygon."""
    x, y = (outline - outline[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    total = float(cross.sum())
    shift = [((v + np.roll(v, -1)) * cross).sum() / (3 * total) for v in (x, y)]
    return np.asarray(outline[0] + shift)
