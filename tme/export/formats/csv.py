"""``csv``: cells and vessels as plain tables, by the rules of every table of tme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tme.export.formats import FORMATS, ExportOptions
from tme.export.published import PublishedSlide
from tme.tables import Row, write_csv

ROWS_AT_ONCE = 65_536


class PlainTables:
    """``cells.csv`` and ``vessels.csv``: ``slide_id``, then the Parquet table's columns but the outline."""

    version = 1

    def missing(self) -> str:
        """See `tme.export.formats.Format.missing`."""
        return ""

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """See `tme.export.formats.Format.write`."""
        for kind in slide.objects:
            names = [name for name in slide.rows(kind).column_names if name != "geometry"]
            write_csv(folder / f"{kind}.csv", ["slide_id", *names], _rows(slide, kind, names))


def _rows(slide: PublishedSlide, kind: str, names: list[str]) -> Iterator[Row]:
    for batch in slide.rows(kind).to_batches(ROWS_AT_ONCE):
        columns = [_values(batch.column(name)) for name in names]
        for values in zip(*columns, strict=True):
            yield {"slide_id": slide.slide_id, **dict(zip(names, values, strict=True))}


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_float32(column.type):
        return column.to_pylist()
    # A float32 has seven digits; as a float64 it would show nine, the last of them made up.
    return [None if text is None else float(text) for text in column.cast(pa.string()).to_pylist()]


FORMATS.add("csv", PlainTables())
