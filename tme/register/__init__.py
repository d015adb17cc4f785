"""Two sections of one block laid on each other, and how far they still lie apart.

In: a `SectionMap` of each, counterstain density on a coarse grid. Out: a `Registration`, a rotation and a
shift with the displacements left between patches of the two, or the reason why it cannot be trusted.
"""

from tme.register.check import CORE_UM
from tme.register.maps import MAP_MPP, load_map, read_map, save_map
from tme.register.picture import write_picture
from tme.register.register import register_sections
from tme.register.types import Patch, Registration, SectionMap

__all__ = [
    "CORE_UM",
    "MAP_MPP",
    "Patch",
    "Registration",
    "SectionMap",
    "load_map",
    "read_map",
    "register_sections",
    "save_map",
    "write_picture",
]
