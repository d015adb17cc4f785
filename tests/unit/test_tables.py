"""CSV and Parquet: one dialect, the same bytes, and the way back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tme import tables
from tme.errors import ArtefactError
from tme.tables import (
    SavedTable,
    cell_text,
    csv_document,
    parse_csv,
    read_csv,
    read_parquet,
    significant,
    write_csv,
    write_parquet,
    write_slices,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (True, "true"),
        (np.bool_(False), "false"),
        (7, "7"),
        (np.int64(-3), "-3"),
        (-0.0, "0.0"),
        (1 / 3, "0.333333333"),
        (np.float32(0.1), "0.100000001"),
        (1234567890123.0, "1234567890000.0"),
        (-1e-7, "-1e-07"),
        ("=1+1", "'=1+1"),
        ("-2", "'-2"),
        ("007", "007"),
        ("\ud800", "?"),
    ],
)
def test_a_value_becomes_this_text(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_an_infinite_number_is_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        cell_text(float("inf"))


def test_a_document_is_rfc_4180() -> None:
    text = csv_document(["a", "b"], [{"a": 'say "x", y', "b": None}, {"b": 2.5}])
    assert text == 'a,b\r\n"say ""x"", y",\r\n,2.5\r\n'


def test_a_value_without_a_column_is_an_error_not_a_loss() -> None:
    with pytest.raises(ValueError, match="lacks: b"):
        csv_document(["a"], [{"a": 1, "b": 2}])


texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["=1+1", "'x", "''", "+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r\n", '"', "a;b", "=\u2028", "中" * 64]
)


@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_text_comes_back(pairs: list[tuple[str, str]]) -> None:
    text = csv_document(["x", "=y"], [{"x": x, "=y": y} for x, y in pairs])
    assert parse_csv(text, "t") == [{"x": x, "=y": y} for x, y in pairs]
    for _, cell in ((key, cell) for row in pairs for key, cell in enumerate(row)):
        assert not cell_text(cell).lstrip(" ").startswith(("=", "+", "-", "@"))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_numbers_are_stable(value: float) -> None:
    once = cell_text(value)
    assert cell_text(float(once)) == once
    assert once != "-0.0"
    assert float(once) == pytest.approx(value, rel=1e-8)
    assert significant(significant(value)) == significant(value)


def test_file_has_no_bom_and_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["name"], [{"name": "é"}])
    assert path.read_bytes() == "name\r\né\r\n".encode()
    assert read_csv(path) == [{"name": "é"}]
    assert [found.name for found in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\r\n1\r\n", b"a,a\r\n1,2\r\n", b"a\r\n\xff\r\n", b'a\r\n"open\r\n']
)
def test_a_damaged_table_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ArtefactError):
        read_csv(path)


def test_a_missing_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(ArtefactError):
        read_parquet(tmp_path / "none.parquet")


def _table(chunks: int) -> pa.Table:
    wkb = [shapely.to_wkb(shapely.box(i, 0, i + 1, 1)) for i in range(4)]
    table = pa.table(
        {"id": [0, 1, 2, 3], "name": ["a", None, "a", "b"], "geometry": pa.array(wkb, pa.binary())}
    )
    step = 4 // chunks
    return pa.concat_tables([table.slice(i * step, step) for i in range(chunks)])


def test_parquet_bytes_do_not_show_how_the_table_was_made(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one.parquet", _table(1))
    write_parquet(tmp_path / "four.parquet", _table(4))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "four.parquet").read_bytes()


def test_parquet_is_geoparquet_without_a_place_on_earth(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, _table(1))
    geo = json.loads(pq.read_schema(path).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"] == {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}
    assert read_parquet(path).to_pydict() == _table(1).to_pydict()
    assert read_parquet(path, ["id"]).column_names == ["id"]
    with pytest.raises(ArtefactError, match="no column 'x'"):
        read_parquet(path, ["x"])


def test_an_empty_parquet_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, _table(1).slice(0, 0))
    assert read_parquet(path).num_rows == 0
    assert json.loads(pq.read_schema(path).metadata[b"geo"])["columns"]["geometry"]["geometry_types"] == []


def test_a_table_without_shapes_is_plain_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", _table(1).drop_columns("geometry"))
    assert b"geo" not in (pq.read_schema(tmp_path / "t.parquet").metadata or {})


def test_a_damaged_parquet_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(ArtefactError):
        read_parquet(path)


@pytest.mark.parametrize("rows", [0, 1, 3, 4])
def test_slices_make_the_same_file(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 3)
    table = _table(4).slice(0, rows)
    write_parquet(tmp_path / "whole.parquet", table)
    slices = [table.slice(start, 3) for start in range(0, rows, 3)]
    write_slices(tmp_path / "slices.parquet", table.schema, slices)
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "slices.parquet").read_bytes()


def test_slices_that_cannot_be_one_table_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 3)
    point = pa.array([shapely.to_wkb(shapely.Point(0, 0))], pa.binary())
    other = _table(1).slice(0, 1).set_column(2, "geometry", point)
    table = _table(1)
    cases = ([table.slice(0, 2), table.slice(2)], [table], [table.slice(0, 3), other])
    for slices in cases:
        with pytest.raises(ValueError, match="slices"):
            write_slices(tmp_path / "t.parquet", table.schema, slices)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_table_reads_like_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 3)
    table = _table(1)
    write_parquet(tmp_path / "t.parquet", table)
    saved = SavedTable(tmp_path / "t.parquet")
    assert (saved.num_rows, saved.column_names) == (table.num_rows, table.column_names)
    assert saved.column("name").equals(table["name"])
    for mask in itertools.product([False, True], repeat=4):
        assert saved.filter(pa.array(mask)).to_pylist() == table.filter(pa.array(mask)).to_pylist()
    batches = list(saved.to_batches(2))
    assert [batch.num_rows for batch in batches] == [2, 1, 1]
    assert pa.Table.from_batches(batches).to_pylist() == table.to_pylist()


def test_a_saved_table_that_is_missing_or_lacks_a_column_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        SavedTable(tmp_path / "none.parquet")
    write_parquet(tmp_path / "t.parquet", _table(1))
    with pytest.raises(ArtefactError, match="no column"):
        SavedTable(tmp_path / "t.parquet").column("other")
