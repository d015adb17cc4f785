"""Rows of ``cohort_tests.csv`` as the page's table shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tme.outcomes.types import DECLARED
from tme.report.artefacts import Row
from tme.report.numbers import p_text, plain_number, value_of
from tme.report.words import metric_title

TEST_TITLES = {
    "wilcoxon": "Change on treatment",
    "mann_whitney": "Responders against others",
    "auroc": "AUROC for response",
    "firth_logistic": "Odds of response",
    "ancova": "On treatment at equal baseline",
    "spearman": "Correlation with tumour size",
    "cox_pfs": "Hazard of progression",
    "cox_os": "Hazard of death",
}


def test_rows(tests: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry per test, the declared family first."""
    rows = sorted(tests, key=lambda row: row["family"] != DECLARED)
    return [_row(row) for row in rows]


def _row(row: Row) -> dict[str, Any]:
    estimate, low, high = (value_of(row[name]) for name in ("estimate", "ci_low", "ci_high"))
    known = low is not None and high is not None
    subset = "" if row["subset"] == "all" else row["subset"]
    return {
        "metric": metric_title(row["stain"], row["metric"]),
        "compartment": row["compartment"],
        "test": TEST_TITLES.get(row["test"], row["test"]),
        "name": row["test"],
        "subset": ", ".join(
            filter(None, [subset, row["adjusted_for"] and f"adjusted for {row['adjusted_for']}"])
        ),
        "n": row["n"],
        "left_out": row["left_out"],
        "effect": row["effect"],
        "estimate": plain_number(estimate),
        "estimate_value": row["estimate"],
        "interval": f"{plain_number(low)} to {plain_number(high)}" if known else "",
        "p": p_text(value_of(row["p"])),
        "p_value": row["p"],
        "adjusted": p_text(value_of(row["p_adjusted"])),
        "adjusted_value": row["p_adjusted"],
        "declared": row["family"] == DECLARED,
        "note": "; ".join(filter(None, [row["reason"], row["note"]])),
    }
