"""Annotations drawn in QuPath, and the compartments that follow from them."""

from tme.regions.annotations import read_annotations
from tme.regions.build import build_regions
from tme.regions.outlines import tissue_geojson
from tme.regions.types import CLASSES, Annotation, Regions

__all__ = ["CLASSES", "Annotation", "Regions", "build_regions", "read_annotations", "tissue_geojson"]
