"""Tables people and programs read: CSV by one dialect, Parquet by one recipe, the same bytes every time.

CSV: UTF-8 without BOM, RFC 4180 with CRLF, ``.`` decimal, ``true``/``false``, empty = missing, floats
with nine significant digits, text that a spreadsheet would run neutralised (and given back by
`read_csv`). Parquet: fixed row groups, zstd, no clock; geometry columns carry GeoParquet 1.1 metadata
with ``crs`` null (level-0 pixels are no place on Earth).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tme.errors import ArtefactError
from tme.safety import csv_text, csv_text_back
from tme.store import space_guard, write_text

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]

SIGNIFICANT_DIGITS = 9
ROW_GROUP = 65_536
WKB_NAMES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}


def significant(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """``value`` rounded to significant digits, never -0.0; rounding twice changes nothing."""
    return float(f"{value:.{digits - 1}e}") + 0.0


def cell_text(value: Any) -> str:
    """One value as CSV text, before quoting.

    Parameters
    ----------
    value : str, int, float, bool, None or the NumPy scalar of one
        NaN counts as missing, as None does.

    Raises
    ------
    ValueError
        For an infinite number: no measurement is infinite, so it is a mistake upstream.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if math.isinf(value):
            raise ValueError("an infinite number cannot go into a table")
        return repr(significant(value))
    # Lone surrogates come from undecodable file names and cannot be written as UTF-8.
    return csv_text(str(value).encode("utf-8", "replace").decode("utf-8"))


