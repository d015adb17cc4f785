"""The nearest of some places within a reach, against asking every place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tme.cells.nearest import nearest_within


@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    count=st.integers(0, 40),
    reach=st.sampled_from([0.4, 1.0, 1.5, 4.0, 6.0]),
)
def test_the_nearest_place_owns_a_pixel_and_none_far_away(
    seed: int, height: int, width: int, count: int, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, height * width, count))
    rows, columns = np.divmod(places, width)
    values = rng.permutation(len(places)).astype(np.int32) + 1
    plane = nearest_within((height, width), rows, columns, values, reach)
    assert plane.shape == (height, width)
    for y in range(height):
        for x in range(width):
            square = (rows - y) ** 2 + (columns - x) ** 2
            if not len(square) or square.min() > reach**2:
                assert plane[y, x] == 0
            else:
                # Of equally far ones the first, by row, then column.
                assert plane[y, x] == values[square.argmin()]
