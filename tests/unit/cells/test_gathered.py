"""Brown pieces on one nucleus: a broken rim of stain is one cell."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tme.cells.engines.tmenet import gathered, mostly_within

Labels = NDArray[np.int32]
SIDE = 80


def disc(centre: tuple[int, int], radius: int, label: int = 1) -> Labels:
    return cv2.circle(np.zeros((SIDE, SIDE), np.int32), centre, radius, label, -1)


def arcs(centre: tuple[int, int], radius: int, spans: list[tuple[int, int]]) -> Labels:
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, (first, last) in enumerate(spans, 1):
        cv2.ellipse(labels, centre, (radius, radius), 0, first, last, number, 3)
    return labels


def test_arcs_of_a_broken_rim_are_one_cell_with_their_nucleus() -> None:
    nuclei = disc((40, 40), 11)
    brown = arcs((40, 40), 9, [(0, 100), (140, 240), (270, 330)])
    whole = gathered(nuclei, brown)
    assert whole.max() == 1
    assert ((whole > 0) == ((nuclei > 0) | (brown > 0))).all()


def test_a_single_arc_is_the_cell_of_its_nucleus_and_not_one_beside_it() -> None:
    whole = gathered(disc((40, 40), 11), arcs((40, 40), 9, [(0, 170)]))
    assert whole.max() == 1
    assert whole[40, 40] == 1


def test_what_only_touches_a_nucleus_stays_by_itself() -> None:
    nuclei, brown = disc((30, 40), 11), disc((46, 40), 9)
    assert np.array_equal(gathered(nuclei, brown), brown)


def test_a_nucleus_that_has_its_brown_cell_takes_no_other() -> None:
    nuclei = disc((40, 40), 11)
    brown = disc((38, 40), 10)
    brown[(disc((50, 40), 2) > 0) & (brown == 0)] = 2
    assert brown.max() == 2
    assert np.array_equal(gathered(nuclei, brown), brown)


def test_without_brown_or_nuclei_nothing_changes() -> None:
    nothing, some = np.zeros((SIDE, SIDE), np.int32), disc((40, 40), 9)
    assert np.array_equal(gathered(nothing, some), some)
    assert not gathered(some, nothing).any()


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Labels, Labels]:
    """Nuclei and pieces of brown anywhere, drawn over one another."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    out = []
    for count, most in ((draw(st.integers(0, 8)), 12), (draw(st.integers(0, 12)), 9)):
        labels = np.zeros((SIDE, SIDE), np.int32)
        for number in range(count):
            x, y = (int(v) for v in rng.integers(5, SIDE - 5, 2))
            cv2.circle(labels, (x, y), int(rng.integers(2, most)), number + 1, -1)
        numbered = np.unique(labels, return_inverse=True)[1]
        out.append(numbered.reshape(SIDE, SIDE).astype(np.int32))
    return out[0], out[1]


@given(scenes())
def test_pieces_are_joined_and_never_cut_and_only_free_nuclei_are_taken(scene: tuple[Labels, Labels]) -> None:
    nuclei, brown = scene
    whole = gathered(nuclei, brown)
    assert whole.max() <= brown.max()
    assert (whole[brown > 0] > 0).all()
    for piece in range(1, int(brown.max()) + 1):
        assert len(np.unique(whole[brown == piece])) == 1
    taken = np.unique(nuclei[(whole > 0) & (brown == 0)])
    assert not np.isin(taken, mostly_within(nuclei, brown)[0]).any()
    assert np.isin(taken, mostly_within(brown, nuclei)[1]).all()
