"""What a cell is said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.cell_scenes import THRESHOLD_OD, profile_of
from tme.cells.classify import classify, lymphocyte_probability
from tme.cells.measure import Measures
from tme.stains import STAINS

COLUMNS = {
    "area_um2": 30.0,
    "eccentricity": 0.3,
    "solidity": 0.95,
    "hematoxylin_od": 0.75,
    "second_od": 0.2,
    "hematoxylin_sd": 0.06,
    "ring_od": 0.2,
    "ring_hematoxylin_od": 0.1,
}
DAB_CELLS = tuple(name for name, stain in STAINS.items() if stain.kind == "dab")


def cells(**columns: list[float]) -> Measures:
    """Cells that look like lymphocytes but for the columns named."""
    count = len(next(iter(columns.values())))
    values = {name: np.full(count, value) for name, value in COLUMNS.items()}
    values.update({name: np.asarray(column, float) for name, column in columns.items()})
    return Measures(x=np.zeros(count), y=np.zeros(count), **values)


def test_small_round_dark_nuclei_are_lymphocytes_and_others_are_not() -> None:
    found = classify(
        cells(
            area_um2=[30, 120, 40, 30],
            hematoxylin_od=[0.75, 0.5, 0.6, 0.25],
            eccentricity=[0.3, 0.5, 0.97, 0.3],
            hematoxylin_sd=[0.06, 0.2, 0.12, 0.06],
        ),
        STAINS.get("HE"),
        profile_of("HE"),
    )
    assert found.name.tolist() == ["lymphocyte", "other", "other", "other"]
    assert found.is_til is not None
    assert found.is_til.tolist() == [True, False, False, False]
    assert found.positive is None
    assert ((found.probability >= 0.5) & (found.probability <= 1)).all()


@pytest.mark.parametrize(
    ("column", "less", "more"),
    [
        ("area_um2", 200.0, 35.0),
        ("eccentricity", 0.95, 0.2),
        ("hematoxylin_sd", 0.3, 0.03),
        ("ring_hematoxylin_od", 0.6, 0.05),
        ("hematoxylin_od", 0.3, 0.8),
    ],
)
def test_each_measure_pulls_the_probability_its_way(column: str, less: float, more: float) -> None:
    low, high = lymphocyte_probability(cells(**{column: [less, more]}), profile_of("HE"))
    assert low < high


def test_darkness_counts_against_the_slides_own_nuclei() -> None:
    slide = profile_of("HE")
    darker = replace(slide, levels={name: 2 * value for name, value in slide.levels.items()})
    same = cells(hematoxylin_od=[0.75], area_um2=[40])
    assert lymphocyte_probability(same, darker) < lymphocyte_probability(same, slide)


def test_the_engines_own_probability_stands_in_for_the_rule() -> None:
    own = np.array([0.5, 0.49, 0.9, 0.0], np.float32)
    found = classify(cells(area_um2=[30, 30, 400, 400]), STAINS.get("HE"), profile_of("HE"), own)
    assert found.name.tolist() == ["lymphocyte", "other", "lymphocyte", "other"]
    assert found.probability.tolist() == pytest.approx([0.5, 0.51, 0.9, 1.0])


def test_odd_numbers_do_not_break_the_rule() -> None:
    found = classify(
        cells(area_um2=[0, 1e9], hematoxylin_od=[-0.2, 50], hematoxylin_sd=[0, 30], solidity=[1, 0]),
        STAINS.get("HE"),
        replace(profile_of("HE"), levels={}),
    )
    assert np.isfinite(found.probability).all()


@pytest.mark.parametrize("stain", DAB_CELLS)
def test_positive_from_the_threshold_on(stain: str) -> None:
    marker = [THRESHOLD_OD - 1e-9, THRESHOLD_OD, THRESHOLD_OD + 0.5, -0.1]
    found = classify(cells(second_od=marker, ring_od=[-1.0] * 4), STAINS.get(stain), profile_of(stain))
    assert found.positive is not None
    assert found.positive.tolist() == [False, True, True, False]
    assert found.name.tolist() == ["negative", "positive", "positive", "negative"]
    assert found.probability[:2] == pytest.approx([0.5, 0.5], abs=1e-6)
    assert (found.probability[2:] > 0.9).all()


@pytest.mark.parametrize("stain", DAB_CELLS)
def test_the_ring_counts_where_the_marker_is_not_in_the_nucleus(stain: str) -> None:
    found = classify(cells(second_od=[0.0], ring_od=[THRESHOLD_OD]), STAINS.get(stain), profile_of(stain))
    assert found.positive is not None
    assert found.positive[0] == (STAINS.get(stain).marker_site != "nucleus")


@pytest.mark.parametrize(
    ("stain", "says"), [("CD3", True), ("CD8", True), ("KI67", False), ("CD31", False), ("CD34", False)]
)
def test_only_lymphocyte_markers_say_til(stain: str, says: bool) -> None:
    found = classify(cells(second_od=[0.0, 1.0], ring_od=[0.0, 0.0]), STAINS.get(stain), profile_of(stain))
    if says:
        assert found.is_til is not None
        assert found.is_til.tolist() == [False, True]
    else:
        assert found.is_til is None


def test_without_a_threshold_nothing_is_positive() -> None:
    found = classify(cells(second_od=[0.0, 3.0]), STAINS.get("CD8"), profile_of("CD8", threshold=None))
    assert found.positive is not None
    assert not found.positive.any()
    assert np.isfinite(found.probability).all()


def test_the_engine_says_from_which_probability_on_a_cell_is_a_lymphocyte() -> None:
    own = np.array([0.3, 0.45, 0.55], np.float32)
    for least, called in ((0.4, [False, True, True]), (0.5, [False, False, True])):
        found = classify(cells(area_um2=[30, 30, 30]), STAINS.get("HE"), profile_of("HE"), own, least)
        assert found.is_til is not None
        assert found.is_til.tolist() == called
        np.testing.assert_allclose(found.probability, np.where(called, own, 1 - own), atol=1e-6)


def test_a_black_cell_is_negative_for_certain_however_dark() -> None:
    found = classify(
        cells(second_od=[0.9, 0.9, 0.1], ring_od=[0.1, 0.1, 0.1]),
        STAINS.get("CD8"),
        profile_of("CD8"),
        pigment=np.array([True, False, False]),
    )
    assert found.name.tolist() == ["negative", "positive", "negative"]
    assert found.is_til is not None
    assert found.is_til.tolist() == [False, True, False]
    assert found.probability[0] == 1
    assert found.probability[2] < 1
