"""The values of the regions room: what a pathologist drew, and where things may be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from tme.regions.walls import Walls
from tme.tissue.types import Mask, TissueMask

TUMOUR, STROMA, PERITUMOUR = "Tumor", "Stroma", "Peritumour"
NECROSIS, EXCLUDE = "Necrosis", "Exclude"
CLASSES = (TUMOUR, STROMA, PERITUMOUR, NECROSIS, EXCLUDE)
SUBTRACTED = (NECROSIS, EXCLUDE)

EVALUABLE = "evaluable"
# Class of annotation -> compartment, the most specific one first.
COMPARTMENT_OF = {TUMOUR: "tumour", PERITUMOUR: "peritumour", STROMA: "stroma"}


@dataclass(frozen=True, eq=False)
class Annotation:
    """One annotated area.

    Attributes
    ----------
    class_name : str
        One of `CLASSES`, or "" where the class is missing or not known; such an area changes nothing.
    label : str
        The class as the file gives it, the user's own text.
    polygon : Polygon or MultiPolygon
        Valid, in pixels of level 0.
    caution : str
        What the reader had to do to it, empty if nothing.
    """

    class_name: str
    label: str
    polygon: Polygon | MultiPolygon
    caution: str = ""


@dataclass(frozen=True, eq=False)
class Regions:
    """Where a slide is evaluable, on the grid of its `TissueMask`.

    Attributes
    ----------
    tissue : TissueMask
    excluded : (H, W) bool
        Tissue without artefact that Necrosis or Exclude takes away, so that the areas of artefact,
        excluded and evaluable add up to that of the tissue.
    compartments : dict of str to (H, W) bool
        ``evaluable`` first: tissue without artefact and exclusion. Then ``tumour``, ``peritumour``
        and ``stroma``, those that were annotated, each within ``evaluable``. Where their outlines
        overlap the more specific one has the pixel, so these three never share one.
    cautions : tuple of str
        Plain sentences that belong beside the slide's numbers.
    """

    tissue: TissueMask
    excluded: Mask
    compartments: dict[str, Mask]
    cautions: tuple[str, ...] = ()

    @property
    def evaluable(self) -> Mask:
        """(H, W) bool: where things are counted."""
        return self.compartments[EVALUABLE]

    @property
    def areas_mm2(self) -> dict[str, float]:
        """Compartment -> area, mm²."""
        return {name: self.tissue.area_mm2(mask) for name, mask in self.compartments.items()}

    def compartment_at(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.object_]:
        """The most specific compartment at points.

        Parameters
        ----------
        x_um, y_um : (N,) float64
            µm from the top-left corner of level 0.

        Returns
        -------
        (N,) object
            Names; None where the slide is not evaluable.
        """
        names = np.full(len(np.asarray(x_um)), None, dtype=object)
        for name, mask in self.compartments.items():
            names[self.tissue.values_at(x_um, y_um, mask)] = name
        return names

    def compartment_of(self, walls: Walls) -> NDArray[np.object_]:
        """The most specific compartment of vessels, by `Walls.inside`; (N,) object as `compartment_at`."""
        names = np.full(len(walls.x_um), None, dtype=object)
        for name, mask in self.compartments.items():
            names[walls.inside(mask)] = name
        return names
