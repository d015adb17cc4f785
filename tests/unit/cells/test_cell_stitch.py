"""Tables of tasks joined: every cell once, in an order of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.cell_scenes import table_bytes
from tme.cells import stitch
from tme.cells.edge import EDGE, UNUSABLE
from tme.cells.stitch import SAME_CELL_UM, TASK_SCHEMA, Tally, merged_slices, pack
from tme.cells.types import CELL_SCHEMA, Cells

NEAR = SAME_CELL_UM / 2


def merge_tables(tables: Any, provenance: dict[str, Any]) -> Any:
    return Cells(pa.concat_tables(merged_slices([pack(table) for table in tables])), provenance)


def row(
    x: float, y: float, window: int, core: bool = True, near: bool = True, area: float = 40.0
) -> dict[str, Any]:
    """A cell as a task says it; its area tells it apart in the result."""
    values: dict[str, Any] = dict.fromkeys(TASK_SCHEMA.names)
    values.update(cell_id=0, x_um=x, y_um=y, x_px=2 * x, y_px=2 * y, area_um2=area, window=window)
    values.update(
        {"class": "other", "class_prob": 0.9, "in_cluster": False, "in_core": core, "near_border": near}
    )
    values["is_cell"] = True
    values["geometry"] = shapely.to_wkb(shapely.box(2 * x - 3, 2 * y - 3, 2 * x + 3, 2 * y + 3))
    return values


def tables(*rows: dict[str, Any]) -> list[pa.Table]:
    """One table per window."""
    windows = sorted({one["window"] for one in rows})
    return [
        pa.Table.from_pylist([one for one in rows if one["window"] == window], TASK_SCHEMA)
        for window in windows
    ]


def merged(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return merge_tables(tables(*rows), {}).table.to_pylist()


@pytest.mark.parametrize("empty", [[], [TASK_SCHEMA.empty_table()], [TASK_SCHEMA.empty_table()] * 3])
def test_no_cells(empty: list[pa.Table]) -> None:
    cells = merge_tables(empty, {"model_id": "none"})
    assert cells.table.num_rows == 0
    assert cells.table.schema.equals(CELL_SCHEMA)
    assert cells.provenance == {"model_id": "none"}


def test_an_empty_table_among_full_ones() -> None:
    cells = merge_tables([TASK_SCHEMA.empty_table(), *tables(row(5, 5, 0)), TASK_SCHEMA.empty_table()], {})
    assert cells.table.num_rows == 1


def test_ids_go_by_y_then_x() -> None:
    places = [(30, 10), (5, 20), (10, 10), (40, 5), (2, 20.0001)]
    found = merged(*(row(x, y, window % 2, near=False) for window, (x, y) in enumerate(places)))
    assert [one["cell_id"] for one in found] == [0, 1, 2, 3, 4]
    assert [(one["x_um"], one["y_um"]) for one in found] == sorted(places, key=lambda place: place[::-1])


def test_the_schema_is_the_cells_own() -> None:
    table = merge_tables(tables(row(1, 1, 0), row(9, 9, 1)), {}).table
    assert table.schema.equals(CELL_SCHEMA)
    assert table["geometry"].num_chunks == 1
    assert shapely.from_wkb(table["geometry"][1].as_py()).centroid.x == 18
    assert table["is_til"].null_count == 2


def test_the_window_that_owns_the_centroid_wins() -> None:
    for owner in (0, 1):
        found = merged(
            *(row(100 + window * NEAR, 50, window, window == owner, area=window + 1.0) for window in (0, 1))
        )
        assert [one["area_um2"] for one in found] == [owner + 1.0]


def test_two_owners_of_one_nucleus_keep_one_and_no_owner_keeps_one() -> None:
    for core in (True, False):
        found = merged(row(99.9, 50, 0, core), row(100.1, 50.2, 1, core), row(100.2, 50.1, 2, core))
        assert len(found) == 1


def test_a_cell_only_a_neighbour_offers_is_kept() -> None:
    assert len(merged(row(100.2, 50, 0, core=False), row(120, 50, 1))) == 2


def test_cells_of_one_window_are_never_joined() -> None:
    assert len(merged(row(100, 50, 0), row(100.5, 50, 0))) == 2


def test_cells_further_apart_or_away_from_borders_are_kept() -> None:
    assert len(merged(row(100, 50, 0), row(100 + 1.01 * SAME_CELL_UM, 50, 1))) == 2
    assert len(merged(row(100, 50, 0, near=False), row(100.5, 50, 1, near=False))) == 2


def test_four_windows_that_meet_in_a_corner_give_one_cell() -> None:
    corner = [
        row(100 + dx, 100 + dy, n, n == 2)
        for n, (dx, dy) in enumerate([(0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4)])
    ]
    found = merged(*corner)
    assert [(one["x_um"], one["y_um"]) for one in found] == [(100, 100.4)]


def test_a_dropped_cell_drops_no_other() -> None:
    # In a chain of three the owner drops its neighbour, which then cannot drop the third.
    step = 0.9 * SAME_CELL_UM
    found = merged(
        row(100, 50, 0), row(100 + step, 50, 1, core=False), row(100 + 2 * step, 50, 2, core=False)
    )
    assert [one["x_um"] for one in found] == [100, pytest.approx(100 + 2 * step)]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_tables_and_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 60, (150, 2)).round(4)
    rows = [
        row(float(x), float(y), int(window), bool(core), bool(near), area=float(number))
        for number, ((x, y), window, core, near) in enumerate(
            zip(places, rng.integers(0, 4, 150), rng.random(150) < 0.6, rng.random(150) < 0.7, strict=True)
        )
    ]
    wanted = merge_tables(tables(*rows), {}).table
    assert 20 < wanted.num_rows < 150
    shuffled = tables(*(rows[place] for place in rng.permutation(len(rows))))
    assert table_bytes(merge_tables(shuffled[::-1], {}).table) == table_bytes(wanted)
    assert table_bytes(merge_tables([pa.concat_tables(shuffled)], {}).table) == table_bytes(wanted)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_merging_in_slices_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.random.default_rng(0).uniform(0, 200, (40, 2)).round(4).tolist()
    parts = tables(*(row(x, y, number % 3, near=False) for number, (x, y) in enumerate(places)))
    wanted = merge_tables(parts, {}).table
    monkeypatch.setattr(stitch, "SLICE", size)
    assert table_bytes(merge_tables(parts, {}).table) == table_bytes(wanted)
    assert wanted.num_rows == 40


def test_what_is_no_cell_has_no_row_and_is_counted_once() -> None:
    no_cell = {"is_cell": False, "positive": True}
    rows = [
        row(5, 5, 0) | {"positive": True},
        row(20, 5, 0) | no_cell,
        row(20 + NEAR, 5, 1, core=False) | no_cell,  # another window's word on the same
        row(40, 5, 1) | {"positive": False},
        row(60, 5, 1),
    ]
    tally = Tally()
    (found,) = merged_slices([pack(table) for table in tables(*rows)], None, tally)
    assert found["x_um"].to_pylist() == [5, 40, 60]
    assert found["cell_id"].to_pylist() == [0, 1, 2]
    assert (tally.positive, tally.left_out, tally.unstained) == (1, 1, 2)


@pytest.mark.parametrize("size", [1, 4])
def test_a_clump_is_tallied_as_its_cells(size: int) -> None:
    clump = {"positive": True, "cluster_count": size}
    rows = [
        row(5, 5, 0) | clump,
        row(40, 5, 0) | clump | {"is_cell": False},
        row(60, 5, 0) | {"positive": True},
    ]
    tally = Tally()
    list(merged_slices([pack(table) for table in tables(*rows)], None, tally))
    assert (tally.positive, tally.left_out) == (size + 1, size)


def test_sizes_and_shapes_are_told_of_nuclei_and_of_positive_cells() -> None:
    rows = [row(10 * n, 5, 0, area=float(n)) | {"positive": False, "eccentricity": 0.1} for n in range(1, 6)]
    rows += [row(200 + n, 5, 0, area=500.0) | {"positive": True, "eccentricity": 0.8} for n in (0, 20)]
    tally = Tally()
    list(merged_slices([pack(table) for table in tables(*rows)], None, tally))
    assert (tally.unstained, tally.nucleus_um2) == (5, 4.0)
    assert tally.eccentricity == pytest.approx(0.8)


def test_what_lies_in_an_artefact_keeps_its_row_and_is_not_tallied() -> None:
    rows = [
        row(5, 5, 0) | {"positive": True},
        row(40, 5, 0) | {"positive": True},
        row(60, 5, 0) | {"is_cell": False, "positive": True},
    ]
    tally = Tally()
    (found,) = merged_slices(
        [pack(table) for table in tables(*rows)],
        None,
        tally,
        lambda x, _: np.where(x < 30, EDGE, UNUSABLE).astype(np.uint8),
    )
    assert found["x_um"].to_pylist() == [5, 40]
    assert (tally.positive, tally.left_out, tally.at_edge, tally.deep) == (1, 0, 1, 0)


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_where_one_window_says_it_is_no_cell_the_cell_stays(core: bool, first: bool) -> None:
    rows = [
        row(20, 5, 0, core=core) | {"is_cell": first, "positive": True},
        row(20 + NEAR, 5, 1, core=core) | {"is_cell": not first, "positive": True},
    ]
    tally = Tally()
    (found,) = merged_slices([pack(table) for table in tables(*rows)], None, tally)
    assert found.num_rows == 1
    assert (tally.positive, tally.left_out) == (1, 0)
