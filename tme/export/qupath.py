"""Cells and vessels as GeoJSON that QuPath reads by drag and drop (0.4 and later).

The rules QuPath's reader follows and this writer keeps: one FeatureCollection; ``id`` a UUID;
geometry in pixels of the full-resolution image; ``objectType`` "detection" (annotations by the
hundred thousand would freeze QuPath, and a "cell" would claim a cell border where only the nucleus
was outlined); ``classification`` with name and colour; ``measurements`` one object of numbers, a
missing one left out; ``metadata`` of strings only. The same table gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from tme.errors import ArtefactError
from tme.overlay.palette import class_colour, class_title, rgb
from tme.store import space_guard
from tme.tables import Rows

NAMESPACE = uuid.UUID("6f1d2c1e-3b0b-5a54-9c58-8f6f3a2f7d10")
CHUNK_ROWS = 20_000
COMPRESSION = 1
COORDINATE_DECIMALS = 2
MEASUREMENT_DECIMALS = 4

CELL_MEASUREMENTS = {
    "area_um2": "Nucleus area µm^2",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "hematoxylin_od": "Hematoxylin OD mean",
    "dab_od": "DAB OD mean",
    "dab_ring_od": "DAB ring OD mean",
    "class_prob": "Class probability",
    "cluster_count": "Cluster count",
}
VESSEL_MEASUREMENTS = {
    "area_um2": "Area µm^2",
    "endothelium_area_um2": "Endothelium area µm^2",
    "lumen_area_um2": "Lumen area µm^2",
    "perimeter_um": "Perimeter µm",
    "min_feret_um": "Min Feret µm",
    "max_feret_um": "Max Feret µm",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "object_prob": "Object probability",
}


@dataclass(frozen=True)
class _Layout:
    """What one kind of object is called and measured by."""

    kind: str
    id_column: str
    measurements: dict[str, str]
    fixed_class: str | None


_CELLS = _Layout("cell", "cell_id", CELL_MEASUREMENTS, None)
_VESSELS = _Layout("vessel", "vessel_id", VESSEL_MEASUREMENTS, "vessel")


def write_cells_geojson(path: Path, table: Rows, slide_id: str) -> None:
    """Write cells (`CELL_SCHEMA`) as gzipped GeoJSON; the geometry is the nucleus outline.

    Parameters
    ----------
    path : Path
        ``cells.geojson.gz``; replaced in one step.
    table : pyarrow.Table or SavedTable
    slide_id : str
        Goes into every UUID, so that objects of different slides never share one.

    Raises
    ------
    ArtefactError
        If a row has no usable geometry.
    SpaceError
        If the disk is full.
    """
    _write(path, table, slide_id, _CELLS)


def write_vessels_geojson(path: Path, table: pa.Table, slide_id: str) -> None:
    """Write vessels (`VESSEL_SCHEMA`) as gzipped GeoJSON; see `write_cells_geojson`."""
    _write(path, table, slide_id, _VESSELS)


def object_uuid(slide_id: str, kind: str, number: int) -> str:
    """UUIDv5 of an object: the same for the same slide, kind ("cell", "vessel") and id."""
    return str(uuid.uuid5(NAMESPACE, f"{slide_id}/{kind}/{number}"))


def _write(path: Path, table: Rows, slide_id: str, layout: _Layout) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        with (
            space_guard(path),
            partial.open("wb") as raw,
            gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as stream,
        ):
            stream.write(b'{"type":"FeatureCollection","features":[')
            between = "\n"
            for batch in table.to_batches(max_chunksize=CHUNK_ROWS):
                features = _features(pa.Table.from_batches([batch]), slide_id, layout)
                stream.write((between + ",\n".join(features)).encode())
                between = ",\n"
            stream.write(b"\n]}\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _features(table: pa.Table, slide_id: str, layout: _Layout) -> Iterator[str]:
    columns = zip(
        table.column(layout.id_column).to_pylist(),
        _geometry_texts(table, layout.kind),
        _classifications(table, layout),
        _measurements(table, layout),
        _metadata(table),
        strict=True,
    )
    for number, geometry, classification, measurements, metadata in columns:
        yield (
            f'{{"type":"Feature","id":"{object_uuid(slide_id, layout.kind, number)}","geometry":{geometry},'
            f'"properties":{{"objectType":"detection"{classification},'
            f'"measurements":{{"ID":{number}{measurements}}}{metadata}}}}}'
        )


def _geometry_texts(table: pa.Table, kind: str) -> Sequence[str]:
    outlines = shapely.from_wkb(table.column("geometry").to_numpy(), on_invalid="ignore")
    unusable = shapely.is_missing(outlines) | shapely.is_empty(outlines)
    if unusable.any():
        raise ArtefactError(
            f"{int(unusable.sum())} {kind} outlines are missing or empty",
            where=f"{kind}s table, row {int(np.flatnonzero(unusable)[0])}",
            why="QuPath cannot place an object without an outline",
            fix="run `tme run` again; the table is made anew",
        )
    rounded = shapely.transform(outlines, lambda points: np.round(points, COORDINATE_DECIMALS) + 0.0)
    # Whole pixels lose their ".0", and no reader sees a difference.
    return [text.replace(".0,", ",").replace(".0]", "]") for text in shapely.to_geojson(rounded).tolist()]


def _classifications(table: pa.Table, layout: _Layout) -> Sequence[str]:
    if layout.fixed_class is not None:
        return [_classification(layout.fixed_class)] * table.num_rows
    names = table.column("class").to_pylist()
    known = {name: _classification(name) if name else "" for name in set(names)}
    return [known[name] for name in names]


def _classification(name: str) -> str:
    value = {"name": class_title(name), "color": list(rgb(class_colour(name)))}
    return ',"classification":' + _json(value)


def _measurements(table: pa.Table, layout: _Layout) -> Sequence[str]:
    """Per row ``,"Area µm^2":38.1`` …; what is null, NaN or infinite is left out."""
    rows = [""] * table.num_rows
    for column, title in layout.measurements.items():
        if column not in table.column_names:
            continue
        values = np.round(table.column(column).cast(pa.float64()).to_numpy(), MEASUREMENT_DECIMALS)
        texts = pa.array(values).cast(pa.string()).to_pylist()
        head = f",{_json(title)}:"
        rows = [
            row + head + text if finite else row
            for row, text, finite in zip(rows, texts, np.isfinite(values).tolist(), strict=True)
        ]
    return rows


def _metadata(table: pa.Table) -> Sequence[str]:
    if "compartment" not in table.column_names:
        return [""] * table.num_rows
    names = table.column("compartment").to_pylist()
    known = {name: f',"metadata":{_json({"compartment": name})}' if name else "" for name in set(names)}
    return [known[name] for name in names]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
