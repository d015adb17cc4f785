"""`tme associate` from the command line on made results: who is counted, which numbers, what is said."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.made_results import MadePatient, listed, write_results
from tme import cli
from tme.locks import run_lock
from tme.outcomes.columns import cohort_test_columns, flow_columns
from tme.outcomes.models import ancova
from tme.outcomes.ranks import mann_whitney
from tme.tables import read_csv

pytestmark = pytest.mark.filterwarnings("error")

HEADER = [
    "patient_id",
    "response",
    "pct_change_sld",
    "pfs_days",
    "pfs_event",
    "os_days",
    "os_event",
    "histology",
    "age",
]
Table = list[dict[str, str]]


def cohort(n: int = 24, responders: int = 6, seed: int = 1) -> tuple[list[MadePatient], list[list[object]]]:
    """Responders' CD8 rises; follow-up goes on after day 42."""
    generator = np.random.default_rng(seed)
    patients, outcomes = [], []
    for index in range(n):
        responds = index < responders
        name = f"P{index:02d}"
        after = int(generator.poisson(320 if responds else 110))
        patients.append(MadePatient(name, int(generator.poisson(100)), after))
        days = 50 + int(generator.exponential(300))
        size = round(generator.normal(-40 if responds else 5, 9), 1)
        followed = [days, index % 3 > 0, days + 30, index % 4 == 0]
        histology = ("LMS", "myxoid liposarcoma")[index % 2]
        outcomes.append([name, "PR" if responds else "SD", size, *followed, histology, 50 + index])
    return patients, outcomes


