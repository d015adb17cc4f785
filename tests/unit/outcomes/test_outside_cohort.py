"""A trial written by code that knows nothing of tme: what was planted is found, and nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests import outside_cohort
from tests.outside_cohort import PATIENTS, truth, write_trial
from tests.outside_trial import run_trials
from tme.change import change_columns
from tme.change.compare import fold_change
from tme.change.pool import Side
from tme.metrics import slide_columns
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
    assert math.isclose(true.log_odds / true.log_hazard, -outside_cohort.SHIFT / 0.18, rel_tol=1e-9)


@pytest.mark.slow
def test_the_planted_effect_is_found_and_nothing_else() -> None:
    """The first of the 200 trials; `python -m tests.outside_trial` runs them all."""
    tally = run_trials(range(6))
    assert all(count >= 5 for count in tally.held.values())
    assert tally.found >= 2
    assert tally.false_share <= 0.5
    assert tally.null == 6 * 15
