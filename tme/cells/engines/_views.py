"""One window, several views of it: the mean of what a network answers to it turned, mirrored and shifted.

What a network says of a nucleus depends a little on how the slide lay under the scanner; the mean over views
depends less on it and is righter (docs/benchmarks.md). It costs one pass of the network a view. Known as
test-time augmentation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.cells.engines._runtime import Network
from tme.slide.types import RGB

Answer = NDArray[np.float32]
RIGHT, DOWN = 2, 3
"""Where in an answer the arrows to a nucleus' centre are."""
STRIDE = 16
"""Pixels after which a network that works in steps looks at a window alike again."""
VIEWS = tuple((view, (5 * k % STRIDE, 11 * k % STRIDE)) for k, view in enumerate((0, 5, 2, 7, 1, 4, 3, 6)))
"""Symmetries of a square and shifts (down, right): the first two, four or all eight are used."""


def turned(image: NDArray[Any], view: int) -> NDArray[Any]:
    """(H, W, ...) under one of the eight symmetries of a square: quarter turns, from 4 on mirrored before."""
    return np.rot90(image[:, ::-1] if view >= 4 else image, view % 4)


def turned_back(answer: Answer, view: int) -> Answer:
    """(C, H, W) answers to a turned image as answers to the image itself, arrows and all."""
    quarters, mirrored = view % 4, view >= 4
    lying = np.rot90(answer, -quarters, (1, 2))
    if mirrored:
        lying = lying[:, :, ::-1]
    out = lying.copy()
    if quarters % 2:
        out[RIGHT], out[DOWN] = lying[DOWN], lying[RIGHT]
    if (quarters in (1, 2)) != mirrored:
        out[RIGHT] *= -1
    if quarters in (2, 3):
        out[DOWN] *= -1
    return out


class Viewed:
    """A network that answers with the mean of its answers to several views.

    Parameters
    ----------
    network : Network
        Its channels `RIGHT` and `DOWN` are arrows in pixels.
    views : {2, 4, 8}
    """

    def __init__(self, network: Network, views: int) -> None:
        self.network = network
        self.views = VIEWS[:views]

    def __call__(self, rgb: RGB) -> Answer:
        """(H, W, 3) uint8, sides multiples of `STRIDE` -> (C, H, W) float32."""
        height, width = rgb.shape[:2]
        total: Any = 0.0
        for view, (down, right) in self.views:
            # All views of one size: the runtime prepares anew for every size it meets.
            wide = np.pad(rgb, ((down, STRIDE - down), (right, STRIDE - right), (0, 0)), mode="symmetric")
            seen = turned_back(self.network(np.ascontiguousarray(turned(wide, view))), view)
            total += seen[:, down : down + height, right : right + width]
        return np.asarray(total / np.float32(len(self.views)), np.float32)


def viewed(network: Network, views: int) -> Network:
    """The network, or with more than one view the mean of its answers to them."""
    return network if views == 1 else Viewed(network, views)
