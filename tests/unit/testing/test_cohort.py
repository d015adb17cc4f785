"""The sample cohort: its sheet, its truth, and that the true calls come out whatever the seed."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tme.metrics.intervals import t_quantile
from tme.testing import cohort
from tme.testing.cohort import CALLS, STAINS, CohortSlide, main, plan_cohort, write_cohort

BLOCKS = 6
WORST_PHI = 40.0
"""Above any of laid-out slides: X of their blocks is below 15 (median 2), and κ is about 2 at most."""


def call(pre: CohortSlide, post: CohortSlide, phi: float) -> str:
    """The change call of a pair whose counts are the planned ones."""
    if min(pre.spec.area_mm2, post.spec.area_mm2) < 1:
        return "not_evaluable"
    n = [s.spec.til_density_per_mm2 * 0.9 * s.spec.area_mm2 for s in (pre, post)]
    change = math.log2(post.spec.til_density_per_mm2 / pre.spec.til_density_per_mm2)
    error = math.sqrt(phi / (n[0] + 0.5) + phi / (n[1] + 0.5)) / math.log(2)
    least = math.hypot(1.0, t_quantile(2 * BLOCKS - 2) * error)
    if abs(change) <= least:
        return "within_noise"
    return "increase" if change > 0 else "decrease"


@settings(max_examples=60)
@given(st.integers(0, 2**31))
def test_the_planned_densities_give_the_true_call_for_any_seed(seed: int) -> None:
    slides = [s for s in plan_cohort(seed) if s.stain == "CD8"]
    for patient, expected in CALLS.items():
        pre, post = (s for s in slides if s.patient_id == patient)
        assert [call(pre, post, phi) for phi in (1.0, WORST_PHI)] == [expected, expected]


@settings(max_examples=60)
@given(st.integers(0, 2**31))
def test_the_plan_keeps_its_promises(seed: int) -> None:
    slides = plan_cohort(seed)
    assert len({s.slide_id for s in slides}) == len({s.seed for s in slides}) == 24
    assert Counter((s.patient_id, s.stain) for s in slides) == {(p, s): 2 for p in CALLS for s in STAINS}
    small = [s for s in slides if s.spec.area_mm2 < 1.5]
    assert {(s.patient_id, s.timepoint) for s in small} == {("P04", "on_treatment")}
    assert len(small) == 3
    assert all(s.spec.area_mm2 < 0.6 for s in small)
    assert {Path(s.file_name).suffix for s in slides} == {".svs", ".tif"}
    for patient in CALLS:
        pre, post = sorted({s.biopsy_day for s in slides if s.patient_id == patient})
        assert pre < 0 < post
    levels = {s.patient_id: [] for s in slides}
    for s in slides:
        if s.stain == "CD8":
            levels[s.patient_id].append(s.spec.til_density_per_mm2)
    assert levels["P01"][1] / levels["P01"][0] >= 6
    assert levels["P02"][0] / levels["P02"][1] >= 6
    assert plan_cohort(seed) == slides


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cohort with crumbs for slides, so that writing it takes seconds."""
    full = plan_cohort

    def shrunk(seed: int) -> list[CohortSlide]:
        slides = [
            s for s in full(seed) if s.slide_id.startswith("P01_base") or s.slide_id.endswith("treatment_CD8")
        ]
        return [
            replace(s, spec=replace(s.spec, area_mm2=0.06, cores=1, pen=False, blur=False)) for s in slides
        ]

    monkeypatch.setattr(cohort, "plan_cohort", shrunk)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("tiny")
def test_a_written_cohort_is_complete_and_the_same_again(tmp_path: Path) -> None:
    write_cohort(tmp_path / "a", 5)
    assert main([str(tmp_path / "b"), "--seed", "5", "--workers", "1"]) == 0
    made = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert [path.name for path in sorted((tmp_path / "b").iterdir())] == made
    for name in made:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    sheet, truth = rows(tmp_path / "a" / "cohort.csv"), rows(tmp_path / "a" / "truth.csv")
    assert [row["slide_id"] for row in sheet] == [row["slide_id"] for row in truth]
    assert {row["slide"] for row in sheet} <= set(made)
    assert sorted(made) == sorted(
        {row["slide"] for row in sheet} | {"cohort.csv", "outcomes.csv", "truth.csv"}
    )
    for row in truth:
        assert (row["til_density_per_mm2"] == "") == (row["stain"] == "CD31")
        assert (row["mvd_per_mm2"] == "") == (row["stain"] != "CD31")
        assert row["expected_change_call"] == (CALLS[row["patient_id"]] if row["stain"] == "CD8" else "")
    assert {row["patient_id"] for row in rows(tmp_path / "a" / "outcomes.csv")} == set(CALLS)


def test_outcomes_are_numbers_a_reader_can_parse(tmp_path: Path) -> None:
    text = cohort._csv(cohort._outcome_rows())
    parsed = list(csv.DictReader(text.splitlines()))
    assert [float(row["pct_change_sld"]) for row in parsed if row["pct_change_sld"]] == [-42.0, 31.5, -8.0]
    assert {row["pfs_event"] for row in parsed} == {"true", "false"}


def test_text_that_a_spreadsheet_would_run_is_neutralised() -> None:
    assert "'=1+1" in cohort._csv([{"a": "=1+1"}])


def test_seeds_differ() -> None:
    assert not np.array_equal([s.seed for s in plan_cohort(1)], [s.seed for s in plan_cohort(2)])
