"""QuPath's GeoJSON in all the forms it comes in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from shapely.geometry import box

from tme.config import RegionSettings
from tme.errors import AnnotationError
from tme.regions import Annotation, read_annotations

ALIASES = RegionSettings().aliases
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}


def feature(classification: Any = "Tumor", geometry: Any = SQUARE, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "geometry": geometry,
        "properties": {"objectType": "annotation", "classification": classification, **properties},
    }


def read(folder: Path, value: Any) -> tuple[Annotation, ...]:
    path = folder / "drawn.geojson"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_annotations(path, ALIASES)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: {"type": "FeatureCollection", "features": [one]},
        lambda one: [one],
        lambda one: one,
    ],
    ids=["collection", "array", "feature"],
)
def test_collections_arrays_and_single_features(tmp_path: Path, wrap: Any) -> None:
    (only,) = read(tmp_path, wrap(feature()))
    assert (only.class_name, only.label, only.caution) == ("Tumor", "Tumor", "")
    assert only.polygon.equals(box(0, 0, 10, 10))


def test_gzipped_and_marked_files(tmp_path: Path) -> None:
    path = tmp_path / "drawn.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps([feature()]).encode("utf-8-sig")))
    assert len(read_annotations(path, ALIASES)) == 1


@pytest.mark.parametrize(
    ("classification", "class_name"),
    [
        ("Tumor", "Tumor"),
        ("tumour", "Tumor"),
        ("TUMOR", "Tumor"),
        ({"name": "Stroma", "color": [150, 200, 150]}, "Stroma"),
        ({"name": "Necrosis", "colorRGB": -3670016}, "Necrosis"),
        ({"names": ["Tumor", "CD8+"]}, "Tumor"),
        ({"name": "Stroma: immune"}, "Stroma"),
        ("Peritumor", "Peritumour"),
        ("Ignore*", "Exclude"),
        (" Exclude ", "Exclude"),
        ("Immune cells", ""),
        (None, ""),
        ({}, ""),
        (7, ""),
    ],
)
def test_classes(tmp_path: Path, classification: Any, class_name: str) -> None:
    (only,) = read(tmp_path, [feature(classification)])
    assert only.class_name == class_name


def test_aliases_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([feature("Nekrose"), feature("Tumor")]))
    aliases = RegionSettings(aliases={"NEKROSE": "Necrosis"}).aliases
    assert [one.class_name for one in read_annotations(path, aliases)] == ["Necrosis", "Tumor"]
    with pytest.raises(ValidationError, match="is not one of"):
        RegionSettings(aliases={"x": "Fat"})


@pytest.mark.parametrize("kind", ["detection", "cell", "tile", "tmaCore", "root"])
def test_detections_are_passed_over(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, [feature(objectType=kind)]) == ()


def test_old_ids_tell_the_type(tmp_path: Path) -> None:
    old = feature()
    del old["properties"]["objectType"]
    assert len(read(tmp_path, [old | {"id": "PathAnnotationObject"}])) == 1
    assert read(tmp_path, [old | {"id": "PathDetectionObject"}]) == ()
    assert len(read(tmp_path, [feature(objectType="something new")])) == 1


def test_children_are_read(tmp_path: Path) -> None:
    child = feature("Necrosis", childObjects=[feature("Stroma")])
    assert [
        one.class_name for one in read(tmp_path, [feature(childObjects=[child]), feature("Exclude")])
    ] == [
        "Tumor",
        "Necrosis",
        "Stroma",
        "Exclude",
    ]


def test_what_tme_drew_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, [feature("Tissue"), feature({"names": ["Artefact", "pen"]})]) == ()


def test_several_parts_and_holes(tmp_path: Path) -> None:
    hole = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]
    with_hole = {"type": "Polygon", "coordinates": [*SQUARE["coordinates"], hole]}
    (one,) = read(tmp_path, [feature(geometry=with_hole)])
    assert one.polygon.area == 96
    far = [[[20, 0], [30, 0], [30, 10], [20, 10], [20, 0]]]
    parts = {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"], far]}
    (two,) = read(tmp_path, [feature(geometry=parts)])
    assert (two.polygon.geom_type, two.polygon.area) == ("MultiPolygon", 200)
    mixed = {"type": "GeometryCollection", "geometries": [parts, {"type": "Point", "coordinates": [1, 1]}]}
    (three,) = read(tmp_path, [feature(geometry=mixed)])
    assert three.polygon.equals(two.polygon)


def test_a_third_coordinate_and_an_open_ring_are_fine(tmp_path: Path) -> None:
    ring = {"type": "Polygon", "coordinates": [[[0, 0, 5], [10, 0, 5], [10, 10, 5], [0, 10, 5]]]}
    (one,) = read(tmp_path, [feature(geometry=ring)])
    assert one.polygon.area == 100


def test_an_outline_that_crosses_itself_is_repaired_and_told(tmp_path: Path) -> None:
    (one,) = read(tmp_path, [feature(geometry=BOW_TIE, name="nest 3")])
    assert one.polygon.is_valid
    assert one.polygon.area == 50
    assert "nest 3" in one.caution
    assert "crosses itself" in one.caution


def test_points_and_lines_are_no_areas(tmp_path: Path) -> None:
    point = {"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]}
    (one, other) = read(tmp_path, [feature(geometry=point), feature("Cell", geometry=point)])
    assert one.polygon.is_empty
    assert "not an area" in one.caution
    assert other.caution == ""


BROKEN = {
    "none": None,
    "no type": {},
    "unknown type": {"type": "Circle", "coordinates": [1, 1]},
    "no coordinates": {"type": "Polygon"},
    "empty": {"type": "Polygon", "coordinates": []},
    "two points": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]},
    "on a line": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
    "text": {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"]]]},
    "ragged": {"type": "Polygon", "coordinates": [[[0, 0], [1], [2, 2]]]},
    "numbers": {"type": "Polygon", "coordinates": [1, 2, 3]},
    "null point": {"type": "Polygon", "coordinates": [[[0, 0], None, [2, 2]]]},
    "too large": {"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [2, 2]]]},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_outline_names_its_feature(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnnotationError, match=r"drawn\.geojson: feature 2 \('nest 3'\)") as raised:
        read(tmp_path, [feature(), feature(geometry=BROKEN[name], name="nest 3")])
    assert raised.value.exit_code == 3
    assert raised.value.problem.why
    assert raised.value.problem.fix


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_outline_that_changes_nothing_stops_nothing(tmp_path: Path, name: str) -> None:
    (one,) = read(tmp_path, [feature("Foo", geometry=BROKEN[name])])
    assert one.polygon.is_empty


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    text = json.dumps([feature()]).replace("10, 10", "NaN, 10")
    with pytest.raises(AnnotationError, match="no number"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '"x"', "7", "null", "{}", '{"type": "FeatureCollection"}', "[" * 100_000, "\x00\x01"],
    ids=["empty", "cut", "number", "text", "7", "null", "object", "no features", "deep", "binary"],
)
def test_what_is_not_geojson(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnnotationError) as raised:
        read(tmp_path, text)
    assert "drawn.geojson" in str(raised.value)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    cut = tmp_path / "cut.geojson.gz"
    cut.write_bytes(gzip.compress(json.dumps([feature()] * 50).encode())[:-20])
    with pytest.raises(AnnotationError, match="not GeoJSON"):
        read_annotations(cut, ALIASES)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / "none.geojson", ALIASES)


def test_a_small_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tme.regions.geojson.MAX_BYTES", 10_000)
    bomb = tmp_path / "bomb.geojson.gz"
    bomb.write_bytes(gzip.compress(b" " * 1_000_000))
    with pytest.raises(AnnotationError, match="over 0 MB"):
        read_annotations(bomb, ALIASES)


def test_an_empty_collection_is_no_annotation(tmp_path: Path) -> None:
    assert read(tmp_path, {"type": "FeatureCollection", "features": []}) == ()
