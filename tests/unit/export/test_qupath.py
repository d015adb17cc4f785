"""GeoJSON for QuPath: every rule its reader has."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.made_objects import cell_table, vessel_table
from tme.errors import ArtefactError
from tme.export import qupath
from tme.export.qupath import object_uuid, write_cells_geojson, write_vessels_geojson
from tme.overlay.palette import class_colour, rgb


def written(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        document: dict[str, Any] = json.load(
            stream, parse_constant=lambda name: pytest.fail(f"{name} in JSON")
        )
    return document


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cells.geojson.gz"


def test_one_feature_collection_of_detections(target: Path) -> None:
    table = cell_table(50, 1000, 800, 0.25)
    write_cells_geojson(target, table, "s1")
    document = written(target)
    assert document["type"] == "FeatureCollection"
    assert len(document["features"]) == 50
    for number, feature in enumerate(document["features"]):
        assert feature["type"] == "Feature"
        assert uuid.UUID(feature["id"]).version == 5
        assert feature["id"] == object_uuid("s1", "cell", number)
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["measurements"]["ID"] == number
        assert "isLocked" not in feature["properties"]


def test_vessels_are_detections_of_one_class(tmp_path: Path) -> None:
    path = tmp_path / "vessels.geojson.gz"
    write_vessels_geojson(path, vessel_table(5, 1000, 800, 0.5), "s1")
    properties = [feature["properties"] for feature in written(path)["features"]]
    assert {item["objectType"] for item in properties} == {"detection"}
    assert {item["classification"]["name"] for item in properties} == {"Vessel"}
    assert properties[0]["measurements"] == {"ID": 0, "Area µm^2": 314.2, "Max Feret µm": 20}


def test_geometry_is_the_closed_outline_in_full_resolution_pixels(target: Path) -> None:
    table = cell_table(20, 1000, 800, 0.25)
    write_cells_geojson(target, table, "s1")
    outlines = shapely.from_wkb(table.column("geometry").to_pylist())
    for feature, outline in zip(written(target)["features"], outlines, strict=True):
        ring = feature["geometry"]["coordinates"][0]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        np.testing.assert_allclose(ring, shapely.get_coordinates(outline), atol=0.00501)


def test_holes_and_parts_survive(target: Path) -> None:
    holed = shapely.from_wkt("POLYGON((0 0,20 0,20 20,0 20,0 0),(5 5,5 10,10 10,10 5,5 5))")
    parts = shapely.from_wkt("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6.25 5,6 6,5 5)))")
    geometry = pa.array(shapely.to_wkb([holed, parts]).tolist(), pa.binary())
    write_cells_geojson(target, cell_table(2, 100, 100, 0.5, geometry=geometry), "s1")
    first, second = (shapely.geometry.shape(item["geometry"]) for item in written(target)["features"])
    assert first.equals(holed)
    assert second.equals(parts)


def test_classification_has_name_and_palette_colour(target: Path) -> None:
    names = ["lymphocyte", "plasma", "other", "positive", "negative", None]
    write_cells_geojson(target, cell_table(6, 100, 100, 0.5, **{"class": names}), "s1")
    properties = [feature["properties"] for feature in written(target)["features"]]
    shown = [item.get("classification") for item in properties]
    assert [item and item["name"] for item in shown] == [
        "Lymphocyte", "Plasma cell", "Other", "Positive", "Negative", None,
    ]  # fmt: skip
    assert [item["color"] for item in shown[:5]] == [list(rgb(class_colour(name))) for name in names[:5]]
    assert "classification" not in properties[5]


def test_what_is_missing_is_left_out(target: Path) -> None:
    odd = pa.array([0.5, None, np.nan, np.inf, -np.inf, 0.0], pa.float32())
    write_cells_geojson(target, cell_table(6, 100, 100, 0.5, dab_od=odd), "s1")
    measured = [feature["properties"]["measurements"] for feature in written(target)["features"]]
    assert [item.get("DAB OD mean") for item in measured] == [0.5, None, None, None, None, 0]
    assert all("Hematoxylin OD mean" not in item for item in measured)
    assert all(isinstance(value, int | float) for item in measured for value in item.values())
    assert measured[0]["Nucleus area µm^2"] == 50.25


def test_metadata_holds_text_only_and_hostile_text_stays_text(target: Path) -> None:
    names = ['"},{"x":1', "很" * 64, "\\u0000\n", "", None]
    write_cells_geojson(target, cell_table(5, 100, 100, 0.5, compartment=names, **{"class": names}), "s1")
    properties = [feature["properties"] for feature in written(target)["features"]]
    assert [item.get("metadata") for item in properties] == [
        *({"compartment": name} for name in names[:3]), None, None,
    ]  # fmt: skip
    assert [item["classification"]["name"] for item in properties[:3]] == names[:3]


def test_no_object_is_an_empty_collection(target: Path) -> None:
    write_cells_geojson(target, cell_table(0, 100, 100, 0.5), "s1")
    assert written(target) == {"type": "FeatureCollection", "features": []}


def test_same_bytes_whenever_and_however_chunked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = cell_table(300, 1000, 800, 0.25)
    paths = [tmp_path / name for name in ("a.gz", "b.gz", "c.gz")]
    write_cells_geojson(paths[0], table, "s1")
    write_cells_geojson(paths[1], pa.concat_tables([table.slice(0, 7), table.slice(7)]), "s1")
    monkeypatch.setattr(qupath, "CHUNK_ROWS", 41)
    write_cells_geojson(paths[2], table, "s1")
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second
    assert first[4:8] == b"\0\0\0\0"
    assert b"a.gz" not in first[:40]
    assert gzip.decompress(third) == gzip.decompress(first)


def test_ids_differ_between_slides_and_kinds() -> None:
    made = {
        object_uuid(slide, kind, n) for slide in ("a", "b") for kind in ("cell", "vessel") for n in (0, 1)
    }
    assert len(made) == 8


@pytest.mark.parametrize("bad", [None, b"", b"\x01\x03\x00", shapely.to_wkb(shapely.Polygon())])
def test_an_object_without_outline_is_refused_and_nothing_is_left(target: Path, bad: bytes | None) -> None:
    good = cell_table(2, 100, 100, 0.5)
    geometry = pa.array([good.column("geometry")[0].as_py(), bad], pa.binary())
    with pytest.raises(ArtefactError, match="outlines are missing") as caught:
        write_cells_geojson(target, cell_table(2, 100, 100, 0.5, geometry=geometry), "s1")
    assert "row 1" in caught.value.problem.where
    assert list(target.parent.iterdir()) == []


@given(
    points=arrays(
        np.float64, (3, 2), elements=st.floats(-50, 200_000, allow_nan=False).map(lambda v: round(v, 1))
    )
)
def test_coordinates_come_back(tmp_path_factory: pytest.TempPathFactory, points: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "property.geojson.gz"
    geometry = pa.array([shapely.to_wkb(shapely.Polygon(points))], pa.binary())
    write_cells_geojson(path, cell_table(1, 100, 100, 0.5, geometry=geometry), "s1")
    ring = written(path)["features"][0]["geometry"]["coordinates"][0]
    np.testing.assert_allclose(ring[:3], points, atol=1e-6)
