"""The page of the batches' colours: who strays is named, and nobody else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page_checks import PAYLOADS, check_page, page_text
from tme.errors import ArtefactError
from tme.report import write_batches
from tme.report.batches import PAGE, _round_step
from tme.report.drift import MIN_SLIDES, Quantity, places
from tme.store import write_json, write_text
from tme.tables import write_csv

COLUMNS = ("patient_id", "slide_id", "stain", "batch", "compartment", "status")
NUMBER = Quantity("Number", "", 0.5, lambda profile: profile["number"])


def profile(**more: Any) -> dict[str, Any]:
    return {
        "background": [244.0, 243.0, 242.0],
        "vectors": [[0.60, 0.65, 0.47], [0.27, 0.57, 0.78], [0.0, 0.0, 1.0]],
        "dab_threshold_od": 0.08,
        "levels": {"nucleus": 0.4},
        **more,
    }


def made(results: Path, slides: list[tuple[str, str, str, dict[str, Any] | None]]) -> str:
    """The page of slides given as (slide_id, stain, batch, profile)."""
    rows = [
        {"slide_id": slide_id, "stain": stain, "batch": batch, "compartment": part, "status": "ok"}
        for slide_id, stain, batch, _ in slides
        for part in ("evaluable", "tumour")
    ]
    write_csv(results / "slide_metrics.csv", COLUMNS, rows)
    for slide_id, _, _, found in slides:
        if found is not None:
            write_json(results / "slides" / slide_id / "qc.json", {"stain": found})
    write_batches(results)
    page = (results / PAGE).read_text(encoding="utf-8")
    check_page(page)
    return page


def batch_of(number: int, stain: str = "CD8", batch: str = "A") -> list[tuple[str, str, str, Any]]:
    """Slides that differ by a little."""
    return [
        (f"{stain}-{batch}-{i}", stain, batch, profile(background=[244.0 + i % 3, 243.0, 242.0 + i % 2]))
        for i in range(number)
    ]


def test_a_slide_that_strays_is_named_with_what_and_how_far(tmp_path: Path) -> None:
    dark = ("dark", "CD8", "A", profile(background=[212.0, 243.0, 242.0]))
    text = page_text(made(tmp_path, [*batch_of(7), dark]))
    assert "1 slide strays from the batch" in text
    assert "White, red" in text
    assert "212 grey level" in text
    assert "White, green" not in text.split("How to read this")[0]


def test_a_slide_is_judged_against_its_own_batch(tmp_path: Path) -> None:
    """Two batches of different white: nobody strays."""
    other = [
        (f"b{i}", "CD8", "B", profile(background=[225.0 + i % 3, 230.0, 229.0 + i % 2])) for i in range(9)
    ]
    text = page_text(made(tmp_path, [*batch_of(9), *other]))
    assert "stray from the batch" not in text
    assert "No slide strays" in text


def test_stains_are_not_mixed_and_h_and_e_has_no_threshold(tmp_path: Path) -> None:
    slides = [
        (f"he{i}", "HE", "A", profile(background=[240.0 + i % 2] * 3, dab_threshold_od=None))
        for i in range(6)
    ]
    text = page_text(made(tmp_path, slides))
    assert "DAB threshold" not in text
    assert "White, red" in text


def test_a_small_batch_is_drawn_and_not_judged(tmp_path: Path) -> None:
    odd = ("odd", "CD8", "", profile(dab_threshold_od=0.5))
    text = page_text(made(tmp_path, [*batch_of(2, batch=""), odd]))
    assert "Too few slides to judge: no batch named" in text
    assert "stray from the batch" not in text
    assert "odd: 0.5" in text


def test_slides_without_a_profile_are_listed(tmp_path: Path) -> None:
    text = page_text(made(tmp_path, [*batch_of(9), ("lost", "CD8", "A", None)]))
    assert "Slides without a stain profile" in text
    assert "lost" in text
    assert "No slide has a stain profile." in page_text(made(tmp_path / "none", [("x", "CD8", "A", None)]))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    made(tmp_path, batch_of(9))
    write_text(tmp_path / "slides" / "CD8-A-0" / "qc.json", "{")
    with pytest.raises(ArtefactError, match=r"qc\.json"):
        write_batches(tmp_path)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_sheet_says_is_shown_and_never_run(tmp_path: Path, payload: str) -> None:
    made(tmp_path, [(f"s{i}", "CD8", payload, profile(dab_threshold_od=0.1 * i)) for i in range(1, 4)])


def scores(*values: float) -> list[tuple[float | None, bool]]:
    found = places([(str(i), {"number": value}) for i, value in enumerate(values)], NUMBER)
    return [(place.score, place.strays) for place in found]


def test_the_score_is_that_of_iglewicz_and_hoaglin() -> None:
    found = scores(1, 2, 3, 4, 5, 6, 7, 100)
    assert found[7][0] == pytest.approx(0.6745 * 95.5 / 2)
    assert [strays for _, strays in found] == [False] * 7 + [True]


def test_a_difference_nobody_sees_is_no_stray_however_alike_the_others_are() -> None:
    found = scores(*[1] * 7, 1.4)
    assert found[7] == (math.inf, False)
    assert scores(*[1] * 7, 1.6)[7] == (math.inf, True)


def test_in_a_batch_without_drift_one_value_in_a_hundred_strays_at_most() -> None:
    """One in 140 for eight slides; a sure test of it in 2000 batches."""
    values = np.random.default_rng(4).normal(0, 10, (2000, MIN_SLIDES))
    strays = [strays for row in values for _, strays in scores(*row)]
    assert np.mean(strays) < 0.01


def test_slides_without_the_quantity_are_passed_over() -> None:
    optional = Quantity("Number", "", 0.0, lambda profile: profile.get("number"))
    assert [place.slide_id for place in places([("a", {}), ("b", {"number": 1.0})], optional)] == ["b"]
    assert places([], optional) == []


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), st.integers(-100, 100), st.integers(1, 9))
def test_a_batch_moved_or_stretched_strays_alike(values: list[int], shift: int, factor: int) -> None:
    wide = Quantity("Number", "", 0.0, NUMBER.read)

    def of(numbers: list[float]) -> list[Any]:
        return places([(str(i), {"number": value}) for i, value in enumerate(numbers)], wide)

    one, other = of([float(v) for v in values]), of([float(factor * v + shift) for v in values])
    assert [place.strays for place in one] == [place.strays for place in other]
    if len(values) < MIN_SLIDES:
        assert not any(place.strays for place in one)
    # Fewer than half can stray, or the median would be theirs.
    assert 2 * sum(place.strays for place in one) <= len(values)


@given(st.floats(1e-6, 1e6))
def test_steps_of_the_axis_are_round(at_least: float) -> None:
    step = _round_step(at_least)
    assert at_least * (1 - 1e-6) <= step <= 2.5 * at_least
    assert f"{step:.0e}"[0] in "125"
