"""A synthetic trial with a planted effect, written as tables of results by code that knows nothing of tme.

``python -m tests.outside_cohort FOLDER --seed 7`` writes ``pairs.csv``, ``patient_metrics.csv``,
``slide_metrics.csv``, ``provenance/config.yaml`` and ``outcomes.csv``. Formulae and columns are those of
the documentation, written down anew. Of 30 patients, 28 have both biopsies and 9 of these respond.

Planted in ``CD8.til_density_per_mm2``: everybody's density rises by `RISE` on the log2 scale, that of
responders by `SHIFT` more, and the hazard of progression falls with it by `LOG_HAZARD` per doubling.
Responders are biopsied later. The other metrics do not change but for noise, and go with nothing.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATIENTS, PAIRED, RESPONDERS = 30, 28, 9
RISE, SHIFT, LOG_HAZARD = 0.3, 1.0, -0.5
SPREAD = 0.6
PLANTED = ("CD8", "til_density_per_mm2")
COUNTS = {PLANTED: 180.0, ("HE", "til_density_per_mm2"): 300.0, ("CD31", "mvd_per_mm2"): 70.0}
SHARE = ("CD31", "vessel_area_pct")
METRICS = (*COUNTS, SHARE)
OVERDISPERSION = 3.0
PRE, POST = "baseline", "on_treatment"

PAIR_COLUMNS = [
    "patient_id", "lesion_id", "stain", "compartment", "metric", "kind", "timepoint_pre", "timepoint_post",
    "value_pre", "value_post", "n_pre", "n_post", "area_pre_mm2", "area_post_mm2", "delta_abs",
    "delta_ci_low", "delta_ci_high", "log2fc", "log2fc_se", "log2fc_ci_low", "log2fc_ci_high", "rc_log2",
    "rc_source", "change_call", "pairing", "interval_days", "note",
]  # fmt: skip
SLIDE_COLUMNS = [
    "patient_id", "lesion_id", "slide_id", "timepoint", "biopsy_day", "stain", "compartment",
    "evaluable_area_mm2", "evaluable", "not_evaluable_reason", "status", "reason",
]  # fmt: skip
OUTCOME_COLUMNS = [
    "patient_id", "response", "pct_change_sld", "pfs_days", "pfs_event", "os_days", "os_event",
]  # fmt: skip
WIDE = ("pre", "post", "delta_abs", "log2fc", "log2fc_ci_low", "log2fc_ci_high", "change_call")
Row = dict[str, object]


@dataclass(frozen=True)
class Truth:
    """What an analysis of many such trials has to find.

    Attributes
    ----------
    shift : float
        Responders minus the others, log2.
    auroc : float
    log_odds, log_hazard : float
        Per measured doubling.
    """

    shift: float
    auroc: float
    log_odds: float
    log_hazard: float


def truth(planted: bool) -> Truth:
    """Of normal changes of `SPREAD` in both groups, seen through counts."""
    shift = SHIFT if planted else 0.0
    counted = COUNTS[PLANTED] * 5
    noise = 2 * OVERDISPERSION / counted / math.log(2) ** 2
    spread = math.sqrt(SPREAD**2 + noise)
    area = 0.5 * (1 + math.erf(shift / (2 * spread)))
    # Noise in what is measured makes a doubling of it worth less than one of the truth: by the share of
    # noise in the variance of all patients, in which the groups' difference counts too.
    share = RESPONDERS / PAIRED
    varies = SPREAD**2 + share * (1 - share) * shift**2
    hazard = LOG_HAZARD * varies / (varies + noise) if planted else 0.0
    return Truth(shift, area, shift / spread**2, hazard)


def write_trial(folder: Path, seed: int, planted: bool = True) -> Path:
    """One trial's tables in ``folder`` and its ``outcomes.csv`` beside them, whose path is returned."""
    generator = np.random.default_rng([seed, 2026])
    responds = np.arange(PATIENTS) < RESPONDERS
    rise = (RISE + SHIFT * responds) * planted + generator.normal(0, SPREAD, PATIENTS)
    days = np.round(generator.uniform(28, 49, PATIENTS) + 14 * responds).astype(int)
    pairs = [
        _pair(generator, index, metric, float(rise[index]), index < PAIRED)
        for index in range(PATIENTS)
        for metric in METRICS
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "pairs.csv", PAIR_COLUMNS, pairs)
    wide = [_wide([row for row in pairs if row["patient_id"] == _name(index)]) for index in range(PATIENTS)]
    _write(folder / "patient_metrics.csv", list(max(wide, key=len)), wide)
    _write(folder / "slide_metrics.csv", SLIDE_COLUMNS, _slides(days))
    (folder / "provenance").mkdir(exist_ok=True)
    family = ", ".join(".".join(metric) for metric in METRICS)
    settings = f"change: {{primary_metrics: [{family}]}}\n"
    (folder / "provenance" / "config.yaml").write_text(settings, encoding="utf-8")
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*s.csv")}
    (folder / "manifest.json").write_text(json.dumps({"key": "", "files": files}), encoding="utf-8")
    outcomes = folder / "outcomes.csv"
    _write(outcomes, OUTCOME_COLUMNS, _outcomes(generator, responds, rise, planted))
    return outcomes


def _name(index: int) -> str:
    return f"T{index + 1:02d}"


