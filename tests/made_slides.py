"""Published slides made of numbers, as a run would leave them, for tests of exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tests.made_objects import cell_table, plain_slide, tissue_mask, vessel_table
from tme.metrics import slide_columns
from tme.pipeline.outcome import Outcome
from tme.regions import tissue_geojson
from tme.store import new_artefact, write_json
from tme.tables import write_csv, write_parquet
from tme.tissue import save_mask

WIDTH_PX, HEIGHT_PX, MPP = 1600, 1200, 0.25
WORK_MPP = 0.5


def make_slide(
    results: Path,
    slide_id: str,
    stain: str = "HE",
    cells: pa.Table | None = None,
    vessels: pa.Table | None = None,
    artefact: str = "fold",
) -> Path:
    """``slides/<slide_id>`` of 400 x 300 µm; a strip at its left is glass, ``artefact`` at its bottom."""
    folder = results / "slides" / slide_id
    slide = plain_slide(WIDTH_PX, HEIGHT_PX, MPP)
    mask = tissue_mask(slide, artefact=artefact)
    outcome = Outcome(slide_id, "ok", "plan")
    stages: dict[str, Any] = {}
    with new_artefact(folder, f"key of {slide_id}", {"stain": stain}, {"stages": stages}) as target:
        header = save_mask(target / "tissue.png", mask)
        stages["tissue"] = {"key": "t", "files": ["tissue.png"], "value": header}
        for kind, table in (("cells", cells), ("vessels", vessels)):
            if table is not None:
                write_parquet(target / f"{kind}.parquet", table)
                value = {"work_mpp_um": WORK_MPP}
                stages[kind] = {"key": kind, "files": [f"{kind}.parquet"], "value": value}
        Image.fromarray(np.full((120, 160, 3), 200, np.uint8)).save(target / "thumbnail.jpg")
        write_json(target / "tissue.geojson", tissue_geojson(mask, None, MPP))
        write_json(target / "measurements.json", {"keys": keys_of(slide_id, stain)})
    outcome.save(folder)
    return folder


def keys_of(slide_id: str, stain: str) -> dict[str, Any]:
    """Keys as ``measurements.json`` holds them; the lesion is not known."""
    return {
        "patient_id": "患者 1",
        "lesion_id": None,
        "slide_id": slide_id,
        "timepoint": "baseline",
        "stain": stain,
        "mpp_um": MPP,
        "work_mpp_um": WORK_MPP,
        "slide_sha256": "ab" * 32,
        "status": "ok",
    }


def made_cells(n: int = 60, seed: int = 0, **columns: Any) -> pa.Table:
    """Cells of an H&E slide: no DAB, never positive, one class missing, one not evaluable."""
    table = cell_table(n, WIDTH_PX, HEIGHT_PX, MPP, seed, **columns)
    compartment = [None, *["evaluable"] * (n - 1)][:n]
    place = table.schema.get_field_index("compartment")
    return table.set_column(place, "compartment", pa.array(compartment, pa.string()))


def make_results(folder: Path) -> Path:
    """Three finished slides (H&E, CD8, CD31), one that failed and one left out."""
    dab = np.linspace(0.01, 0.9, 40).astype(np.float32)
    positive = dab > 0.3
    make_slide(folder, "A_HE", "HE", cells=made_cells())
    make_slide(
        folder,
        "A_CD8",
        "CD8",
        cells=made_cells(
            40,
            1,
            dab_od=dab,
            positive=positive,
            is_til=positive,
            **{"class": np.where(positive, "positive", "negative").tolist()},
        ),
    )
    make_slide(
        folder,
        "A_CD31",
        "CD31",
        vessels=vessel_table(
            12, WIDTH_PX, HEIGHT_PX, MPP, endothelium_area_um2=np.full(12, 80.125, np.float32)
        ),
    )
    rows = [
        {
            "slide_id": name,
            "patient_id": "患者 1",
            "compartment": "evaluable",
            "status": status,
            "reason": reason,
        }
        for name, status, reason in (
            ("A_HE", "ok", ""),
            ("A_CD8", "ok", ""),
            ("A_CD31", "ok", ""),
            ("B_HE", "failed", "the slide cannot be used · it is empty"),
            ("C_HE", "excluded", "wrong stain"),
        )
    ]
    write_csv(folder / "slide_metrics.csv", slide_columns(), rows)
    return folder
