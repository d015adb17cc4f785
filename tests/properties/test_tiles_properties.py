"""Windows cut to their tissue: nothing in tissue is lost, and what is seen hangs on the slide alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tme.tiles import STEP_PX, make_grid
from tme.tissue.types import TissueMask

MPP, CORE, HALO = 0.5, 640, 112


@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0.001, 0.2),
    mask_mpp=st.sampled_from([2.0, 4.0, 7.3]),
    width=st.integers(50, 3000),
    height=st.integers(50, 3000),
)
def test_every_tissue_pixel_is_seen_with_its_halo(
    seed: int, share: float, mask_mpp: float, width: int, height: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(np.ceil(side * MPP / mask_mpp)) for side in (height, width))
    tissue = rng.random(shape) < share
    nothing = np.zeros(shape, np.uint8)
    mask = TissueMask(mask_mpp, width * MPP, height * MPP, tissue, nothing, True, 1)
    windows = make_grid(mask, (width, height), MPP, CORE, HALO, fixed=False).windows
    whole = make_grid(mask, (width, height), MPP, CORE, HALO).windows
    assert [window.core for window in windows] == [window.core for window in whole]
    for window in windows:
        core, outer = window.core, window.outer
        assert outer == outer.clip(width, height)
        for low, corner in ((outer.x0, core.x0), (outer.y0, core.y0)):
            assert low == 0 or (low + HALO - corner) % STEP_PX == 0
    seen_by = {(window.core.y0 // CORE, window.core.x0 // CORE): window.outer for window in windows}
    rows, columns = np.nonzero(tissue)
    scale = mask_mpp / MPP
    for row, column in zip(rows, columns, strict=True):
        # Every corner of the mask's pixel that lies on the slide, seen by the window that owns it.
        for y in (int(row * scale), int((row + 1) * scale) - 1):
            for x in (int(column * scale), int((column + 1) * scale) - 1):
                if y >= height or x >= width:
                    continue
                outer = seen_by[y // CORE, x // CORE]
                assert outer.x0 == 0 or x - outer.x0 >= HALO
                assert outer.y0 == 0 or y - outer.y0 >= HALO
                assert outer.x1 == width or outer.x1 - x > HALO
                assert outer.y1 == height or outer.y1 - y > HALO
