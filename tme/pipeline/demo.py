"""`tme demo`: the sample cohort end to end, and what was measured beside what is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tme.pipeline.drive import RunRequest, drive
from tme.pipeline.resources import resource
from tme.tables import read_csv

Say = Callable[[str], None]
Row = Mapping[str, str]

# How far a measured density may lie from the truth, in percent, by stain.
BOUNDS_PCT = {"HE": 10.0, "CD8": 10.0, "CD31": 12.0}
METRIC = {"HE": "til_density_per_mm2", "CD8": "til_density_per_mm2", "CD31": "mvd_per_mm2"}
CALL = "CD8__evaluable__til_density_per_mm2__change_call"


@dataclass(frozen=True)
class Comparison:
    """One slide's density beside its truth, /mm²."""

    slide_id: str
    stain: str
    true: float
    measured: float | None
    evaluable: bool

    @property
    def error_pct(self) -> float | None:
        """100 (measured - true) / true; None where nothing was measured."""
        return (
            None if self.measured is None or self.true == 0 else 100 * (self.measured - self.true) / self.true
        )

    @property
    def right(self) -> bool:
        """Within the bound, or not evaluable and so not judged."""
        return not self.evaluable or (
            self.error_pct is not None and abs(self.error_pct) <= BOUNDS_PCT[self.stain]
        )


def run_demo(output: Path, seed: int | None, cores: int, say: Say) -> int:
    """Run the cohort (freshly rendered with a seed) and print the comparison.

    Returns
    -------
    int
        0 when all is right, 1 when a density or a call is not, else what `drive` answers.
    """
    folder = resource("sample_slides")
    if seed is not None:
        from tme.testing.cohort import write_cohort

        folder = output.parent / f"{output.name}-slides-{seed}"
        say(f"rendering a cohort from seed {seed} into {folder}")
        write_cohort(folder, seed, workers=cores)
    code = drive(RunRequest(folder / "cohort.csv", output, None, cores), say)
    if code != 0:
        return code
    return _compare(folder, output, say)


def _compare(folder: Path, output: Path, say: Say) -> int:
    truth = read_csv(folder / "truth.csv")
    compared = compare_slides(truth, read_csv(output / "slide_metrics.csv"))
    say("")
    say(f"{'slide':28s} {'stain':5s} {'true/mm²':>9s} {'measured':>9s} {'error':>8s}")
    for row in compared:
        error = row.error_pct
        shown = (
            ("-", "-")
            if row.measured is None
            else (f"{row.measured:.1f}", "" if error is None else f"{error:+.1f} %")
        )
        mark = "" if row.evaluable else "  not evaluable"
        mark += "" if row.right else "  <- off"
        say(f"{row.slide_id:28s} {row.stain:5s} {row.true:9.1f} {shown[0]:>9s} {shown[1]:>8s}{mark}")
    calls = compare_calls(truth, read_csv(output / "patient_metrics.csv"))
    say("")
    for patient, expected, found in calls:
        wrong = "" if found == expected else f"  <- expected {expected}"
        say(f"{patient}: CD8 density {found or 'no call'}{wrong}")
    good = sum(expected == found for _, expected, found in calls)
    within = sum(row.right for row in compared if row.evaluable)
    evaluable = sum(row.evaluable for row in compared)
    say(f"{within}/{evaluable} evaluable slides within bounds, {good}/{len(calls)} calls right")
    say(f"look at {output}/index.html")
    return 0 if within == evaluable and good == len(calls) else 1


def compare_slides(truth: Sequence[Row], metrics: Sequence[Row]) -> list[Comparison]:
    """Join truth and `slide_metrics.csv` (row ``evaluable``) by slide."""
    found = {row["slide_id"]: row for row in metrics if row["compartment"] == "evaluable"}
    compared = []
    for row in truth:
        stain = row["stain"]
        measured = found[row["slide_id"]]
        value = measured[METRIC[stain]]
        compared.append(
            Comparison(
                row["slide_id"],
                stain,
                float(row[METRIC[stain]] or 0),
                float(value) if value else None,
                measured["evaluable"] == "true",
            )
        )
    return compared


def compare_calls(truth: Sequence[Row], patients: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(patient, expected call, call found), one a patient, in the truth's order."""
    found = {row["patient_id"]: row.get(CALL, "") for row in patients}
    expected = {
        row["patient_id"]: row["expected_change_call"] for row in truth if row["expected_change_call"]
    }
    return [(patient, call, found.get(patient, "")) for patient, call in expected.items()]
