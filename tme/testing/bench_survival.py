"""Simulated cohorts whose response delays the biopsy: Cox regression from first dose, and with delayed entry.

``python -m tme.testing.bench_survival --cohorts 500`` prints the mean log hazard ratio per doubling, how
often its interval holds the truth and how often p is .05 or less, with and without an effect; a line every
50 cohorts. Whoever responds is biopsied 90 days later, so that patients with a high change have lived
longer before anybody could know of it; counted from first dose, that time looks like an effect (Anderson
1983, J Clin Oncol 1:710). What is wrong by so much shows in the first `NAIVE` cohorts.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tme.outcomes.survival import AtRisk, cox
from tme.outcomes.types import LEVEL, Numbers, Result

PATIENTS = 200
NAIVE = 100
LOG_HAZARDS = (-0.4, 0.0)
DELAY_DAYS = 90.0
MEAN_DAYS = 250.0


@dataclass(frozen=True)
class Summary:
    """What one analysis said over many cohorts.

    Attributes
    ----------
    mean : float
        Of the log hazard ratios per doubling.
    coverage, significant : float
        Share of cohorts whose 95 % interval holds the truth, and whose p is .05 or less.
    """

    mean: float
    coverage: float
    significant: float

    def __str__(self) -> str:
        """As a reader wants it."""
        return f"mean {self.mean:+.3f}, covered {self.coverage:.1%}, p <= {LEVEL:g} in {self.significant:.1%}"


def treated_cohort(seed: int, log_hazard: float) -> tuple[AtRisk, Numbers]:
    """Follow-up and log2 change of those of `PATIENTS` treated who were still followed at their biopsy."""
    generator = np.random.default_rng([seed, 0x5B])
    change = generator.normal(0.3, 1.0, PATIENTS)
    responds = change + generator.normal(0.0, 0.5, PATIENTS) > 0.5
    biopsy = np.rint(generator.uniform(20, 40, PATIENTS) + np.where(responds, DELAY_DAYS, 0.0))
    event = np.ceil(generator.exponential(MEAN_DAYS * np.exp(-log_hazard * change)))
    last = np.ceil(generator.uniform(200, 700, PATIENTS))
    days, seen = np.minimum(event, last), event <= last
    kept = days > biopsy
    return AtRisk(biopsy[kept], days[kept], seen[kept]), change[kept]


def from_first_dose(at_risk: AtRisk) -> AtRisk:
    """The same patients as if each had been at risk from the first dose on: wrong, for comparison."""
    return AtRisk(np.zeros(len(at_risk.entry)), at_risk.time, at_risk.event)


def summary(found: Sequence[Result], log_hazard: float) -> Summary:
    """Over fits that have an estimate; they all have one at 200 patients."""
    truth = math.exp(log_hazard)
    logs, held, small = [], [], []
    for one in found:
        if one.estimate is None or one.ci_low is None or one.ci_high is None or one.p is None:
            raise ValueError(f"a cohort has no hazard ratio: {one.reason}")
        logs.append(math.log(one.estimate))
        held.append(one.ci_low <= truth <= one.ci_high)
        small.append(one.p <= LEVEL)
    return Summary(float(np.mean(logs)), float(np.mean(held)), float(np.mean(small)))


def compare(
    cohorts: int, log_hazard: float, say: Callable[[str], None] | None = None
) -> tuple[Summary, Summary]:
    """(from first dose, with delayed entry) over cohorts of the seeds 0 … cohorts - 1.

    Parameters
    ----------
    cohorts : int
        With delayed entry; from first dose no more than `NAIVE`.
    log_hazard : float
        The truth, per doubling.
    say : callable, optional
        Told both summaries every 50 cohorts.
    """
    naive, delayed = [], []
    for seed in range(cohorts):
        at_risk, change = treated_cohort(seed, log_hazard)
        delayed.append(cox(at_risk, change))
        if seed < NAIVE:
            naive.append(cox(from_first_dose(at_risk), change))
        if say and (seed + 1) % 50 == 0:
            for name, found in (("from first dose", naive), ("delayed entry", delayed)):
                say(f"log HR {log_hazard:+.2f}, {name}, {len(found)} cohorts: {summary(found, log_hazard)}")
    return summary(naive, log_hazard), summary(delayed, log_hazard)


def main() -> None:
    """Both analyses, without and with an effect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=500)
    cohorts = parser.parse_args().cohorts
    for log_hazard in LOG_HAZARDS:
        compare(cohorts, log_hazard, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
