"""Out-of-focus areas, from how fast detail fades with size.

In focus, stained tissue has about as much contrast at periods of 4-10 µm as at 10-40 µm. The ratio
of the two (energies of `Scan.fine` and `Scan.middle`, averaged as logarithms over some 64 µm) is
above 0.5 in all but one of 150 places of in-focus fields of H&E and immunostains, and below 0.2
once these are blurred by a Gaussian of 3 µm. It does not depend on how strong the structure is, so
smooth stroma and fat are not blur; where there is no structure at all nothing is said.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.tissue.morphology import Mask, grown, opened
from tme.tissue.runs import find_pieces
from tme.units import mm2_to_um2, um2_to_px, um_to_px, um_to_whole_px

RATIO = 0.40
RATIO_NEAR = 0.70
WINDOW_UM = 64.0
MIN_ENERGY = 0.003**2
TINY = 1e-8
MIN_SHARE = 0.3
MIN_WIDTH_UM = 96.0
MIN_AREA_MM2 = 0.02
MAX_NATIVE_MPP = 1.1

Floats = NDArray[np.float32]


def find_blur(fine: Floats, middle: Floats, covered: NDArray[np.uint8], mpp: float) -> Mask:
    """Areas out of focus, (H, W) bool.

    Parameters
    ----------
    fine, middle : (H, W) float32
        Energy of density in the two bands, OD².
    covered : (H, W) uint8
        Share of each pixel that is tissue, in 1/255; only tissue is judged.
    mpp : float
        µm/px of the three.
    """
    share = covered.astype(np.float32) / np.float32(255.0)
    # Logarithms, so that the sharp neighbours of a blurred patch do not outweigh it.
    fade = np.log((fine + TINY) / (middle + TINY))
    weight = share * (middle >= MIN_ENERGY * share)
    sigma = um_to_px(WINDOW_UM, mpp) / 2
    known = cv2.GaussianBlur(weight, (0, 0), sigma)
    smooth = cv2.GaussianBlur(fade * weight, (0, 0), sigma) / np.maximum(known, MIN_SHARE)
    found = opened((known >= MIN_SHARE) & (smooth <= np.log(RATIO)), um_to_whole_px(MIN_WIDTH_UM / 2, mpp))
    pieces = find_pieces(found, diagonal=True)
    areas = pieces.sums(share)
    pieces.paint(found, areas < um2_to_px(mm2_to_um2(MIN_AREA_MM2), mpp), False)
    # Towards its border a blurred patch is averaged with what is sharp beside it.
    near = (known > 0) & (smooth <= np.log(RATIO_NEAR))
    return np.asarray(found | (grown(found, 1) & near))