def _counted(generator: np.random.Generator, mean: float) -> int:
    """An overdispersed count: a Poisson one whose mean varies as a gamma."""
    scale = OVERDISPERSION - 1
    return int(generator.poisson(generator.gamma(mean / scale, scale)))


def _pair(
    generator: np.random.Generator, index: int, metric: tuple[str, str], rise: float, paired: bool
) -> Row:
    areas = np.round(generator.uniform(4, 6, 2), 4)
    row: Row = {
        "patient_id": _name(index),
        "lesion_id": "L1",
        "stain": metric[0],
        "compartment": "evaluable",
        "metric": metric[1],
        "kind": "bounded" if metric == SHARE else "count density",
        "timepoint_pre": PRE,
        "timepoint_post": POST,
        "area_pre_mm2": float(areas[0]),
        "pairing": "same_lesion" if paired else "none",
    }
    if metric == SHARE:
        level = generator.normal(8, 2)
        values = np.abs(level + generator.normal(0, 1.2, 2))
    else:
        # Biopsies differ in more than was done to the patient, where nothing was.
        change = rise if metric == PLANTED else generator.normal(0, SPREAD)
        level = COUNTS[metric] * 2 ** generator.normal(0, 0.8)
        counts = [_counted(generator, level * areas[0]), _counted(generator, level * 2**change * areas[1])]
        values = np.array(counts) / areas
        row |= {"n_pre": counts[0]}
    row |= {"value_pre": float(values[0])}
    if not paired:
        return row | {"change_call": "not_evaluable" if metric != SHARE else "", "note": "no partner"}
    row |= {"value_post": float(values[1]), "area_post_mm2": float(areas[1])}
    row |= {"delta_abs": float(values[1] - values[0])}
    return row if metric == SHARE else row | {"n_post": counts[1]} | _fold_change(counts, areas)


def _fold_change(counts: Sequence[int], areas: np.ndarray) -> Row:
    """log2 ratio of densities with 0.5 added to each count, its error and its call."""
    ratio = math.log2((counts[1] + 0.5) / areas[1]) - math.log2((counts[0] + 0.5) / areas[0])
    error = math.sqrt(sum(OVERDISPERSION / (count + 0.5) for count in counts)) / math.log(2)
    call = "within_noise"
    if abs(ratio) > math.hypot(1.0, 2.3 * error):
        call = "increase" if ratio > 0 else "decrease"
    return {
        "log2fc": ratio,
        "log2fc_se": error,
        "log2fc_ci_low": ratio - 2.3 * error,
        "log2fc_ci_high": ratio + 2.3 * error,
        "rc_log2": 1.0,
        "rc_source": "default",
        "change_call": call,
    }


def _wide(pairs: Sequence[Row]) -> Row:
    """One row of ``patient_metrics.csv``."""
    row: Row = {"patient_id": pairs[0]["patient_id"], "n_lesions": 1}
    for pair in pairs:
        prefix = f"{pair['stain']}__{pair['compartment']}__{pair['metric']}"
        for name in WIDE:
            row[f"{prefix}__{name}"] = pair.get(
                {"pre": "value_pre", "post": "value_post"}.get(name, name), ""
            )
    return row


def _slides(days: np.ndarray) -> list[Row]:
    return [
        {
            "patient_id": _name(index),
            "lesion_id": "L1",
            "slide_id": f"{_name(index)}_{timepoint}_{stain}",
            "timepoint": timepoint,
            "biopsy_day": -7 if timepoint == PRE else int(days[index]),
            "stain": stain,
            "compartment": "evaluable",
            "evaluable_area_mm2": 5.0,
            "evaluable": "true",
            "status": "ok",
        }
        for index in range(PATIENTS)
        for timepoint in ((PRE, POST) if index < PAIRED else (PRE,))
        for stain in ("CD8", "HE", "CD31")
    ]


def _outcomes(
    generator: np.random.Generator, responds: np.ndarray, rise: np.ndarray, planted: bool
) -> list[Row]:
    """Progression by the change where it is planted; survival and tumour size by response at most."""
    hazard = np.exp(LOG_HAZARD * rise * planted) / 240
    event = np.ceil(generator.exponential(1 / hazard))
    last = np.ceil(generator.uniform(250, 900, PATIENTS))
    more = np.ceil(generator.exponential(300, PATIENTS))
    size = generator.normal(np.where(responds, -45.0, 5.0), 12.0)
    rows: list[Row] = []
    for index in range(PATIENTS):
        progressed = bool(event[index] <= last[index])
        pfs = int(min(event[index], last[index]))
        died = progressed and bool(event[index] + more[index] <= last[index])
        days = int(min(event[index] + more[index], last[index])) if progressed else pfs
        response = "PR" if responds[index] else ("SD", "PD")[index % 2]
        values = (
            response,
            round(float(size[index]), 1),
            pfs,
            str(progressed).lower(),
            days,
            str(died).lower(),
        )
        rows.append(dict(zip(OUTCOME_COLUMNS, (_name(index), *values), strict=True)))
    return rows


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        table.writerows(rows)


def main() -> None:
    """Write one trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nothing-planted", action="store_true")
    arguments = parser.parse_args()
    print(write_trial(arguments.folder, arguments.seed, not arguments.nothing_planted))


if __name__ == "__main__":
    main()
