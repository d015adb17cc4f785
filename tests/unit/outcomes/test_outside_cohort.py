"""A trial written by code that knows nothing of tme: what was planted is found, and nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from tests import outside_cohort
from tests.outside_cohort import PATIENTS, truth, write_trial
from tests.outside_trial import family_of, run_trials, step_up
from tme.change import change_columns
from tme.change.compare import fold_change
from tme.change.pool import Side
from tme.metrics import slide_columns
from tme.pipeline.associate import AssociateRequest, run_associate
from tme.tables import read_csv

pytestmark = pytest.mark.filterwarnings("error")


def test_the_trial_knows_nothing_of_tme_but_the_tables() -> None:
    text = Path(outside_cohort.__file__).read_text(encoding="utf-8")
    assert "import tme" not in text
    assert "from tme" not in text
    assert set(outside_cohort.PAIR_COLUMNS) <= set(change_columns())
    assert set(outside_cohort.SLIDE_COLUMNS) <= set(slide_columns())


def test_a_seed_is_a_trial(tmp_path: Path) -> None:
    written = [write_trial(tmp_path / name, 3).read_bytes() for name in ("one", "two")]
    assert written[0] == written[1]
    assert (tmp_path / "one" / "pairs.csv").read_bytes() == (tmp_path / "two" / "pairs.csv").read_bytes()
    assert write_trial(tmp_path / "other", 4).read_bytes() != written[0]
    assert len(read_csv(tmp_path / "one" / "patient_metrics.csv")) == PATIENTS


def test_its_formula_of_the_change_is_that_of_tme(tmp_path: Path) -> None:
    write_trial(tmp_path, 5)
    for row in read_csv(tmp_path / "pairs.csv"):
        if row["log2fc"]:
            pre, post = (
                Side(
                    float(row[f"value_{side}"]),
                    n=int(row[f"n_{side}"]),
                    area_mm2=float(row[f"area_{side}_mm2"]),
                    phi=outside_cohort.OVERDISPERSION,
                    blocks=5.0,
                )
                for side in ("pre", "post")
            )
            found = fold_change(pre, post, "count density")
            assert float(row["log2fc"]) == pytest.approx(found.log2fc, abs=1e-9)
            assert float(row["log2fc_se"]) == pytest.approx(found.se, abs=1e-9)


def test_what_is_planted_is_known() -> None:
    assert truth(False) == outside_cohort.Truth(0.0, 0.5, 0.0, 0.0)
    true = truth(True)
    assert 0.8 < true.auroc < 0.9
    assert outside_cohort.LOG_HAZARD < true.log_hazard < 0.95 * outside_cohort.LOG_HAZARD
    assert outside_cohort.SHIFT / outside_cohort.SPREAD**2 * 0.95 < true.log_odds < 2.78


def test_noise_weakens_the_hazard_by_its_share_in_the_variance_of_all_patients() -> None:
    generator = np.random.default_rng(0)
    n, counted = 400_000, outside_cohort.COUNTS[outside_cohort.PLANTED] * 5
    responds = generator.uniform(size=n) < outside_cohort.RESPONDERS / outside_cohort.PAIRED
    rise = outside_cohort.SHIFT * responds + generator.normal(0, outside_cohort.SPREAD, n)
    noise = math.sqrt(2 * outside_cohort.OVERDISPERSION / counted) / math.log(2)
    slope = np.polyfit(rise + generator.normal(0, noise, n), rise, 1)[0]
    assert truth(True).log_hazard == pytest.approx(outside_cohort.LOG_HAZARD * slope, rel=2e-3)


def test_adjusted_p_values_are_benjamini_and_hochbergs() -> None:
    p = np.random.default_rng(1).beta(0.4, 1, 20).round(2).tolist()
    assert step_up(p) == pytest.approx(multipletests(p, method="fdr_bh")[1].tolist())
    assert step_up([]) == []


def test_a_family_that_is_not_the_declared_one_is_an_error(tmp_path: Path) -> None:
    run_associate(AssociateRequest(tmp_path, write_trial(tmp_path, 1)), lambda _: None)
    rows = read_csv(tmp_path / "cohort_tests.csv")
    assert len(family_of(rows)) == 20
    declared = [row for row in rows if row["family"]]
    outside = next(row for row in rows if row["p"] and not row["family"])
    for spoilt in (
        [row for row in rows if row is not declared[0]],
        [{**row, "subset": "LMS"} if row is declared[0] else row for row in rows],
        [{**row, "p_adjusted": row["p"]} if row is outside else row for row in rows],
        [{**row, "p_adjusted": "0.0001"} if row is declared[0] else row for row in rows],
    ):
        with pytest.raises(ValueError, match=r"family|adjusted"):
            family_of(spoilt)


@pytest.mark.slow
def test_the_planted_effect_is_found_and_nothing_else() -> None:
    """The first of the 200 trials; `python -m tests.outside_trial` runs them all."""
    lines: list[str] = []
    tally = run_trials(range(6), say=lines.append)
    assert lines == [tally.text()]
    assert all(count >= 5 for count in tally.held.values())
    assert tally.found >= 2
    assert tally.false_share <= 0.5
    assert tally.null == 6 * 15
