"""Positive cells from another threshold on, as the table would have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_measures import table_of
from tme.cells.types import CELL_SCHEMA
from tme.change import Recount
from tme.pipeline.recount import positive_cells
from tme.stains import STAINS
from tme.tables import write_parquet


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six rows: two cells of tumour, one of none, one of stroma, a cluster in tumour, one not evaluable."""
    cells = table_of(
        CELL_SCHEMA,
        6,
        compartment=["tumour", "tumour", "evaluable", "stroma", "tumour", None],
        area_um2=[40, 50, 60, 70, 300, None],
        dab_od=[0.1, 0.3, 0.1, 0.4, 0.5, 0.9],
        dab_ring_od=[0.35, 0.0, 0.1, 0.1, 0.1, 0.9],
        in_cluster=[False] * 4 + [True, False],
        cluster_count=[None] * 4 + [3, None],
    )
    write_parquet(tmp_path / "cells.parquet", cells)
    return tmp_path / "cells.parquet"


@pytest.mark.parametrize(
    ("stain", "compartment", "threshold", "count"),
    [
        ("CD8", "evaluable", 0.2, 6),
        ("CD8", "tumour", 0.2, 5),
        ("CD8", "tumour", 0.32, 4),
        ("CD8", "stroma", 0.2, 1),
        ("CD8", "peritumour", 0.2, 0),
        ("CD8", "evaluable", 0.0, 7),
        ("KI67", "evaluable", 0.2, 5),
    ],
)
def test_cells_are_counted_where_their_marker_sits(
    table: Path, stain: str, compartment: str, threshold: float, count: int
) -> None:
    assert positive_cells(table, STAINS.get(stain), compartment, threshold).cells == count


def test_the_area_of_positive_cells_is_summed(table: Path) -> None:
    assert positive_cells(table, STAINS.get("CD8"), "tumour", 0.32).area_um2 == 340
    assert positive_cells(table, STAINS.get("CD8"), "evaluable", 9.0) == Recount(0, 0.0)


def test_what_is_negative_for_certain_stays_so_at_any_threshold(tmp_path: Path) -> None:
    cells = table_of(
        CELL_SCHEMA,
        3,
        compartment=["evaluable"] * 3,
        area_um2=[40, 40, 40],
        dab_od=[0.9, 0.9, 0.15],
        dab_ring_od=[0.1, 0.1, 0.1],
        positive=[True, False, False],
        class_prob=[1.0, 1.0, 0.7],
        cluster_count=[None] * 3,
    )
    write_parquet(tmp_path / "cells.parquet", cells)
    counted = [
        positive_cells(tmp_path / "cells.parquet", STAINS.get("CD8"), "evaluable", threshold).cells
        for threshold in (0.1, 0.2, 1.0)
    ]
    assert counted == [2, 1, 0]
