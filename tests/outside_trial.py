"""`tme associate` on many synthetic trials of `tests.outside_cohort`: what it finds of what was planted.

``python -m tests.outside_trial --seeds 200`` prints, for each estimate of the planted metric, how often its
95 % interval holds the truth; of the p-values of the family, the mean share of false ones among those that
Benjamini and Hochberg's procedure finds at .05, and how many of the null ones are .05 or less by themselves.
With ``--nothing-planted`` every discovery is a false one.

Which p-values belong to the family, and what adjusting makes of them, is worked out here once more: a trial
whose table says otherwise is an error.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.outside_cohort import METRICS, PLANTED, Truth, truth, write_trial
from tme.pipeline.associate import AssociateRequest, run_associate
from tme.tables import read_csv

LEVEL = 0.05
FAMILY_TESTS = ("wilcoxon", "mann_whitney", "spearman", "cox_pfs", "cox_os")
Row = dict[str, str]
# What each interval of the planted metric has to hold.
HELD: dict[str, Callable[[Truth], float]] = {
    "mann_whitney": lambda true: true.shift,
    "ancova": lambda true: true.shift,
    "auroc": lambda true: true.auroc,
    "firth_logistic": lambda true: math.exp(true.log_odds),
    "cox_pfs": lambda true: math.exp(true.log_hazard),
}


@dataclass
class Tally:
    """Counts over trials.

    Attributes
    ----------
    trials : int
    held : dict of str to int
        Test -> trials whose interval of the planted metric held the truth.
    false_share : float
        Sum over trials of false discoveries / discoveries, 0 where there was none.
    found : int
        Trials whose planted shift was discovered by `mann_whitney`.
    null, null_small : int
        p-values of the family where nothing was planted, and those of .05 or less.
    """

    planted: bool
    trials: int = 0
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HELD, 0))
    false_share: float = 0.0
    found: int = 0
    null: int = 0
    null_small: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        """One trial's ``cohort_tests.csv``."""
        true = truth(self.planted)
        self.trials += 1
        for row in rows:
            if _metric(row) == PLANTED and row["test"] in HELD:
                wanted = HELD[row["test"]](true)
                self.held[row["test"]] += float(row["ci_low"]) <= wanted <= float(row["ci_high"])
        family = family_of(rows)
        null = [row for row in family if not (self.planted and _metric(row) == PLANTED)]
        found = [row for row in family if float(row["p_adjusted"]) <= LEVEL]
        false = [row for row in found if row in null]
        self.false_share += len(false) / max(1, len(found))
        self.found += any(row["test"] == "mann_whitney" and row not in false for row in found)
        self.null += len(null)
        self.null_small += sum(float(row["p"]) <= LEVEL for row in null)

    def text(self) -> str:
        """One line."""
        held = ", ".join(f"{test} {count / self.trials:.1%}" for test, count in self.held.items())
        return (
            f"{self.trials} trials: held {held}; shift discovered in {self.found / self.trials:.1%}; "
            f"false discoveries {self.false_share / self.trials:.1%}; "
            f"null p <= {LEVEL:g} in {self.null_small / self.null:.1%} of {self.null}"
        )


def _metric(row: Row) -> tuple[str, str]:
    return row["stain"], row["metric"]


def family_of(rows: Sequence[Row]) -> list[Row]:
    """Rows of the family that have a p, once they are the right ones and rightly adjusted.

    Raises
    ------
    ValueError
        If the table's family is not every primary metric in every test of the family, once and in all
        patients, or its adjusted p-values are not Benjamini and Hochberg's over exactly these.
    """
    declared = [row for row in rows if row["family"]]
    wanted = sorted((*metric, test) for metric in METRICS for test in FAMILY_TESTS)
    if sorted((*_metric(row), row["test"]) for row in declared) != wanted:
        raise ValueError("the family is not what was declared")
    if any(row["subset"] != "all" or row["adjusted_for"] for row in declared):
        raise ValueError("the family holds a subset or an adjusted model")
    family = [row for row in declared if row["p"]]
    for row, own in zip(family, step_up([float(row["p"]) for row in family]), strict=True):
        if not math.isclose(float(row["p_adjusted"]), own, rel_tol=1e-4):
            raise ValueError(f"{_metric(row)} {row['test']}: adjusted {row['p_adjusted']}, not {own:g}")
    if sum(bool(row["p_adjusted"]) for row in rows) != len(family):
        raise ValueError("a p outside the family was adjusted")
    return family


def step_up(p: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p: the smallest m·p/rank of this rank or a higher one."""
    adjusted = [1.0] * len(p)
    least = 1.0
    for rank, index in sorted(enumerate(sorted(range(len(p)), key=p.__getitem__), start=1), reverse=True):
        least = min(least, len(p) * p[index] / rank)
        adjusted[index] = least
    return adjusted


def tables(seeds: Iterable[int], planted: bool, workers: int = 1) -> Iterator[list[Row]]:
    """``cohort_tests.csv`` of the trial of each seed, in order."""
    one = partial(_table, planted=planted)
    if workers == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(one, seeds)


def _table(seed: int, planted: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        outcomes = write_trial(results, seed, planted)
        run_associate(AssociateRequest(results, outcomes), lambda _: None)
        return read_csv(results / "cohort_tests.csv")


def run_trials(
    seeds: Sequence[int], planted: bool = True, say: Callable[[str], None] | None = None, workers: int = 1
) -> Tally:
    """Write, associate and tally the trials of the seeds."""
    tally = Tally(planted)
    for rows in tables(seeds, planted, workers):
        tally.add(rows)
        if say and (tally.trials % 20 == 0 or tally.trials == len(seeds)):
            say(tally.text())
    return tally


def main() -> None:
    """Print a line every 20 trials and at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--nothing-planted", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    say = partial(print, flush=True)
    run_trials(range(asked.seeds), not asked.nothing_planted, say, asked.workers)


if __name__ == "__main__":
    main()
