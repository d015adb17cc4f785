"""Windows of a slide -> Vessels: endothelium masks, joined over the whole slide.

`find.mask_task` turns windows into packed masks and can run anywhere; `join.join_masks` joins them.
Nothing is owned by a window: a vessel that crosses five of them is one row. Vessels that touch are
parted (`tme.vessels.part`) once an object is whole.
"""

from tme.vessels.find import find_vessels, mask_task
from tme.vessels.join import join_masks
from tme.vessels.windows import vessel_mpp, vessel_window_px, vessels_possible

__all__ = [
    "find_vessels",
    "join_masks",
    "mask_task",
    "vessel_mpp",
    "vessel_window_px",
    "vessels_possible",
]
