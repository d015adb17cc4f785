"""Tables of tasks -> one table of cells: each cell once, numbered from the top.

In: rows that also carry the window they come from and whether their centroid lies in its core.
Out: `Cells`. Windows offer cells a little beyond their core too; where two windows offer the same
nucleus the one that owns its centroid wins, so that a nucleus whose centroid differs by a pixel
between windows is neither lost nor counted twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.cells.types import CELL_SCHEMA, Cells

SAME_CELL_UM = 2.5
EXTRA_FIELDS = (("in_core", pa.bool_()), ("near_border", pa.bool_()), ("window", pa.int64()))
TASK_SCHEMA = pa.schema([*CELL_SCHEMA, *EXTRA_FIELDS])


def merge_tables(tables: list[pa.Table], provenance: dict[str, Any]) -> Cells:
    """Join the tables of all tasks.

    Parameters
    ----------
    tables : list of pa.Table
        `TASK_SCHEMA`, in any order.
    provenance : dict
        Carried into `Cells`.
    """
    table = pa.concat_tables(tables) if tables else TASK_SCHEMA.empty_table()
    x = table["x_um"].to_numpy()
    y = table["y_um"].to_numpy()
    window = table["window"].to_numpy()
    order = np.lexsort((table["area_um2"].to_numpy(), window, x, y))
    core = table["in_core"].to_numpy(zero_copy_only=False)[order]
    near = table["near_border"].to_numpy(zero_copy_only=False)[order]
    keep = ~_duplicates(x[order], y[order], window[order], core, near)
    table = table.take(pa.array(order[keep]))
    numbered = table.set_column(
        0, CELL_SCHEMA.field("cell_id"), pa.array(np.arange(len(table), dtype=np.int64))
    )
    return Cells(numbered.select(CELL_SCHEMA.names).cast(CELL_SCHEMA).combine_chunks(), provenance)


def _duplicates(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    window: NDArray[np.int64],
    core: NDArray[np.bool_],
    near: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Rows that say again what another window has said."""
    drop = np.zeros(len(x), bool)
    index = np.flatnonzero(near)
    if len(index) < 2:
        return drop
    # Owners first; the rows come sorted by y, x and window, which settles everything else.
    index = index[np.argsort(~core[index], kind="stable")]
    points = np.column_stack([x[index], y[index]])
    pairs = cKDTree(points).query_pairs(SAME_CELL_UM, output_type="ndarray")
    pairs = pairs[window[index[pairs[:, 0]]] != window[index[pairs[:, 1]]]]
    pairs = np.sort(pairs, axis=1)
    for earlier, later in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
        if not drop[index[earlier]]:
            drop[index[later]] = True
    return drop
