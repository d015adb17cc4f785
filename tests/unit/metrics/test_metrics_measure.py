"""Measuring a slide: evaluability, tissue columns, rows, and the way to JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.made_measures import SETTINGS, cells_at, context_of, result_of, tissue_of, vessels_at
from tme.config import MetricSettings
from tme.errors import ArtefactError
from tme.metrics import failed_row, from_json, measure_slide, slide_columns, slide_rows, to_json
from tme.store import canonical_json
from tme.tables import csv_document

CONTRACT_KEYS = [
    "patient_id",
    "lesion_id",
    "specimen_id",
    "block_id",
    "slide_id",
    "timepoint",
    "biopsy_day",
    "stain",
    "specimen_type",
    "batch",
    "compartment",
    "mpp_um",
    "mpp_source",
    "work_mpp_um",
    "tissue_area_mm2",
    "artefact_area_mm2",
    "excluded_area_mm2",
    "evaluable_area_mm2",
    "pen_pct",
    "fold_pct",
    "blur_pct",
    "n_tissue_pieces",
    "evaluable",
    "not_evaluable_reason",
    "status",
    "reason",
    "caution",
    "slide_sha256",
    "config_sha256",
    "code_version",
    "model_id",
    "model_sha256",
]
CONTRACT_METRICS = [
    "n_nuclei",
    "n_til",
    "n_positive",
    "til_density_per_mm2",
    "til_density_ci_low",
    "til_density_ci_high",
    "phi",
    "n_blocks",
    "til_fraction_pct",
    "positive_pct",
    "til_area_pct",
    "dab_threshold_od",
    "threshold_source",
    "til_density_p90_per_mm2",
    "til_density_p90_per_mm2_random",
    "til_density_p90_per_mm2_random_low",
    "til_density_p90_per_mm2_random_high",
    "til_gini",
    "til_gini_random",
    "til_gini_random_low",
    "til_gini_random_high",
    "til_hotspot_area_pct",
    "til_hotspot_area_pct_random",
    "til_hotspot_area_pct_random_low",
    "til_hotspot_area_pct_random_high",
    "til_tumour_morisita",
    "til_tumour_morisita_random",
    "til_tumour_morisita_random_low",
    "til_tumour_morisita_random_high",
    "n_vessels",
    "mvd_per_mm2",
    "mvd_ci_low",
    "mvd_ci_high",
    "mvd_hotspot_per_mm2",
    "mvd_field_mm2",
    "vessel_area_pct",
    "endothelium_area_pct",
    "lumen_vessel_pct",
    "vessel_area_um2_median",
    "vessel_perimeter_um_median",
    "vessel_min_feret_um_median",
    "large_vessel_pct",
    "vessel_nnd_um_median",
    "vessel_clark_evans_r",
    "tissue_to_vessel_um_median",
    "tissue_to_vessel_um_p90",
    "avascular_pct",
    "vessel_hotspot_area_pct",
]
MASK = np.ones((200, 200), bool)
MASK.setflags(write=False)


def test_columns_are_those_of_the_contract_in_its_order() -> None:
    assert slide_columns()[: len(CONTRACT_KEYS)] == CONTRACT_KEYS
    assert [name for name in slide_columns() if name in CONTRACT_METRICS] == CONTRACT_METRICS
    assert slide_columns(["ward", "stain", "ward"])[-1] == "ward"


def test_tissue_areas_of_a_row_add_up() -> None:
    pen, necrosis, stroma = (np.zeros((200, 200), bool) for _ in range(3))
    pen[:, :20], necrosis[:, 10:40], stroma[:100] = True, True, True
    context = context_of(
        "HE",
        MASK,
        cells=cells_at([], [], []),
        tissue=tissue_of(MASK, pen=pen),
        excluded=necrosis,
        compartments={"evaluable": MASK, "stroma": stroma},
    )
    first, second = slide_rows(measure_slide(context, SETTINGS))
    areas = [first[f"{name}_area_mm2"] for name in ("tissue", "artefact", "excluded", "evaluable")]
    assert areas == pytest.approx([4.0, 0.4, 0.4, 3.2])
    assert first["pen_pct"] == pytest.approx(10.0)
    assert (first["compartment"], second["compartment"]) == ("evaluable", "stroma")
    assert second["evaluable_area_mm2"] == pytest.approx(1.6)
    assert second["tissue_area_mm2"] == first["tissue_area_mm2"]


def test_too_few_nuclei_withhold_cells_but_keep_the_numbers() -> None:
    row = slide_rows(measure_slide(context_of("CD8", MASK, cells=cells_at([9.0], [9.0], [True])), SETTINGS))[
        0
    ]
    assert row["evaluable"] is False
    assert row["not_evaluable_reason"] == "1 nuclei are fewer than 500"
    assert row["til_density_per_mm2"] == 0.25
    assert row["til_density_ci_high"] > 0.25


def test_too_little_area_is_said_with_numbers() -> None:
    small = np.zeros((200, 200), bool)
    small[:50, :50] = True
    row = slide_rows(measure_slide(context_of("CD31", small, vessels=vessels_at([9.0], [9.0])), SETTINGS))[0]
    assert row["not_evaluable_reason"] == "evaluable area 0.25 mm² is under 1 mm²"
    assert row["n_vessels"] == 1


def test_vessel_slides_need_no_nuclei() -> None:
    row = slide_rows(measure_slide(context_of("CD31", MASK, vessels=vessels_at([9.0], [9.0])), SETTINGS))[0]
    assert (row["evaluable"], row["not_evaluable_reason"]) == (True, "")


def test_a_resolution_without_cells_gives_the_reason_and_no_counts() -> None:
    context = context_of("HE", MASK, missing={"cells": "native 0.8 µm/px: no cell counts"}, threshold=None)
    row = slide_rows(measure_slide(context, SETTINGS))[0]
    assert (row["evaluable"], row["not_evaluable_reason"]) == (False, "native 0.8 µm/px: no cell counts")
    assert "n_nuclei" not in row
    assert row["evaluable_area_mm2"] == 4.0


def test_nothing_evaluable_at_all() -> None:
    nothing = np.zeros((200, 200), bool)
    for stain, more in (
        ("CD8", {"cells": cells_at([9.0], [9.0], [True])}),
        ("CD31", {"vessels": vessels_at([], [])}),
    ):
        context = context_of(stain, MASK, compartments={"evaluable": nothing}, **more)
        row = slide_rows(measure_slide(context, SETTINGS))[0]
        assert row["evaluable"] is False
        assert row["evaluable_area_mm2"] == 0.0
        assert row.get("til_density_per_mm2") is None
        assert row.get("mvd_per_mm2") is None
        assert row["n_blocks"] == 0


def test_a_failed_slide_has_one_row_with_its_reason() -> None:
    row = failed_row({"patient_id": "P1", "slide_id": "s"}, "failed", "the file ends early")
    assert (row["compartment"], row["status"], row["evaluable"]) == ("evaluable", "failed", False)
    text = csv_document(slide_columns(), [row])
    assert "the file ends early" in text


@pytest.mark.parametrize("stain", ["HE", "CD8", "CD31"])
def test_json_comes_back_without_loss(stain: str) -> None:
    measured = result_of([12, 5, 9, 7, 30, 2], 12.0, stain=stain).measurements
    assert measured is not None
    text = canonical_json(to_json(measured))
    assert from_json(json.loads(text)) == measured
    assert len(text) < 100_000


def test_measuring_twice_gives_the_same_bytes() -> None:
    first, second = (
        canonical_json(to_json(result_of([12, 5, 9, 7], stain="CD31").measurements)) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("raw", [{}, {"version": 0}, [], None, {"version": 1, "stain": "HE"}])
def test_foreign_json_is_refused(raw: object) -> None:
    with pytest.raises(ArtefactError, match="cannot be read"):
        from_json(raw)


def test_few_blocks_have_no_bootstrap_interval() -> None:
    settings = MetricSettings(block_mm2=40.0, bootstrap=100)
    measured = result_of([30, 20], 2.0, settings=settings).measurements
    assert measured is not None
    found = measured.compartments["evaluable"].estimates
    assert found["til_density_per_mm2"].note == "phi_prior"
    assert found["til_density_per_mm2"].phi >= 6.0
    assert found["til_fraction_pct"].ci_low is None
    assert "fewer than 4 blocks" in found["til_fraction_pct"].note
