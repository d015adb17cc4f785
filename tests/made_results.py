"""A folder of results made of numbers, as `tme run` would leave it, for tests of what comes after a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tme.change import PairRow, change_columns, patient_columns, patient_rows
from tme.config import Config
from tme.metrics import slide_columns
from tme.pipeline.finished import list_written
from tme.report.artefacts import READ
from tme.safety import file_sha256
from tme.store import write_text
from tme.tables import write_csv


@dataclass(frozen=True)
class MadePatient:
    """One patient's CD8 counts on 4 mm² before and after; None is no biopsy there."""

    patient_id: str
    n_pre: int | None = 100
    n_post: int | None = 100
    judged: bool = True
    day: int | None = 42
    lesion_id: str = "L1"


def pairs_of(patient: MadePatient) -> list[PairRow]:
    """A count density and a share of the same cells."""
    from math import log2

    paired = patient.n_pre is not None and patient.n_post is not None
    keys = (patient.patient_id, patient.lesion_id, "CD8", "evaluable")
    shared: dict[str, Any] = {
        "timepoint_pre": "baseline",
        "timepoint_post": "on_treatment",
        "n_pre": patient.n_pre,
        "n_post": patient.n_post,
        "area_pre_mm2": None if patient.n_pre is None else 4.0,
        "area_post_mm2": None if patient.n_post is None else 4.0,
        "pairing": "same_lesion" if paired else "none",
    }
    value = [None if n is None else n / 4 for n in (patient.n_pre, patient.n_post)]
    change: dict[str, Any] = {"change_call": "not_evaluable"}
    if patient.n_pre is not None and patient.n_post is not None:
        ratio = log2((patient.n_post + 0.5) / (patient.n_pre + 0.5))
        call = "within_noise" if patient.judged else "not_evaluable"
        change = {
            "log2fc": ratio,
            "log2fc_se": 0.3,
            "log2fc_ci_low": ratio - 0.6,
            "log2fc_ci_high": ratio + 0.6,
            "rc_log2": 1.0,
            "rc_source": "default",
            "delta_abs": value[1] - value[0],
            "change_call": call,
        }
    density = PairRow(
        *keys,
        "til_density_per_mm2",
        "count density",
        value_pre=value[0],
        value_post=value[1],
        **shared,
        **change,
    )
    share = [None if one is None else one / 10 for one in value]
    bounded = PairRow(
        *keys,
        "til_fraction_pct",
        "bounded",
        value_pre=share[0],
        value_post=share[1],
        delta_abs=share[1] - share[0] if paired else None,
        **shared,
    )
    return [density, bounded]


def write_results(
    folder: Path, patients: Sequence[MadePatient], settings: dict[str, Any] | None = None
) -> Path:
    """The tables and the resolved settings of a run of these patients."""
    config = Config.model_validate(
        {"change": {"primary_metrics": ["CD8.til_density_per_mm2"]}, **(settings or {})}
    )
    pairs = [row for patient in patients for row in pairs_of(patient)]
    write_csv(folder / "pairs.csv", change_columns(), [row.row() for row in pairs])
    wide = patient_rows(pairs, [patient.patient_id for patient in patients], config)
    write_csv(folder / "patient_metrics.csv", patient_columns(wide), wide)
    slides = [
        {
            "patient_id": patient.patient_id,
            "slide_id": f"{patient.patient_id}_{timepoint}",
            "timepoint": timepoint,
            "biopsy_day": day,
            "stain": "CD8",
            "compartment": "evaluable",
            "evaluable": patient.judged,
            "status": "ok",
        }
        for patient in patients
        for timepoint, n, day in (
            ("baseline", patient.n_pre, None),
            ("on_treatment", patient.n_post, patient.day),
        )
        if n is not None
    ]
    write_csv(folder / "slide_metrics.csv", slide_columns(), slides)
    write_text(folder / "provenance" / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    return listed(folder)


def listed(results: Path) -> Path:
    """The folder with its tables, as they are now, in the list of what the run wrote."""
    list_written(results, "made", {name: file_sha256(results / name) for name in READ})
    return results
