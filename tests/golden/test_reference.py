"""What tme computes against what R computes, on data kept beside R's numbers in ``reference.json``.

``make_reference.R`` makes that file and names the packages; every number is within 1e-6 unless a test says
why not.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from tests.made_measures import tissue_of
from tests.made_results import MadePatient, write_results
from tme.metrics.spacing import nearest_neighbours
from tme.metrics.unevenness import getis_ord, morisita_horn, queen_neighbours
from tme.outcomes.associate import OutcomeRow, adjusted
from tme.outcomes.auroc import auroc
from tme.outcomes.correlation import spearman
from tme.outcomes.models import ancova, firth
from tme.outcomes.ranks import mann_whitney, wilcoxon
from tme.outcomes.survival import AtRisk, cox
from tme.outcomes.types import Result
from tme.pipeline.associate import AssociateRequest, run_associate
from tme.tables import read_csv

pytestmark = pytest.mark.filterwarnings("error")

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text(encoding="utf-8"))
CLOSE = 1e-6
Case = dict[str, Any]


def cases(test: str) -> Any:
    """A parameter for each data set of a test."""
    found = [case for case in REFERENCE["cases"] if case["test"] == test]
    return pytest.mark.parametrize("case", found, ids=[case["name"] for case in found])


def numbers(case: Case, *names: str) -> list[np.ndarray]:
    return [np.array(case["input"][name], float) for name in names]


def is_r(found: Result, expected: Case) -> None:
    """Every number R gave, and a p only where one could have been .05."""
    for name in ("estimate", "ci_low", "ci_high", "statistic"):
        if name in expected:
            assert getattr(found, name) == pytest.approx(expected[name], abs=CLOSE), name
    if "p" in expected:
        assert found.p == pytest.approx(expected["p"], abs=CLOSE, rel=CLOSE)


def test_the_reference_says_what_made_it() -> None:
    assert set(REFERENCE["versions"]) >= {"R", "survival", "coin", "pROC", "brglm2", "vegan", "spdep"}
    assert all(case["source"] for case in REFERENCE["cases"])


@cases("wilcoxon")
def test_wilcoxon_with_pratts_zeros(case: Case) -> None:
    is_r(wilcoxon(*numbers(case, "x")), case["expected"])


@cases("mann_whitney")
def test_mann_whitney_and_the_shift(case: Case) -> None:
    is_r(mann_whitney(*numbers(case, "first", "second")), case["expected"])


@cases("auroc")
def test_auroc_and_newcombes_interval(case: Case) -> None:
    found = auroc(*numbers(case, "first", "second"))
    is_r(found, case["expected"])
    # DeLong's is another definition, and none at an area of 1: see docs/outcomes.md.
    if case["expected"]["estimate"] == 1:
        assert case["expected"]["delong_low"] == 1
        assert found.ci_low < 1


@cases("spearman")
def test_spearman(case: Case) -> None:
    is_r(spearman(*numbers(case, "x", "y")), case["expected"])


@cases("ancova")
def test_ancova(case: Case) -> None:
    pre, post = numbers(case, "pre", "post")
    is_r(ancova(pre, post, np.array(case["input"]["responder"])), case["expected"])


def is_r_on_the_log_scale(found: Result, expected: Case) -> None:
    logs = np.log([found.estimate, found.ci_low, found.ci_high])
    wanted = [expected[name] for name in ("log_estimate", "log_low", "log_high")]
    assert logs == pytest.approx(wanted, abs=CLOSE)
    assert found.p == pytest.approx(expected["p"], abs=CLOSE)


def covariates(case: Case) -> np.ndarray | None:
    values = case["input"]["covariate"]
    return None if values is None else np.array(values, float)[:, None]


@cases("firth")
def test_firth_also_where_the_groups_part(case: Case) -> None:
    (x,) = numbers(case, "x")
    found = firth(x, np.array(case["input"]["responder"]), covariates(case))
    is_r_on_the_log_scale(found, case["expected"])


def at_risk(case: Case) -> AtRisk:
    entry, time = numbers(case, "entry", "time")
    return AtRisk(entry, time, np.array(case["input"]["event"]))


@cases("cox")
def test_cox_with_delayed_entry(case: Case) -> None:
    found = cox(at_risk(case), *numbers(case, "x"), covariates(case))
    is_r_on_the_log_scale(found, case["expected"])
    assert found.statistic == pytest.approx(case["expected"]["statistic"], abs=CLOSE)


@cases("kaplan_meier")
def test_kaplan_meier_from_the_biopsy_on(case: Case) -> None:
    followed, expected = at_risk(case), case["expected"]
    curve = KaplanMeierFitter().fit(followed.time - followed.entry, followed.event)
    days = expected["days"]
    assert curve.survival_function_at_times(days).to_numpy() == pytest.approx(expected["survival"], abs=CLOSE)
    assert curve.event_table.loc[days, "at_risk"].tolist() == expected["at_risk"]
    assert curve.median_survival_time_ == expected["median"]
    bounds = curve.confidence_interval_.loc[days].to_numpy()
    # Past the last event R leaves out an interval that lifelines carries on.
    for number, (low, high) in enumerate(zip(expected["low"], expected["high"], strict=True)):
        if isinstance(low, float) and isinstance(high, float) and expected["survival"][number] > 0:
            assert bounds[number] == pytest.approx([low, high], abs=CLOSE)


@cases("benjamini_hochberg")
def test_benjamini_hochberg(case: Case) -> None:
    ps = np.atleast_1d(case["input"]["p"]).tolist()
    keys = ("CD8", "evaluable", "til_density_per_mm2", "count density", "log2fc", "wilcoxon")
    rows = [OutcomeRow(*keys, p=p, family="declared") for p in ps]
    beside = [OutcomeRow(*keys, p=0.001), OutcomeRow(*keys, p=None, family="declared")]
    found = adjusted([*rows, *beside])
    wanted = np.atleast_1d(case["expected"]["p_adjusted"])
    assert [row.p_adjusted for row in found[: len(ps)]] == pytest.approx(wanted, abs=CLOSE)
    assert [row.p_adjusted for row in found[len(ps) :]] == [None, None]


@cases("getis_ord")
def test_getis_ord(case: Case) -> None:
    rows, columns = (np.array(case["input"][name]) for name in ("rows", "columns"))
    found = getis_ord(*numbers(case, "values"), queen_neighbours(rows, columns))
    assert found == pytest.approx(case["expected"]["z"], abs=CLOSE)


@cases("morisita_horn")
def test_morisita_horn(case: Case) -> None:
    found = morisita_horn(*numbers(case, "one", "other"))
    assert found == pytest.approx(case["expected"]["overlap"], abs=CLOSE)


@cases("clark_evans")
def test_clark_evans(case: Case) -> None:
    """Hanisch's correction on the pixels of a mask.

    Where neighbours lie whole pixels apart, pixels have the area that geometry has, to 1e-6. Elsewhere they
    stand for it, the better the smaller they are: a vessel whose edge is a fraction of a pixel nearer or
    farther than its neighbour may fall on the other side.
    """
    exact = case["name"] == "whole pixels"
    x, y = numbers(case, "x", "y")
    width, height, mpp = case["input"]["width"], case["input"]["height"], 1.0 if exact else 0.25
    mask = np.ones((round(height / mpp), round(width / mpp)), bool)
    near = nearest_neighbours(x, y, mask, tissue_of(mask, mpp))
    assert near.distance_um == pytest.approx(case["expected"]["nnd"], abs=CLOSE)
    twice_root = 2 * np.sqrt(len(x) / (width * height))
    assert twice_root * near.distance_um.mean() == pytest.approx(case["expected"]["naive"], abs=CLOSE)
    found = twice_root * (near.weight @ near.distance_um) / near.weight.sum()
    assert found == pytest.approx(case["expected"]["r"], rel=CLOSE if exact else 1e-5)


@cases("associate")
def test_a_whole_cohort_through_the_command(case: Case, tmp_path: Path) -> None:
    given = case["input"]
    names = [f"P{index:02d}" for index in range(len(given["n_pre"]))]
    counted = zip(names, given["n_pre"], given["n_post"], given["day"], strict=True)
    patients = [MadePatient(name, pre, post, day=day) for name, pre, post, day in counted]
    write_results(tmp_path / "results", patients)
    columns = ["response", "pct_change_sld", "pfs_days", "pfs_event", "os_days", "os_event"]
    with (tmp_path / "outcomes.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["patient_id", *columns])
        table.writerows(zip(names, *(given[column] for column in columns), strict=True))
    run_associate(AssociateRequest(tmp_path / "results", tmp_path / "outcomes.csv"), lambda _: None)
    found = {
        row["test"]: row
        for row in read_csv(tmp_path / "results" / "cohort_tests.csv")
        if row["metric"] == "til_density_per_mm2" and row["subset"] == "all"
    }
    for test, expected in case["expected"].items():
        for name, value in expected.items():
            wanted = pytest.approx(value, rel=CLOSE, abs=CLOSE)
            assert float(found[test][name]) == wanted, f"{test} {name}"
