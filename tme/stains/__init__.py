"""One file per stain: what it means, reference vectors, where the marker sits."""

from collections.abc import Mapping
from types import MappingProxyType

from tme.registry import Registry
from tme.stains.types import Stain, StainProfile, normalised_name

STAINS: Registry[Stain] = Registry("stain", "tme.stains", "tme.stains")


def stain_names() -> Mapping[str, str]:
    """Normalised spelling (`normalised_name`) -> registered name, for every name and synonym."""
    names = {}
    for name, stain in STAINS.items():
        for spelling in (name, *stain.synonyms):
            names[normalised_name(spelling)] = name
    return MappingProxyType(names)


__all__ = ["STAINS", "Stain", "StainProfile", "normalised_name", "stain_names"]
