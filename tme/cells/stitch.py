"""Tables of tasks -> one table of cells: each cell once, numbered from the top.

In: rows that also carry the window they come from and whether their centroid lies in its core.
Out: slices of the table of `Cells`. Windows offer cells a little beyond their core too; where two
windows offer the same nucleus the one that owns its centroid wins, so that a nucleus whose centroid
differs by a pixel between windows is neither lost nor counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.cells.edge import BETWEEN, DEEP, EDGE, UNUSABLE
from tme.cells.types import CELL_SCHEMA
from tme.tables import ROW_GROUP

SAME_CELL_UM = 2.5
EXTRA_FIELDS = (
    ("in_core", pa.bool_()),
    ("near_border", pa.bool_()),
    ("window", pa.int64()),
    ("is_cell", pa.bool_()),
)
TASK_SCHEMA = pa.schema([*CELL_SCHEMA, *EXTRA_FIELDS])
KEYS = [
    *("x_um", "y_um", "area_um2", "eccentricity", "cluster_count"),
    *("in_core", "near_border", "window", "is_cell", "positive"),
]
SLICE = ROW_GROUP

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]
Inside = Callable[[Points, Points], Flags]
ZoneOf = Callable[[Points, Points], NDArray[np.uint8]]


@dataclass
class Tally:
    """What was counted while tables were joined, artefacts left aside.

    Attributes
    ----------
    positive : int
        Positive cells.
    left_out : int
        What would be positive but is no cell (`tme.cells.types.Evidence`).
    at_edge, deep : int
        Positive cells at the border of the tissue and deep in it (`tme.cells.edge`).
    unstained : int
        Nuclei that are not positive.
    nucleus_um2 : float
        Three quarters of those have no larger area; 0 if there are none.
    eccentricity : float
        Median of the positive cells; 0 if there are none.
    """

    positive: int = 0
    left_out: int = 0
    at_edge: int = 0
    deep: int = 0
    unstained: int = 0
    nucleus_um2: float = 0.0
    eccentricity: float = 0.0


def pack(table: pa.Table) -> bytes:
    """One task's table compressed: outlines shrink while they wait for the last task."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def unpack(data: bytes, columns: Sequence[str] = TASK_SCHEMA.names) -> pa.Table:
    """Undo `pack`, for these columns of `TASK_SCHEMA`; the others are not decompressed."""
    options = pa.ipc.IpcReadOptions(included_fields=[TASK_SCHEMA.get_field_index(name) for name in columns])
    with pa.ipc.open_stream(data, options=options) as reader:
        return reader.read_all()


def merged_slices(
    parts: Sequence[bytes],
    inside: Inside | None = None,
    tally: Tally | None = None,
    zone_of: ZoneOf | None = None,
) -> Iterator[pa.Table]:
    """Join the tables of all tasks, a slice of the result at a time.

    Parameters
    ----------
    parts : sequence of bytes
        Tables of `TASK_SCHEMA`, packed, in any order; each is asked for once for every slice it has
        cells in, and never held.
    inside : callable, optional
        ``inside(x_um, y_um)`` -> (n,) bool; cells outside have no row.
    tally : Tally, optional
        Is filled in.
    zone_of : callable, optional
        ``zone_of(x_um, y_um)`` -> (n,) of `tme.cells.edge.Zones`; nothing in an unusable one is tallied, as
        folds and pen are brown without a nucleus too.

    Yields
    ------
    pa.Table
        `CELL_SCHEMA`, `SLICE` rows, the last with what is left; one empty table if there are no cells.
    """
    order, first = _rows_in_order(parts, inside, Tally() if tally is None else tally, zone_of)
    for start in range(0, max(len(order), 1), SLICE):
        # No name holds on to a slice while the next is made.
        yield _numbered(_gathered(parts, first, order[start : start + SLICE]), start)


def _numbered(table: pa.Table, start: int) -> pa.Table:
    number = pa.array(np.arange(start, start + table.num_rows, dtype=np.int64))
    return table.set_column(0, CELL_SCHEMA.field("cell_id"), number)


