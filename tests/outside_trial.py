"""`tme associate` on many synthetic trials of `tests.outside_cohort`: what it finds of what was planted.

``python -m tests.outside_trial --seeds 200`` prints, for each estimate of the planted metric, how often its
95 % interval holds the truth; of the p-values of the family, the mean share of false ones among those that
Benjamini and Hochberg's procedure finds at .05, and how many of the null ones are .05 or less by themselves.
With ``--nothing-planted`` every discovery is a false one.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.outside_cohort import PLANTED, Truth, truth, write_trial
from tme.pipeline.associate import AssociateRequest, run_associate
from tme.tables import read_csv

LEVEL = 0.05
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
        Trials whose planted shift was discovered.
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
            if (row["stain"], row["metric"]) == PLANTED and row["test"] in HELD:
                wanted = HELD[row["test"]](true)
                self.held[row["test"]] += float(row["ci_low"]) <= wanted <= float(row["ci_high"])
        family = [row for row in rows if row["p_adjusted"]]
        null = [row for row in family if not (self.planted and (row["stain"], row["metric"]) == PLANTED)]
        found = [row for row in family if float(row["p_adjusted"]) <= LEVEL]
        false = [row for row in null if float(row["p_adjusted"]) <= LEVEL]
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


def run_trials(seeds: Sequence[int], planted: bool = True, say: Callable[[str], None] | None = None) -> Tally:
    """Write, associate and tally the trials of the seeds."""
    tally = Tally(planted)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            outcomes = write_trial(results, seed, planted)
            run_associate(AssociateRequest(results, outcomes), lambda _: None)
            tally.add(read_csv(results / "cohort_tests.csv"))
        if say and tally.trials % 20 == 0:
            say(tally.text())
    return tally


def main() -> None:
    """Print a line every 20 trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--nothing-planted", action="store_true")
    arguments = parser.parse_args()
    planted = not arguments.nothing_planted
    run_trials(range(arguments.seeds), planted, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