def run(tmp_path: Path, patients: list[MadePatient], outcomes: list[list[object]], *more: str) -> int:
    results = tmp_path / "results"
    if not results.exists():
        write_results(results, patients)
    with (tmp_path / "outcomes.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *outcomes])
    return call(["associate", str(results), str(tmp_path / "outcomes.csv"), *more])


def call(words: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["tme", *words])
        cli.main()
    return int(ended.value.code or 0)


def rows_of(tmp_path: Path, **keys: str) -> Table:
    rows = read_csv(tmp_path / "results" / "cohort_tests.csv")
    return [row for row in rows if all(row[name] == value for name, value in keys.items())]


def one(tmp_path: Path, test: str, **keys: str) -> dict[str, str]:
    keys = {"metric": "til_density_per_mm2", "subset": "all", "adjusted_for": "", **keys}
    (row,) = rows_of(tmp_path, test=test, **keys)
    return row


def test_a_whole_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients, outcomes = cohort()
    assert run(tmp_path, patients, outcomes) == 0
    results = tmp_path / "results"
    header = (results / "cohort_tests.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == cohort_test_columns()
    rows = read_csv(results / "patient_metrics.csv")
    change = np.array([float(row["CD8__evaluable__til_density_per_mm2__log2fc"]) for row in rows])
    expected = mann_whitney(change[:6], change[6:])
    found = one(tmp_path, "mann_whitney")
    assert float(found["p"]) == pytest.approx(expected.p, rel=1e-8)
    assert float(found["estimate"]) == pytest.approx(expected.estimate)
    assert (found["n"], found["n_responder"], found["n_non_responder"]) == ("24", "6", "18")
    counts = np.array([[one.n_pre, one.n_post] for one in patients])
    logs = np.log2((counts + 0.5) / 4)
    adjusted = ancova(logs[:, 0], logs[:, 1], np.arange(24) < 6)
    assert float(one(tmp_path, "ancova")["estimate"]) == pytest.approx(adjusted.estimate)
    for test in ("wilcoxon", "auroc", "firth_logistic", "spearman", "cox_pfs", "cox_os"):
        assert one(tmp_path, test)["estimate"], test
    said = capsys.readouterr().out
    assert "24 patients in the results, 24 outcomes, 24 in both" in said
    assert "CD8 til_density_per_mm2 (evaluable) mann_whitney: n 24" in said


def test_the_family_is_adjusted_and_nothing_else(tmp_path: Path) -> None:
    assert run(tmp_path, *cohort()) == 0
    family = rows_of(tmp_path, family="declared")
    assert {row["test"] for row in family} == {"wilcoxon", "mann_whitney", "spearman", "cox_pfs", "cox_os"}
    p = sorted(float(row["p"]) for row in family if row["p"])
    by_hand = np.minimum.accumulate((np.array(p) * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    adjusted = sorted(float(row["p_adjusted"]) for row in family if row["p"])
    assert adjusted == pytest.approx(np.minimum(by_hand, 1), rel=1e-8)
    assert not any(row["p_adjusted"] for row in rows_of(tmp_path, family=""))


def test_kinds_without_a_fold_change_are_tested_by_their_difference(tmp_path: Path) -> None:
    assert run(tmp_path, *cohort()) == 0
    keys = {"metric": "til_fraction_pct"}
    assert one(tmp_path, "wilcoxon", **keys)["measure"] == "delta_abs"
    assert "per standard deviation of delta_abs" in one(tmp_path, "firth_logistic", **keys)["effect"]
    assert not rows_of(tmp_path, test="ancova", **keys)
    # Those outside the family are not cut into strata.
    assert {row["subset"] for row in rows_of(tmp_path, **keys)} == {"all"}


def test_who_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    patients, outcomes = cohort()
    patients[20] = MadePatient("P20", 100, None)
    patients[21] = MadePatient("P21", 100, 90, judged=False)
    outcomes[22][1] = "NE"
    outcomes[7][1] = ""
    outcomes = outcomes[:23]
    assert run(tmp_path, patients, outcomes) == 0
    found = one(tmp_path, "mann_whitney")
    assert found["left_out"] == "1 no pair, 1 not evaluable, 1 no outcome, 1 no response, 1 NE"
    assert (found["n"], found["n_left_out"]) == ("19", "5")
    as_failure = one(tmp_path, "mann_whitney", subset="NE as non-responder")
    assert (as_failure["n"], as_failure["n_non_responder"]) == ("20", "14")
    flow = read_csv(tmp_path / "results" / "cohort_flow.csv")
    assert list(flow[0]) == flow_columns()
    steps = {(row["step"], row["step_before"]): (row["n"], row["left_out"]) for row in flow}
    assert steps["with both biopsies", "in the results"] == ("23", "1 no pair")
    assert steps["change evaluable", "with both biopsies"] == ("22", "1 not evaluable")
    assert steps["change and outcome", "change evaluable"] == ("21", "1 no outcome")
    # A share has no call of its own; it is withheld with the density of the same samples.
    assert "1 not evaluable" in one(tmp_path, "wilcoxon", metric="til_fraction_pct")["left_out"]


def test_who_left_before_the_biopsy_is_not_at_risk(tmp_path: Path) -> None:
    patients, outcomes = cohort()
    outcomes[10][3:7] = [42, True, 300, True]
    outcomes[11][3:7] = [30, False, 30, False]
    patients[12] = MadePatient("P12", 100, 80, day=None)
    assert run(tmp_path, patients, outcomes) == 0
    found = one(tmp_path, "cox_pfs")
    assert found["left_out"] == "1 no biopsy day, 1 event before the biopsy, 1 censored before the biopsy"
    assert (found["n"], one(tmp_path, "cox_os")["n"]) == ("21", "22")


def test_without_biopsy_days_survival_has_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patients, outcomes = cohort()
    patients = [MadePatient(one.patient_id, one.n_pre, one.n_post, day=None) for one in patients]
    assert run(tmp_path, patients, outcomes) == 0
    found = one(tmp_path, "cox_pfs")
    assert (found["n"], found["p"], found["reason"]) == ("0", "", "no patient left: 24 no biopsy day")
    assert "survival is not tested · the sample sheet gives no biopsy_day" in capsys.readouterr().out


def test_strata_are_found_by_histology(tmp_path: Path) -> None:
    assert run(tmp_path, *cohort()) == 0
    assert one(tmp_path, "wilcoxon", subset="LMS")["n"] == "12"
    assert one(tmp_path, "mann_whitney", subset="LPS")["n_responder"] == "3"


def test_covariates_are_used_as_far_as_events_allow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("outcomes: {covariates: [age]}\n", encoding="utf-8")
    patients, outcomes = cohort(60, 24)
    assert run(tmp_path, patients, outcomes, "--config", str(config)) == 0
    (adjusted,) = rows_of(tmp_path, test="firth_logistic", adjusted_for="age")
    assert adjusted["estimate"]
    assert adjusted["estimate"] != one(tmp_path, "firth_logistic")["estimate"]
    patients, outcomes = cohort(24, 6)
    assert run(tmp_path, patients, outcomes, "--config", str(config)) == 0
    (row,) = [row for row in rows_of(tmp_path, test="firth_logistic") if row["adjusted_for"]]
    assert row["reason"] == "age left out: 6 events carry 1 term with the change, at most one in 10"
    config.write_text("outcomes: {covariates: [agge]}\n", encoding="utf-8")
    assert run(tmp_path, patients, outcomes, "--config", str(config)) == 2
    assert "outcomes.csv has no covariate 'agge'" in capsys.readouterr().err


def hold(rows: Table) -> None:
    """Every row has numbers that go together, or says why it has none."""
    assert rows
    for row in rows:
        assert row["reason"] or row["estimate"], row
        assert row["reason"] or row["p"] or row["test"] == "auroc", row
        assert row["reason"] or row["ci_low"], row
        assert not row["p"] or float(row["p_smallest"]) <= 0.05, row
        assert not row["p"] or row["estimate"], row
        if row["ci_low"] and row["ci_high"]:
            assert float(row["ci_low"]) <= float(row["estimate"]) <= float(row["ci_high"]), row


def response(outcomes: list[list[object]], word: str) -> list[list[object]]:
    return [[row[0], word, *row[2:]] for row in outcomes]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_one_to_five_patients(tmp_path: Path, n: int) -> None:
    assert run(tmp_path, *cohort(n, n // 2)) == 0
    rows = rows_of(tmp_path)
    hold(rows)
    for row in rows:
        assert row["reason"] or row["test"] in ("auroc", "spearman")
        # Five patients have 120 orders, so that a correlation may reach .05; nothing else can.
        assert not row["p"] or (n == 5 and row["test"] == "spearman")


@pytest.mark.parametrize("word", ["CR", "PD", "NE", ""])
def test_one_answer_for_all_gives_a_reason(tmp_path: Path, word: str) -> None:
    patients, outcomes = cohort(12, 6)
    assert run(tmp_path, patients, response(outcomes, word)) == 0
    for test in ("mann_whitney", "auroc", "firth_logistic", "ancova"):
        row = one(tmp_path, test)
        assert row["reason"]
        assert not row["estimate"]


def test_odd_cohorts_give_reasons(tmp_path: Path) -> None:
    patients, outcomes = cohort(12, 6)
    censored = [[*row[:4], False, row[5], False, *row[7:]] for row in outcomes]
    zeros = [MadePatient(one.patient_id, 0, 0) for one in patients]
    assert run(tmp_path, zeros, censored) == 0
    assert one(tmp_path, "wilcoxon")["reason"] == "no patient changed"
    assert one(tmp_path, "cox_pfs")["reason"] == "no event after the biopsy"
    assert one(tmp_path, "spearman")["reason"] == "all values are the same"
    assert "all values before" in one(tmp_path, "ancova")["reason"]
    assert not any(row["p"] for row in rows_of(tmp_path))


def test_groups_that_part_completely(tmp_path: Path) -> None:
    patients = [MadePatient(f"P{index:02d}", 100, 100 + 40 * index) for index in range(12)]
    outcomes = [
        [f"P{index:02d}", "PR" if index > 7 else "PD", "", 60 + index, True, 90 + index, True, "", ""]
        for index in range(12)
    ]
    assert run(tmp_path, patients, outcomes) == 0
    assert one(tmp_path, "auroc")["estimate"] == "1.0"
    assert one(tmp_path, "firth_logistic")["ci_high"]
    assert one(tmp_path, "cox_pfs")["reason"].startswith("separation")


ODD = {
    "nobody has a partner": {"n_post": None},
    "nobody can be judged": {"judged": False},
    "every change is the same": {"n_pre": 100, "n_post": 200},
    "nothing before": {"n_pre": 0},
    "nothing after": {"n_post": 0},
    "biopsied before the first dose": {"day": -3},
    "followed to no biopsy": {"day": 9000},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_biopsies_give_reasons(tmp_path: Path, name: str) -> None:
    patients, outcomes = cohort(12, 5)
    assert run(tmp_path, [replace(patient, **ODD[name]) for patient in patients], outcomes) == 0
    hold(rows_of(tmp_path))
    expected = {
        "nobody has a partner": ("wilcoxon", "no patient left: 12 no pair"),
        "nobody can be judged": ("auroc", "no patient left: 12 not evaluable"),
        "every change is the same": (
            "firth_logistic",
            "the model's terms cannot be told apart with these patients",
        ),
        "nothing before": ("ancova", "all values before treatment are the same, or go with the groups"),
        "nothing after": ("ancova", "the values after treatment follow from those before without error"),
        "biopsied before the first dose": (
            "cox_pfs",
            "no patient left: 12 biopsy dated before the first dose",
        ),
        "followed to no biopsy": (
            "cox_pfs",
            "no patient left: 8 event before the biopsy, 4 censored before the biopsy",
        ),
    }[name]
    assert one(tmp_path, expected[0])["reason"] == expected[1]


def only(outcomes: list[list[object]], column: int, *values: object) -> list[list[object]]:
    """The outcomes with one column, and those after it, replaced."""
    return [[*row[:column], *values, *row[column + len(values) :]] for row in outcomes]


def test_one_stratum_alone(tmp_path: Path) -> None:
    patients, outcomes = cohort(12, 5)
    assert run(tmp_path, patients, only(outcomes, 7, "leiomyosarcoma")) == 0
    hold(rows_of(tmp_path))
    assert not rows_of(tmp_path, subset="LPS")
    assert one(tmp_path, "wilcoxon", subset="LMS")["p"] == one(tmp_path, "wilcoxon")["p"]


def test_one_patient_in_a_stratum(tmp_path: Path) -> None:
    patients, outcomes = cohort(12, 5)
    outcomes = only(outcomes, 7, "LMS")
    outcomes[3][7] = "liposarcoma"
    assert run(tmp_path, patients, outcomes) == 0
    hold(rows_of(tmp_path))
    assert one(tmp_path, "mann_whitney", subset="LPS")["reason"] == "no non-responder to compare with"


def test_follow_up_that_says_little(tmp_path: Path) -> None:
    patients, outcomes = cohort(12, 5)
    # All progress on one day; one of them dies.
    alike = only(outcomes, 3, 90, True, 120, False)
    alike[4][6] = True
    assert run(tmp_path, patients, alike) == 0
    hold(rows_of(tmp_path))
    assert one(tmp_path, "cox_pfs")["reason"] == "at no event was another patient with another change at risk"
    assert (one(tmp_path, "cox_os")["n_events"], one(tmp_path, "cox_os")["p"]) == ("1", "")
    assert run(tmp_path, patients, only(outcomes, 2, -30, "", "", "", "")) == 0
    hold(rows_of(tmp_path))
    assert one(tmp_path, "spearman")["reason"] == "all values are the same"
    assert one(tmp_path, "cox_os")["reason"] == "no patient left: 12 no os_days"


def test_one_patient_with_a_partner(tmp_path: Path) -> None:
    patients, outcomes = cohort(6, 3)
    alone = [
        replace(patient, n_post=patient.n_post if index == 2 else None)
        for index, patient in enumerate(patients)
    ]
    assert run(tmp_path, alone, outcomes) == 0
    hold(rows_of(tmp_path))
    assert (one(tmp_path, "wilcoxon")["n"], one(tmp_path, "wilcoxon")["left_out"]) == ("1", "5 no pair")


def test_dates_of_the_sheet_stand_in_for_days(tmp_path: Path) -> None:
    patients, outcomes = cohort()
    write_results(
        tmp_path / "results",
        [MadePatient(one.patient_id, one.n_pre, one.n_post, day=None) for one in patients],
    )
    sheet = tmp_path / "cohort.csv"
    lines = ["patient_id,timepoint,stain,slide,slide_id,biopsy_date"]
    for patient in patients:
        (tmp_path / f"{patient.patient_id}.tif").write_bytes(patient.patient_id.encode())
        lines.append(f"{patient.patient_id},on_treatment,CD8,{patient.patient_id}.tif,"
                     f"{patient.patient_id}_on_treatment,2026-03-12")  # fmt: skip
    sheet.write_text("\n".join(lines), encoding="utf-8")
    path = tmp_path / "dated.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(
            [[*HEADER, "first_dose_date"], *[[*row, "2026-01-29"] for row in outcomes]]
        )
    assert call(["associate", str(tmp_path / "results"), str(path), "--sheet", str(sheet)]) == 0
    sheet.write_text("\n".join(line.replace("_on_treatment,", "_else,") for line in lines), encoding="utf-8")
    assert call(["associate", str(tmp_path / "results"), str(path), "--sheet", str(sheet)]) == 2
    assert one(tmp_path, "cox_pfs")["n"] == "24"


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        assert run(tmp_path, *cohort(12, 5)) == 0
        written.append(
            [(tmp_path / "results" / name).read_bytes() for name in ("cohort_tests.csv", "cohort_flow.csv")]
        )
    assert written[0] == written[1]
    assert b"normalis" not in written[0][0]


def test_what_stops_it_is_one_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patients, outcomes = cohort(6, 3)
    assert call(["associate", str(tmp_path), str(tmp_path / "none.csv")]) == 2
    assert "this is not a folder of finished results" in capsys.readouterr().err
    assert run(tmp_path, patients, outcomes) == 0
    assert call(["associate", str(tmp_path / "results"), str(tmp_path / "none.csv")]) == 2
    assert "the sheet cannot be read" in capsys.readouterr().err
    with run_lock(tmp_path / "results"):
        assert run(tmp_path, patients, outcomes) == 4
    kept = tmp_path / "results" / "provenance" / "config.yaml"
    settings = yaml.safe_load(kept.read_text(encoding="utf-8"))
    settings["outcomes"]["family"] = ["CD8.til_densty_per_mm2"]
    kept.write_text(yaml.safe_dump(settings), encoding="utf-8")
    capsys.readouterr()
    assert run(tmp_path, patients, outcomes) == 2
    assert "did you mean 'CD8.til_density_per_mm2'" in capsys.readouterr().err
    (tmp_path / "results" / "pairs.csv").write_text("a,b\n1\n", encoding="utf-8")
    listed(tmp_path / "results")
    settings["outcomes"]["family"] = []
    kept.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert run(tmp_path, patients, outcomes) == 3


def test_tables_edited_by_hand_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients, outcomes = cohort(6, 3)
    assert run(tmp_path, patients, outcomes) == 0
    results = tmp_path / "results"
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    pairs = results / "pairs.csv"
    pairs.write_text(pairs.read_text(encoding="utf-8").replace("P01", "P99"), encoding="utf-8")
    capsys.readouterr()
    assert run(tmp_path, patients, outcomes) == 3
    said = capsys.readouterr().err
    assert "pairs.csv" in said
    assert "not as the run wrote it" in said
    assert {path: path.read_bytes() for path in before if path != pairs} == {
        path: content for path, content in before.items() if path != pairs
    }
    pairs.write_bytes(before[pairs])
    assert run(tmp_path, patients, outcomes) == 0
    (results / "manifest.json").write_text('{"files": []}', encoding="utf-8")
    assert run(tmp_path, patients, outcomes) == 3
    (results / "manifest.json").unlink()
    capsys.readouterr()
    assert run(tmp_path, patients, outcomes) == 2
    assert "it has no manifest.json" in capsys.readouterr().err
