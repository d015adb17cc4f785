"""A synthetic cohort with known answers: four patients, two time points, three stains.

``python -m tme.testing.cohort FOLDER --seed N`` writes one. P01 gains CD8 lymphocytes, P02 loses them,
P03 keeps them, P04 has too little tissue on one side.
"""

from __future__ import annotations

import argparse
import csv
import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tme.safety import csv_text
from tme.store import write_text
from tme.testing.render import SlideSpec, render_slide
from tme.testing.writers import WRITERS

STAINS = ("HE", "CD8", "CD31")
TIMEPOINTS = ("baseline", "on_treatment")
METRIC = "CD8__evaluable__til_density_per_mm2"
CALLS = {"P01": "increase", "P02": "decrease", "P03": "within_noise", "P04": "not_evaluable"}
"""`METRIC`'s change call of each patient."""
_QUALITY = 75
_SUFFIXES = (".svs", ".ome.tif", ".tif")
_OUTCOME_COLUMNS = (
    "patient_id",
    "response",
    "pct_change_sld",
    "pfs_days",
    "pfs_event",
    "os_days",
    "os_event",
    "histology",
)
_OUTCOMES = (
    ("P01", "PR", "-42.0", "412", "false", "655", "false", "leiomyosarcoma"),
    ("P02", "PD", "31.5", "83", "true", "240", "true", "dedifferentiated liposarcoma"),
    ("P03", "SD", "-8.0", "230", "true", "498", "false", "leiomyosarcoma"),
    ("P04", "NE", "", "61", "false", "61", "false", "myxoid liposarcoma"),
)


@dataclass(frozen=True)
class CohortSlide:
    """One slide of the cohort: where it stands in the sheet, what it holds, its own seed."""

    slide_id: str
    patient_id: str
    timepoint: str
    stain: str
    biopsy_day: int
    file_name: str
    spec: SlideSpec
    seed: int


def plan_cohort(seed: int) -> list[CohortSlide]:
    """The 24 slides of a cohort, in the sheet's order; same seed, same list."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x7E]))
    slides = []
    for patient in CALLS:
        levels = _cd8_levels(patient, rng)
        mvd = rng.uniform(50, 110, 2)
        days = (-int(rng.integers(3, 15)), int(rng.integers(38, 50)))
        artefacts = rng.permutation(6)
        for t, timepoint in enumerate(TIMEPOINTS):
            small = patient == "P04" and t == 1
            for s, stain in enumerate(STAINS):
                k = t * len(STAINS) + s
                name = f"{patient}_{timepoint}_{stain}"
                spec = SlideSpec(
                    stain=stain,
                    area_mm2=_area(stain, small, rng),
                    til_density_per_mm2=float(levels[t] if stain == "CD8" else rng.uniform(180, 550)),
                    mvd_per_mm2=float(mvd[t]),
                    cores=1 if small else int(rng.choice([0, 1, 2], p=[0.25, 0.55, 0.2])),
                    pen=artefacts[k] == 0 and not small,
                    blur=artefacts[k] == 1 and not small,
                )
                suffix = _SUFFIXES[(k + int(patient[1:])) % 3]
                own = int(rng.integers(1 << 62))
                slides.append(CohortSlide(name, patient, timepoint, stain, days[t], name + suffix, spec, own))
    return slides


def _cd8_levels(patient: str, rng: np.random.Generator) -> tuple[float, float]:
    """CD8-positive lymphocytes per mm² before and on treatment."""
    low, fold = float(rng.uniform(70, 90)), float(rng.uniform(7.2, 8.2))
    middle = float(rng.uniform(180, 320))
    same = middle * float(rng.uniform(0.92, 1.08))
    return {"P01": (low, low * fold), "P02": (low * fold, low)}.get(patient, (middle, same))


def _area(stain: str, small: bool, rng: np.random.Generator) -> float:
    """mm² of tissue. CD8 gets more: enough blocks that the true call stands out of the noise."""
    if small:
        return float(rng.uniform(0.45, 0.55))
    return float(rng.uniform(2.5, 2.8)) if stain == "CD8" else float(rng.uniform(1.57, 1.7))


def write_cohort(folder: Path, seed: int, workers: int = 1) -> None:
    """Render a cohort into ``folder``: slides, ``cohort.csv``, ``outcomes.csv``, ``truth.csv``.

    The bytes depend on ``seed`` alone, not on ``workers``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slides = plan_cohort(seed)
    jobs = [(folder, slide) for slide in slides]
    if workers <= 1:
        rows = [_write_slide(job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(_write_slide, jobs))
    write_text(folder / "truth.csv", _csv(rows))
    write_text(folder / "cohort.csv", _csv([_sheet_row(slide) for slide in slides]))
    write_text(folder / "outcomes.csv", _csv(_outcome_rows()))


def _write_slide(job: tuple[Path, CohortSlide]) -> dict[str, Any]:
    folder, slide = job
    rendered = render_slide(slide.spec, slide.seed)
    suffix = slide.file_name[len(slide.slide_id) :]
    WRITERS[suffix](folder / slide.file_name, rendered.pixels, rendered.mpp, _QUALITY)
    keys = {name: getattr(slide, name) for name in ("slide_id", "patient_id", "timepoint", "stain")}
    call = {"expected_change_call": CALLS[slide.patient_id] if slide.stain == "CD8" else None}
    return keys | rendered.truth.summary() | call


def _sheet_row(slide: CohortSlide) -> dict[str, Any]:
    return {
        "patient_id": slide.patient_id,
        "timepoint": slide.timepoint,
        "stain": slide.stain,
        "slide": slide.file_name,
        "slide_id": slide.slide_id,
        "lesion_id": "L1",
        "specimen_type": "core",
        "biopsy_day": slide.biopsy_day,
        "batch": f"batch-{1 + TIMEPOINTS.index(slide.timepoint)}",
    }


def _outcome_rows() -> list[dict[str, Any]]:
    return [dict(zip(_OUTCOME_COLUMNS, row, strict=True)) for row in _OUTCOMES]


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {k: csv_text(v) if isinstance(v, str) and not _number(v) else v for k, v in row.items()}
        writer.writerow({k: "" if v is None else v for k, v in cells.items()})
    return text.getvalue()


def _number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def main(arguments: list[str] | None = None) -> int:
    """Command line: FOLDER --seed N --workers N."""
    parser = argparse.ArgumentParser(prog="python -m tme.testing.cohort", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    write_cohort(given.folder, given.seed, given.workers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
