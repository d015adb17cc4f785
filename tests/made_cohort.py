"""A whole cohort made of random numbers, with thumbnails and outcomes, as a run and a trial leave it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.made_results import listed
from tme.change import PairRow, change_columns, patient_columns, patient_rows
from tme.config import Config
from tme.metrics import slide_columns
from tme.store import write_text
from tme.tables import write_csv

DENSITIES = {
    "CD8": "til_density_per_mm2",
    "HE": "til_density_per_mm2",
    "CD31": "mvd_per_mm2",
}
SHARES = {
    "CD8": ("til_fraction_pct", "positive_pct", "til_area_pct"),
    "HE": ("til_fraction_pct", "til_area_pct"),
    "CD31": (
        "vessel_area_pct",
        "endothelium_area_pct",
        "lumen_vessel_pct",
        "large_vessel_pct",
        "avascular_pct",
    ),
}
SIZES = {"CD31": ("vessel_area_um2_median", "vessel_min_feret_um_median", "tissue_to_vessel_um_median")}
RC = 1.0


def thumbnail(generator: np.random.Generator) -> bytes:
    """A pink strip of noise on white glass, as JPEG."""
    pixels = np.full((170, 256, 3), 244, np.uint8)
    tissue = generator.normal((205, 150, 190), (22, 28, 20), (80, 220, 3))
    pixels[45:125, 18:238] = np.clip(tissue, 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def write_cohort(
    folder: Path, n: int, seed: int = 1, rise: float = 1.6, names: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Results of ``n`` patients, or those named, whose CD8 rises by ``rise`` on the log2 scale in responders.

    Returns
    -------
    (Path, Path)
        The results, and ``outcomes.csv`` beside them.
    """
    generator = np.random.default_rng(seed)
    names = names or [f"LMS-{index:03d}" for index in range(1, n + 1)]
    config = Config()
    pairs: list[PairRow] = []
    slides: list[dict[str, Any]] = []
    for index, name in enumerate(names):
        for stain in DENSITIES:
            missing = generator.random() < 0.06
            small = generator.random() < 0.06
            pairs += _pairs(generator, name, stain, index % 4 == 0, rise, missing, small)
            slides += _slides(name, stain, index, missing, small)
    results = folder / "results"
    write_csv(results / "pairs.csv", change_columns(), [row.row() for row in pairs])
    wide = patient_rows(pairs, names, config)
    write_csv(results / "patient_metrics.csv", patient_columns(wide), wide)
    write_csv(results / "slide_metrics.csv", slide_columns(), slides)
    write_text(results / "provenance" / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    pictures = [thumbnail(generator) for _ in range(8)]
    for index, slide in enumerate(slides):
        path = results / "slides" / slide["slide_id"] / "thumbnail.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(pictures[index % len(pictures)])
    return listed(results), _outcomes(folder, names, generator)


def _pairs(
    generator: np.random.Generator,
    name: str,
    stain: str,
    responds: bool,
    rise: float,
    missing: bool,
    small: bool,
) -> list[PairRow]:
    areas = generator.uniform(1.2, 9, 2)
    density = generator.lognormal(4.5, 0.8)
    shift = generator.normal(rise if responds and stain == "CD8" else 0.0, 0.9)
    counts = [
        int(generator.poisson(density * areas[0])),
        int(generator.poisson(density * areas[1] * 2**shift)),
    ]
    shared: dict[str, Any] = {
        "timepoint_pre": "baseline", "timepoint_post": "on_treatment", "area_pre_mm2": areas[0],
        "area_post_mm2": None if missing else areas[1], "pairing": "none" if missing else "same_lesion",
        "interval_days": None if missing else 40 + int(generator.integers(0, 25)),
        "note": "no slide at on_treatment" if missing else "on_treatment: too small" if small else "",
    }  # fmt: skip
    keys = (name, "L1", stain, "evaluable")
    ratio = math.log2((counts[1] + 0.5) / areas[1] / ((counts[0] + 0.5) / areas[0]))
    reach = 2.1 * math.sqrt(3 / (counts[0] + 0.5) + 3 / (counts[1] + 0.5)) / math.log(2)
    called = "increase" if ratio > 0 else "decrease"
    call = (
        "not_evaluable"
        if small or missing
        else called
        if abs(ratio) > math.hypot(RC, reach)
        else "within_noise"
    )
    values = [counts[0] / areas[0], counts[1] / areas[1]]
    rows = [
        PairRow(
            *keys, DENSITIES[stain], "count density", n_pre=counts[0], value_pre=values[0],
            n_post=None if missing else counts[1], value_post=None if missing else values[1],
            **shared, **_change(ratio, reach, call, missing), rc_log2=RC, rc_source="default",
        )
    ]  # fmt: skip
    for metric in (*SHARES[stain], *SIZES.get(stain, ())):
        pre, post = generator.uniform(5, 60, 2)
        size = metric in SIZES.get(stain, ())
        change = _change(math.log2(post / pre), 0.5, "within_noise", missing) if size else {}
        delta = (
            {}
            if missing
            else {"delta_abs": post - pre, "delta_ci_low": post - pre - 6, "delta_ci_high": post - pre + 6}
        )
        rows.append(
            PairRow(*keys, metric, "positive" if size else "bounded", value_pre=pre,
                    value_post=None if missing else post, **shared, **change, **delta)
        )  # fmt: skip
    return rows


def _change(ratio: float, reach: float, call: str, missing: bool) -> dict[str, Any]:
    if missing:
        return {"change_call": "not_evaluable"}
    ends = {"log2fc_ci_low": ratio - reach, "log2fc_ci_high": ratio + reach}
    return {"log2fc": ratio, "log2fc_se": reach / 2.1, "change_call": call, **ends}


def _slides(name: str, stain: str, index: int, missing: bool, small: bool) -> list[dict[str, Any]]:
    rows = []
    for timepoint, day in (("baseline", -9), ("on_treatment", 40 + index % 9)):
        if missing and timepoint == "on_treatment":
            continue
        weak = small and timepoint == "on_treatment"
        rows.append(
            {
                "patient_id": name, "lesion_id": "L1", "slide_id": f"slide-{index}-{timepoint}-{stain}",
                "timepoint": timepoint, "biopsy_day": day, "stain": stain, "specimen_type": "core",
                "compartment": "evaluable", "mpp_um": 0.5, "mpp_source": "metadata", "tissue_area_mm2": 3.1,
                "evaluable_area_mm2": 0.6 if weak else 2.9, "pen_pct": 0.0, "fold_pct": 1.2, "blur_pct": 0.4,
                "evaluable": not weak, "not_evaluable_reason": "0.6 mm² is under 1 mm²" if weak else "",
                "status": "ok", "n_nuclei": None if stain == "CD31" else 5400,
                "n_vessels": 210 if stain == "CD31" else None, "code_version": "0.1.0",
                "caution": "fewer than 4 blocks" if index % 7 == 0 else "", "config_sha256": "ab" * 32,
                "model_id": "tmenet-5", "work_mpp_um": 0.5,
                "dab_threshold_od": None if stain == "HE" else 0.11,
                "threshold_source": "" if stain == "HE" else "slide",
            }
        )  # fmt: skip
    return rows


def _outcomes(folder: Path, names: Sequence[str], generator: np.random.Generator) -> Path:
    header = [
        "patient_id",
        "response",
        "pct_change_sld",
        "pfs_days",
        "pfs_event",
        "os_days",
        "os_event",
        "histology",
    ]
    rows = []
    for index, name in enumerate(names):
        response = "PR" if index % 4 == 0 else ("SD", "PD", "SD")[index % 4 - 1]
        response = "NE" if index % 17 == 16 else response
        days = 60 + int(generator.exponential(420 if response == "PR" else 190))
        size = round(generator.normal({"PR": -42, "SD": -4}.get(response, 28), 10), 1)
        rows.append(
            [name, response, size, days, index % 5 > 0, days + int(generator.exponential(250)),
             index % 3 == 0, ("leiomyosarcoma", "dedifferentiated liposarcoma")[index % 2]]
        )  # fmt: skip
    path = folder / "outcomes.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path