def csv_document(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """The text of a CSV file; a column that a row lacks is missing there.

    Raises
    ------
    ValueError
        If a row has a key that is not among ``columns``: a value must never be lost silently.
    """
    known = set(columns)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([cell_text(column) for column in columns])
    for row in rows:
        strange = [key for key in row if key not in known]
        if strange:
            raise ValueError(f"the row has columns the table lacks: {', '.join(sorted(strange))}")
        writer.writerow([cell_text(row.get(column)) for column in columns])
    return stream.getvalue()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write `csv_document` atomically.

    Raises
    ------
    SpaceError
        If the disk is full.
    """
    write_text(path, csv_document(columns, rows))


def parse_csv(text: str, where: str) -> list[dict[str, str]]:
    """Rows of a CSV written by tme, by column: text given back, missing cells empty.

    Raises
    ------
    ArtefactError
        If a row's length differs from the header's, or a column is there twice.
    """
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    if not lines:
        raise _unreadable(where, "the file is empty")
    columns = [csv_text_back(name) for name in lines[0]]
    if len(set(columns)) != len(columns):
        raise _unreadable(where, "a column is there twice")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise _unreadable(f"{where}, record {number}", f"{len(line)} cells under {len(columns)} columns")
        rows.append(dict(zip(columns, map(csv_text_back, line), strict=True)))
    return rows


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV written by tme; see `parse_csv`.

    Raises
    ------
    ArtefactError
        If the file is missing, not UTF-8 or not a table.
    """
    try:
        return parse_csv(path.read_bytes().decode("utf-8"), str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(str(path), str(error)[:200]) from error


def write_parquet(path: Path, table: pa.Table, geometry: Sequence[str] = ("geometry",)) -> None:
    """Write a Parquet file with the same bytes for the same table.

    Parameters
    ----------
    path : Path
    table : pyarrow.Table
    geometry : sequence of str
        Binary columns of WKB geometries in level-0 pixels, the first present being the primary one;
        those the table lacks are passed over.

    Raises
    ------
    SpaceError
        If the disk is full.
    """
    types = {name: _geometry_types(table[name]) for name in geometry if name in table.column_names}
    starts = range(0, max(table.num_rows, 1), ROW_GROUP)
    _write(path, table.schema, (table.slice(start, ROW_GROUP) for start in starts), types)


def write_slices(
    path: Path, schema: pa.Schema, slices: Iterable[pa.Table], geometry: Sequence[str] = ("geometry",)
) -> None:
    """The same file as `write_parquet` of all slices together, with one of them in memory at a time.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema
        That of every slice.
    slices : iterable of pyarrow.Table
        Of `ROW_GROUP` rows each, the last with what is left.
    geometry : sequence of str
        As for `write_parquet`.

    Raises
    ------
    ValueError
        If a slice before the last is short, or one has a type of geometry that the first lacks: the
        types stand in the schema, which is settled before the slices are written.
    SpaceError
        If the disk is full.
    """
    coming = iter(slices)
    first = next(coming, schema.empty_table())
    types = {name: _geometry_types(first[name]) for name in geometry if name in schema.names}
    checked = _checked(chain([first], coming), types)
    # Here and below a slice is let go before the next one is made.
    del first
    _write(path, schema, checked, types)


def _checked(slices: Iterable[pa.Table], types: Mapping[str, list[str]]) -> Iterator[pa.Table]:
    rows = ROW_GROUP
    for table in slices:
        if rows != ROW_GROUP or table.num_rows > ROW_GROUP:
            raise ValueError(f"slices must have {ROW_GROUP} rows, all but the last")
        for name, known in types.items():
            if not set(_geometry_types(table[name])) <= set(known):
                raise ValueError(f"{name}: not all slices have the types of geometry of the first")
        rows = table.num_rows
        yield table
        del table


def _write(path: Path, schema: pa.Schema, slices: Iterable[pa.Table], types: Mapping[str, list[str]]) -> None:
    schema = schema.with_metadata({b"geo": _geo_metadata(types)} if types else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with space_guard(path):
            with pq.ParquetWriter(
                temporary,
                schema,
                version="2.6",
                compression="zstd",
                compression_level=3,
                use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
                write_statistics=[field.name for field in schema if field.name not in types],
            ) as writer:
                # One chunk a row group, so that how the table was put together does not show in the
                # pages, and no copy of a large table is made at once.
                for table in slices:
                    writer.write_table(table.combine_chunks().replace_schema_metadata(schema.metadata))
                    del table
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, all columns or those named.

    Raises
    ------
    ArtefactError
        If it is missing, damaged or lacks a column.
    """
    with _opened(path) as file:
        lacking = [name for name in columns or () if name not in file.schema_arrow.names]
        if lacking:
            raise _unreadable(str(path), f"it has no column {lacking[0]!r}")
        return file.read(columns=None if columns is None else list(columns))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(str(path), str(error)[:200]) from error


class Rows(Protocol):
    """What a table and a `SavedTable` have in common; see `pyarrow.Table`."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""

    def column(self, name: str) -> pa.ChunkedArray:
        """One column."""

    def filter(self, mask: pa.Array) -> pa.Table:
        """The rows where the (N,) bool mask is true."""

    def to_batches(self, max_chunksize: int) -> Iterable[pa.RecordBatch]:
        """All rows in order, some at a time."""


class SavedTable:
    """A Parquet file read like a table, a column or some rows at a time, so that it is never held whole.

    Parameters
    ----------
    path : Path
        A file of `write_parquet` or `write_slices`; must stay while the table is in use.

    Raises
    ------
    ArtefactError
        Here and in every method, if the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as file:
            self.num_rows: int = file.metadata.num_rows
            self.column_names: list[str] = file.schema_arrow.names

    def column(self, name: str) -> pa.ChunkedArray:
        """One column; an `ArtefactError` if there is none of that name."""
        return read_parquet(self.path, [name]).column(0)

    def filter(self, mask: pa.Array) -> pa.Table:
        """The rows where the (N,) bool mask is true; meant for few of them."""
        found = []
        with _opened(self.path) as file:
            start = 0
            for group in range(file.num_row_groups):
                here = mask.slice(start, file.metadata.row_group(group).num_rows)
                start += len(here)
                if here.true_count:
                    found.append(file.read_row_group(group).filter(here))
            return pa.concat_tables(found) if found else file.schema_arrow.empty_table()

    def to_batches(self, max_chunksize: int) -> Iterator[pa.RecordBatch]:
        """All rows in order, at most ``max_chunksize`` at a time."""
        with _opened(self.path) as file:
            for group in range(file.num_row_groups):
                yield from file.iter_batches(max_chunksize, [group])


def _geo_metadata(types: Mapping[str, list[str]]) -> bytes:
    columns = {
        name: {"encoding": "WKB", "geometry_types": found, "crs": None} for name, found in types.items()
    }
    document = {"version": "1.1.0", "primary_column": next(iter(types)), "columns": columns}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _geometry_types(column: pa.ChunkedArray) -> list[str]:
    """Names of the geometry types present, sorted, read from the first five bytes of each WKB."""
    heads = pc.unique(pc.binary_slice(column.cast(pa.binary()), 0, 5)).to_pylist()
    codes = {int.from_bytes(head[1:5], "little" if head[0] == 1 else "big") % 1000 for head in heads if head}
    return sorted(WKB_NAMES[code] for code in codes)


def _unreadable(where: str, why: str) -> ArtefactError:
    return ArtefactError(
        "this table cannot be read", where=where, why=why, fix="run `tme run` again; it is made anew"
    )
