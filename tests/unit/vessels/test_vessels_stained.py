"""Where how much is stained, whatever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vessel_scenes import all_tissue
from tme.geometry import Box
from tme.testing.memory import ArraySlide
from tme.vessels.packed import pack
from tme.vessels.stained import SQUARE_PX, stained_area, stained_from_json
from tme.vessels.supported import KeptWindow
from tme.vessels.windows import CORE_PX

MPP = 0.5


def windows(bits: np.ndarray) -> list[KeptWindow]:
    """The windows of a slide with this mask."""
    height, width = bits.shape
    found = []
    for y in range(0, height, CORE_PX):
        for x in range(0, width, CORE_PX):
            core = Box(y, x, min(y + CORE_PX, height), min(x + CORE_PX, width))
            found.append(KeptWindow(core, pack(bits[core.y0 : core.y1, core.x0 : core.x1]), (), ()))
    return found


@given(
    height=st.integers(1, CORE_PX + 300), width=st.integers(1, CORE_PX + 300), seed=st.integers(0, 2**32 - 1)
)
def test_no_stain_is_lost_or_counted_twice(height: int, width: int, seed: int) -> None:
    bits = np.random.default_rng(seed).random((height, width)) < 0.1
    found = stained_area(windows(bits), MPP)
    assert found.square_um == SQUARE_PX * MPP
    assert found.total_um2 == pytest.approx(bits.sum() * MPP**2)
    y, x = (side // SQUARE_PX // 2 for side in bits.shape)
    rows, columns = (slice(at * SQUARE_PX, (at + 1) * SQUARE_PX) for at in (y, x))
    if bits.any():
        assert (
            y >= found.um2.shape[0]
            or x >= found.um2.shape[1]
            or found.um2[y, x] == pytest.approx(bits[rows, columns].sum() * MPP**2)
        )
    back = stained_from_json(json.loads(json.dumps(found.to_json())))
    assert back.square_um == found.square_um
    assert np.array_equal(back.um2, found.um2)


def test_nothing_stained_is_nothing_anywhere() -> None:
    tissue = all_tissue(ArraySlide(np.zeros((300, 400, 3), np.uint8), MPP))
    found = stained_area(windows(np.zeros((300, 400), bool)), MPP)
    assert found.total_um2 == found.within(tissue.tissue, tissue) == 0
    assert found.within(~tissue.tissue, tissue) == 0


@given(share=st.floats(0, 1))
def test_parts_of_the_tissue_share_what_is_stained(share: float) -> None:
    bits = np.random.default_rng(0).random((700, 900)) < 0.2
    tissue = all_tissue(ArraySlide(np.zeros((700, 900, 3), np.uint8), MPP))
    found = stained_area(windows(bits), MPP)
    one = np.random.default_rng(1).random(tissue.shape) < share
    parts = [found.within(mask, tissue) for mask in (one, ~one)]
    assert sum(parts) == pytest.approx(found.within(tissue.tissue, tissue)) == pytest.approx(found.total_um2)