def _rows_in_order(
    parts: Sequence[bytes], inside: Inside | None, tally: Tally, zone_of: ZoneOf | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to keep, of all parts laid end to end, in the result's order; and where each part starts."""
    tables = [unpack(part, KEYS).select(KEYS) for part in parts]
    first = np.cumsum([0, *(table.num_rows for table in tables)])
    keys = pa.concat_tables([TASK_SCHEMA.empty_table().select(KEYS), *tables])
    x, y = keys["x_um"].to_numpy(), keys["y_um"].to_numpy()
    window = keys["window"].to_numpy()
    place = np.flatnonzero(inside(x, y)) if inside is not None else np.arange(len(x))
    order = place[np.lexsort((keys["area_um2"].to_numpy()[place], window[place], x[place], y[place]))]
    core = keys["in_core"].to_numpy(zero_copy_only=False)[order]
    near = keys["near_border"].to_numpy(zero_copy_only=False)[order]
    cell = keys["is_cell"].to_numpy(zero_copy_only=False)
    order = order[~_duplicates(x[order], y[order], window[order], core, near, cell[order])]
    cell = cell[order]
    positive = pc.fill_null(keys["positive"], False).to_numpy(zero_copy_only=False)[order]
    zone = np.full(len(order), BETWEEN) if zone_of is None else zone_of(x[order], y[order])
    nuclei = keys["area_um2"].to_numpy()[order[cell & ~positive & (zone != UNUSABLE)]]
    tally.unstained = len(nuclei)
    tally.nucleus_um2 = float(np.percentile(nuclei, 75)) if len(nuclei) else 0.0
    positive &= zone != UNUSABLE
    long = keys["eccentricity"].to_numpy()[order[cell & positive]]
    tally.eccentricity = float(np.median(long)) if len(long) else 0.0
    number = pc.fill_null(keys["cluster_count"], 1).to_numpy(zero_copy_only=False)[order]
    tally.left_out = int(number[~cell & positive].sum())
    tally.positive = int(number[cell & positive].sum())
    tally.at_edge, tally.deep = (int(number[cell & positive & (zone == of)].sum()) for of in (EDGE, DEEP))
    return order[cell], first


def _gathered(parts: Sequence[bytes], first: NDArray[np.int64], rows: NDArray[np.int64]) -> pa.Table:
    """The cells of these rows of all parts laid end to end, in the order given."""
    owner = np.searchsorted(first, rows, side="right") - 1
    pieces, places = [CELL_SCHEMA.empty_table()], [np.zeros(0, np.int64)]
    for part in np.unique(owner):
        mine = np.flatnonzero(owner == part)
        table = unpack(parts[part], CELL_SCHEMA.names).select(CELL_SCHEMA.names)
        pieces.append(table.take(pa.array(rows[mine] - first[part])))
        places.append(mine)
    back = np.argsort(np.concatenate(places), kind="stable")
    return pa.concat_tables(pieces).take(pa.array(back)).combine_chunks()


def _duplicates(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    window: NDArray[np.int64],
    core: NDArray[np.bool_],
    near: NDArray[np.bool_],
    cell: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Rows that say again what another window has said; where one says it is no cell, the cell stays."""
    drop = np.zeros(len(x), bool)
    index = np.flatnonzero(near)
    if len(index) < 2:
        return drop
    # Owners first, among them cells; the rows come sorted by y, x and window, which settles all else.
    index = index[np.lexsort((~cell[index], ~core[index]))]
    points = np.column_stack([x[index], y[index]])
    pairs = cKDTree(points).query_pairs(SAME_CELL_UM, output_type="ndarray")
    pairs = pairs[window[index[pairs[:, 0]]] != window[index[pairs[:, 1]]]]
    pairs = np.sort(pairs, axis=1)
    for earlier, later in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
        if not drop[index[earlier]]:
            drop[index[later]] = True
    return drop
