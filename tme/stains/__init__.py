"""One file per stain: what it means, reference vectors, where the marker sits."""

from tme.registry import Registry
from tme.stains.types import Stain, StainProfile

STAINS: Registry[Stain] = Registry("stain", "tme.stains", "tme.stains")

__all__ = ["STAINS", "Stain", "StainProfile"]
