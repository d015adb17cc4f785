"""Fresh rendered slides against their truth: densities of TILs or vessels, and vessels one by one.

``python -m tme.testing.bench_truth --stain CD31 --seeds 20`` renders so many slides, each with a look,
densities and tissue of its own, runs every stage of their job and prints a row a slide and a summary.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from tme.config import Config
from tme.distance import distance_px
from tme.pipeline.batch_job import run_batch
from tme.pipeline.inputs import load_run_cohort
from tme.store import read_json, write_text
from tme.testing.render import Rendered, SlideSpec, render_slide
from tme.testing.render_spec import PX
from tme.testing.writers import WRITERS

QUALITY = 80
OVERLAP = 0.5
Row = dict[str, float]


def spec_of(stain: str, seed: int) -> SlideSpec:
    """What a slide of this seed holds: densities over the range of sarcoma biopsies."""
    rng = np.random.default_rng([seed, 0xB7])
    return SlideSpec(
        stain,
        area_mm2=float(rng.uniform(1.2, 1.8)),
        til_density_per_mm2=float(np.exp(rng.uniform(np.log(60), np.log(900)))),
        mvd_per_mm2=float(rng.uniform(35, 150)),
        cores=int(rng.integers(0, 3)),
    )


def measured(made: Rendered, seed: int, folder: Path) -> tuple[str, dict[str, float], Path]:
    """Status, values of the row ``evaluable`` and the published folder of a slide's job."""
    name = f"s{seed}"
    WRITERS[".tif"](folder / f"{name}.tif", made.pixels, made.mpp, QUALITY)
    row = f"{name},baseline,{made.truth.spec.stain},{name}.tif,{name}"
    write_text(folder / "cohort.csv", f"patient_id,timepoint,stain,slide,slide_id\n{row}\n")
    config = Config()
    cohort = load_run_cohort(folder / "cohort.csv", config, by_content=False)
    run_batch(cohort, config, folder / "results", [name])
    published = folder / "results" / "slides" / name
    status = str(read_json(published / "outcome.json")["status"])
    if status != "ok":
        return status, {}, published
    estimates = read_json(published / "measurements.json")["compartments"][0]["estimates"]
    found = {key: one.get("value") for key, one in estimates.items()}
    values = {key: float(value) for key, value in found.items() if isinstance(value, (int, float))}
    return status, values, published


def error_pct(found: float, true: float) -> float:
    """100 (found - true) / true."""
    return 100 * (found - true) / true


def compare_cells(made: Rendered, values: dict[str, float]) -> Row:
    """Densities of TILs and number of nuclei beside the truth."""
    truth = made.truth
    return {
        "true": truth.til_density_per_mm2,
        "found": values["til_density_per_mm2"],
        "density_error_pct": error_pct(values["til_density_per_mm2"], truth.til_density_per_mm2),
        "nuclei_error_pct": error_pct(values["n_nuclei"], truth.n_nuclei),
    }


