"""The engines without extras on a few labelled fields, against floors a little under what they reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from tme.cells.stage import find_cells
from tme.config import CellSettings, StainSettings, TissueSettings
from tme.stains import STAINS
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide
from tme.tissue import find_tissue

pytestmark = pytest.mark.shared
RADIUS_UM = 3.0

# Least F1 on H&E, whose nuclei are all labelled; the network never learned from its four.
HE_FLOORS = {
    ("watershed", "TCGA-A7-A13E-01Z-00-DX1_alt"): 0.86,
    ("watershed", "TCGA-AR-A1AK-01Z-00-DX1"): 0.78,
    ("watershed", "TCGA-AY-A8YK-01A-01-TS1"): 0.57,
    ("watershed", "TCGA-B0-5698-01Z-00-DX1"): 0.86,
    ("tmenet", "TCGA-A7-A13F-01Z-00-DX1"): 0.88,
    ("tmenet", "TCGA-B0-5710-01Z-00-DX1_alt"): 0.87,
    ("tmenet", "TCGA-HE-7129-01Z-00-DX1"): 0.7,
    ("tmenet", "TCGA-RD-A8N9-01A-01-TS1"): 0.87,
}
# Least F1 and share of matched nuclei called rightly; only tumour nuclei are labelled, by points that
# lie up to 2.5 µm off, which lowers F1.
KI67_FLOORS = {"K04_half": (0.63, 0.97), "K10_half": (0.68, 0.98), "K12_half": (0.55, 0.95)}


@dataclass(frozen=True)
class Score:
    """F1 of nuclei within `RADIUS_UM`, and share of matched ones whose positive call is right."""

    f1: float
    right: float


def matches(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, 2) pairs of points within `RADIUS_UM`, nearest first, each point once."""
    near = cKDTree(one).sparse_distance_matrix(cKDTree(two), RADIUS_UM, output_type="coo_matrix")
    pairs: list[tuple[int, int]] = []
    used_one, used_two = set(), set()
    for place in np.lexsort((near.col, near.row, near.data)):
        left, right = int(near.row[place]), int(near.col[place])
        if left not in used_one and right not in used_two:
            used_one.add(left)
            used_two.add(right)
            pairs.append((left, right))
    return np.array(pairs, np.int64).reshape(-1, 2)


def scored(folder: Path, name: str, stain: str, engine: str) -> Score:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
        labels = {key: stored[key] for key in stored.files if stored[key].dtype != object}
    mpp = float(labels["mpp"])
    mpp = mpp if np.isfinite(mpp) else float(labels["mpp_nominal"])
    slide = ArraySlide(np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB")), mpp)
    tissue = find_tissue(slide, TissueSettings())
    profile = estimate_profile(slide, tissue, STAINS.get(stain), StainSettings())
    table = find_cells(slide, tissue, profile, STAINS.get(stain), CellSettings(engine=engine)).table
    places = np.column_stack([table["x_um"], table["y_um"]])
    positive = np.array(table["positive"].to_pylist())
    if "roi" in labels:
        column, row = (places / mpp).astype(int).T
        inside = labels["roi"][row, column]
        places, positive = places[inside], positive[inside]
    points = labels["points"] * mpp
    pairs = matches(places, points)
    right = 1.0
    if "positive" in labels:
        right = float((positive[pairs[:, 0]] == labels["positive"][pairs[:, 1]]).mean())
    return Score(2 * len(pairs) / (len(places) + len(points)), right)


@pytest.mark.parametrize(("engine", "name"), HE_FLOORS)
def test_nuclei_of_he_fields(shared_data: Path, engine: str, name: str) -> None:
    assert scored(shared_data / "he" / "monuseg", name, "HE", engine).f1 >= HE_FLOORS[engine, name]


@pytest.mark.parametrize(("name", "floors"), KI67_FLOORS.items())
def test_nuclei_of_ki67_fields_and_their_calls(
    shared_data: Path, name: str, floors: tuple[float, float]
) -> None:
    score = scored(shared_data / "ihc" / "ki67_points", name, "KI67", "watershed")
    assert score.f1 >= floors[0]
    assert score.right >= floors[1]
