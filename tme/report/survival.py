"""Kaplan–Meier plots of ``cohort_survival.csv``, with the numbers at risk under the axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tme.report.artefacts import Row
from tme.report.numbers import plain_number, value_of
from tme.report.words import CALL_TITLES, metric_title, sentence

ENDPOINT_TITLES = {"pfs": "Progression-free survival", "os": "Overall survival"}
HAZARDS = {"pfs": "cox_pfs", "os": "cox_os"}
STEPS = (7, 14, 30, 60, 90, 180, 360, 720, 1800, 3600)
MOST_STEPS = 6


@dataclass(frozen=True)
class Curve:
    """One group: steps of the curve, the censored, and who is at risk at the plot's times.

    Attributes
    ----------
    group, title : str
    days, shares, lows, highs : tuple of float
        The curve changes at each day; ends of the interval are the share where it is not known.
    censored : tuple of (day, share)
    at_risk : tuple of int
    n, events : int
    """

    group: str
    title: str
    days: tuple[float, ...]
    shares: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    censored: tuple[tuple[float, float], ...]
    at_risk: tuple[int, ...]
    n: int
    events: int


@dataclass(frozen=True)
class KaplanMeier:
    """A plot of one STAIN.metric and end point; ``hazard`` is the hazard ratio, or why there is none."""

    title: str
    name: str
    endpoint: str
    times: tuple[int, ...]
    curves: tuple[Curve, ...]
    hazard: str


def kaplan_meiers(survival: Sequence[Row], tests: Sequence[Row]) -> list[KaplanMeier]:
    """One plot for each metric of the family and end point that has patients."""
    keyed: dict[tuple[str, str, str, str], dict[str, list[Row]]] = {}
    for row in survival:
        key = (row["stain"], row["compartment"], row["metric"], row["endpoint"])
        keyed.setdefault(key, {}).setdefault(row["group"], []).append(row)
    return [_plot(key, groups, tests) for key, groups in keyed.items()]


def _plot(key: tuple[str, str, str, str], groups: dict[str, list[Row]], tests: Sequence[Row]) -> KaplanMeier:
    stain, compartment, metric, endpoint = key
    parted = {name: rows for name, rows in groups.items() if name != "all"} or groups
    times = _times(max(float(row["day"]) for rows in groups.values() for row in rows))
    hazard = next(
        (
            _hazard(row)
            for row in tests
            if (row["stain"], row["compartment"], row["metric"]) == (stain, compartment, metric)
            and (row["test"], row["subset"], row["adjusted_for"]) == (HAZARDS[endpoint], "all", "")
        ),
        "",
    )
    title = f"{ENDPOINT_TITLES[endpoint]} by change of {metric_title(stain, metric)}"
    curves = tuple(_curve(name, rows, times) for name, rows in parted.items())
    return KaplanMeier(title, f"{stain}.{metric}", endpoint, times, curves, hazard)


def _hazard(row: Row) -> str:
    estimate, low, high = (value_of(row[name]) for name in ("estimate", "ci_low", "ci_high"))
    if estimate is None:
        return f"No hazard ratio: {row['reason']}"
    interval = "" if low is None or high is None else f" ({plain_number(low)} to {plain_number(high)})"
    return f"{sentence(row['effect'])}: {plain_number(estimate)}{interval}"


def _times(last: float) -> tuple[int, ...]:
    """Round days from 0 to the end of follow-up, few enough for numbers beneath."""
    step = next((one for one in STEPS if last / one <= MOST_STEPS), STEPS[-1])
    return tuple(range(0, int(last) + 1, step)) if last >= step else (0, step)


def _curve(group: str, rows: Sequence[Row], times: Sequence[int]) -> Curve:
    rows = sorted(rows, key=lambda row: float(row["day"]))
    days = [float(row["day"]) for row in rows]
    shares = [float(row["survival"]) for row in rows]
    ends = [
        [
            value if (value := value_of(row[name])) is not None else share
            for row, share in zip(rows, shares, strict=True)
        ]
        for name in ("ci_low", "ci_high")
    ]
    censored = [
        (day, share) for row, day, share in zip(rows, days, shares, strict=True) if int(row["n_censored"])
    ]
    return Curve(
        group,
        CALL_TITLES.get(group, "All patients"),
        tuple(days),
        tuple(shares),
        tuple(ends[0]),
        tuple(ends[1]),
        tuple(censored),
        tuple(_at_risk(rows, time) for time in times),
        int(rows[0]["n_at_risk"]),
        sum(int(row["n_events"]) for row in rows),
    )


def _at_risk(rows: Sequence[Row], time: int) -> int:
    """Patients under observation just before ``time``: those at risk on the next day of the table."""
    return next((int(row["n_at_risk"]) for row in rows if float(row["day"]) >= time), 0)