def compare_vessels(made: Rendered, values: dict[str, float], published: Path) -> Row:
    """Density, objects, overlap and shape beside the truth."""
    truth = made.truth
    labels = truth.vessel_labels()
    table = pq.read_table(published / "vessels.parquet", columns=["geometry", "area_um2"])
    outlines = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    found = filled(outlines, labels.shape)
    pairs, both, union = overlaps(labels, found)
    same = pairs[:, both / union > OVERLAP]
    table_area = table["area_um2"].to_numpy()[same[1] - 1]
    hits, of_each = same.shape[1], table_area / truth.vessels.area_um2[same[0] - 1]
    true_outlines = [
        outline for outline, ok in zip(truth.vessels.outline, truth.vessels.evaluable, strict=True) if ok
    ]
    feret = [shapely.minimum_rotated_rectangle(shapely.Polygon(outline)) for outline in true_outlines]
    calibre = np.median([min_side(box) / PX for box in feret])
    inside = (
        cv2.resize(truth.evaluable.view(np.uint8), labels.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    )
    away = distance_px(labels == 0)
    area = np.median(truth.vessels.area_um2[truth.vessels.evaluable])
    return {
        "true": truth.mvd_per_mm2,
        "found": values["mvd_per_mm2"],
        "density_error_pct": error_pct(values["mvd_per_mm2"], truth.mvd_per_mm2),
        "dice": 2 * float(((labels > 0) & (found > 0)).sum()) / float((labels > 0).sum() + (found > 0).sum()),
        "object_f1": 2 * hits / (labels.max() + len(outlines)),
        "matched_area_error_pct": 100 * (float(np.median(of_each)) - 1),
        "area_error_pct": error_pct(values["vessel_area_um2_median"], float(area)),
        "total_area_error_pct": error_pct(values["vessel_area_pct"], truth.vessel_area_pct),
        "calibre_error_pct": error_pct(values["vessel_min_feret_um_median"], float(calibre)),
        "lumen_share_error_points": values["lumen_vessel_pct"] - float(truth.lumen_vessel_pct or 0),
        "distance_error_pct": error_pct(values["tissue_to_vessel_um_median"], float(np.median(away[inside]))),
    }


def filled(outlines: NDArray[np.object_], shape: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W) int32 at 1 µm/px: outline k as k + 1, of polygons in pixels of the slide."""
    labels = np.zeros(shape, np.int32)
    for number, outline in enumerate(outlines, 1):
        ring = np.round(shapely.get_coordinates(outline.exterior) / PX - 0.5).astype(np.int32)
        cv2.fillPoly(labels, [ring], number)
    return labels


def overlaps(
    one: NDArray[np.int32], other: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of labels that meet, (2, n); their common and their joint pixels, (n,)."""
    both = (one > 0) & (other > 0)
    pairs, common = np.unique(np.stack([one[both], other[both]]).astype(np.int64), axis=1, return_counts=True)
    sizes = np.bincount(one.ravel()), np.bincount(other.ravel())
    joint = sizes[0][pairs[0]] + sizes[1][pairs[1]] - common
    return pairs, common.astype(np.int64), joint.astype(np.int64)


def min_side(box: shapely.Geometry) -> float:
    """Shorter side of a rectangle."""
    corners = shapely.get_coordinates(box)
    return float(np.linalg.norm(np.diff(corners[:3], axis=0), axis=1).min())


def agreement(true: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Lin's concordance correlation coefficient (Biometrics 1989)."""
    spread = true.var() + found.var() + (true.mean() - found.mean()) ** 2
    return float(2 * ((true - true.mean()) * (found - found.mean())).mean() / spread)


def summary(rows: list[Row]) -> list[str]:
    """A line a measure: median and worst; agreement of densities."""
    lines = []
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        if name in {"true", "found"}:
            continue
        size = np.abs(values)
        worst = values[size.argmax()] if name.endswith(("pct", "points")) else values.min()
        middle = (
            f"{np.median(values):+.1f}, of its size {np.median(size):.1f}"
            if "error" in name
            else f"{np.median(values):.3f}"
        )
        lines.append(f"{name}: median {middle}, worst {worst:.3g}")
    true, found = (np.array([row[name] for row in rows]) for name in ("true", "found"))
    return [*lines, f"concordance of densities {agreement(true, found):.4f}"]


def main() -> int:
    """Render, run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tme.testing.bench_truth", description=__doc__)
    parser.add_argument("--stain", default="CD8", choices=["HE", "CD8", "CD31"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000)
    given = parser.parse_args()
    rows: list[Row] = []
    for seed in range(given.first, given.first + given.seeds):
        made = render_slide(spec_of(given.stain, seed), seed)
        with tempfile.TemporaryDirectory() as folder:
            status, values, published = measured(made, seed, Path(folder))
            if status != "ok":
                print(f"{seed}: {status}")
                continue
            row: Any = (
                compare_vessels(made, values, published)
                if given.stain == "CD31"
                else compare_cells(made, values)
            )
        rows.append(row)
        print(f"{seed}: " + ", ".join(f"{name} {value:.3g}" for name, value in row.items()), flush=True)
    print("\n".join(summary(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
