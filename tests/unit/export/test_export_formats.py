"""What the formats that need no further package hold: plain tables, GeoJSON, label images."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
import zarr
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from tests.made_objects import octagons
from tests.made_slides import HEIGHT_PX, MPP, WIDTH_PX, WORK_MPP, made_cells, make_results, make_slide
from tme.cells.outline import trace
from tme.cells.types import CELL_SCHEMA
from tme.export.formats import FORMATS, ExportOptions
from tme.export.label_map import LabelMap
from tme.export.observations import observations
from tme.export.published import PublishedSlide, read_published
from tme.regions.raster import rasterise
from tme.tables import parse_csv
from tme.vessels.types import VESSEL_SCHEMA


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made") / "results")


def published(results: Path, slide_id: str) -> PublishedSlide:
    return read_published(results / "slides" / slide_id)


def written(slide: PublishedSlide, name: str, folder: Path, ngff: str = "0.5") -> Path:
    FORMATS.get(name).write(slide, folder, ExportOptions(ngff))
    return folder


# --- csv ---


def test_csv_is_the_table_without_outlines(results: Path, tmp_path: Path) -> None:
    for slide_id, kind, schema in (("A_CD8", "cells", CELL_SCHEMA), ("A_CD31", "vessels", VESSEL_SCHEMA)):
        slide = published(results, slide_id)
        folder = tmp_path / slide_id
        folder.mkdir()
        data = (written(slide, "csv", folder) / f"{kind}.csv").read_bytes()
        assert [path.name for path in folder.iterdir()] == [f"{kind}.csv"]
        assert not data.startswith(b"\xef\xbb\xbf")
        rows = parse_csv(data.decode(), kind)
        assert list(rows[0]) == ["slide_id", *[name for name in schema.names if name != "geometry"]]
        table = slide.table(kind)
        assert len(rows) == table.num_rows
        for name in rows[0]:
            if name == "slide_id":
                assert {row[name] for row in rows} == {slide_id}
                continue
            for row, value in zip(rows, table.column(name).to_pylist(), strict=True):
                if value is None:
                    assert row[name] == ""
                elif isinstance(value, bool):
                    assert row[name] == str(value).lower()
                elif isinstance(value, float):
                    assert float(row[name]) == pytest.approx(value, rel=1e-7)
                else:
                    assert row[name] == str(value)


def test_csv_shows_no_digits_that_were_not_measured(results: Path, tmp_path: Path) -> None:
    slide = published(results, "A_CD8")
    rows = parse_csv((written(slide, "csv", tmp_path) / "cells.csv").read_text(), "cells")
    stored = slide.table("cells").column("dab_od").to_numpy().astype(np.float32)
    assert [row["dab_od"] for row in rows] == [str(value) for value in stored]


def test_csv_has_no_formula(tmp_path: Path) -> None:
    make_slide(tmp_path, "A", cells=made_cells(2, **{"class": ["=1+1", "'quoted"]}))
    text = (written(published(tmp_path, "A"), "csv", tmp_path) / "cells.csv").read_text()
    assert ",'=1+1," in text
    assert [row["class"] for row in parse_csv(text, "cells")] == ["=1+1", "'quoted"]


def test_csv_and_geojson_have_the_same_bytes_again(results: Path, tmp_path: Path) -> None:
    for name in ("csv", "qupath"):
        folders = [tmp_path / f"{name}{time}" for time in (1, 2)]
        for folder in folders:
            folder.mkdir()
            written(published(results, "A_CD8"), name, folder)
        first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert first == second


# --- qupath ---

OBJECT_TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}


def read_as_qupath(path: Path) -> list[dict[str, Any]]:
    """Features of a file, each checked by the rules of QuPath's reader."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    features = document if isinstance(document, list) else document["features"]
    assert isinstance(document, list) or document["type"] == "FeatureCollection"
    for feature in features:
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        outline = shape(feature["geometry"])
        assert outline.is_valid
        assert not outline.is_empty
        assert all(ring.is_closed for ring in shapely.get_rings(outline))
        properties = feature["properties"]
        assert properties["objectType"] in OBJECT_TYPES
        if classification := properties.get("classification"):
            names = [classification["name"]] if "name" in classification else classification["names"]
            assert names
            assert all(isinstance(name, str) and name for name in names)
            assert_colour(classification["color"])
        if "color" in properties:
            assert_colour(properties["color"])
        assert isinstance(properties.get("name", ""), str)
        assert isinstance(properties.get("isLocked", False), bool)
        for title, value in properties.get("measurements", {}).items():
            assert isinstance(title, str)
            assert isinstance(value, int | float)
            assert np.isfinite(value)
        for key, value in properties.get("metadata", {}).items():
            assert isinstance(key, str)
            assert isinstance(value, str)
    assert len({feature["id"] for feature in features}) == len(features)
    return list(features)


def assert_colour(colour: Any) -> None:
    assert len(colour) == 3
    assert all(isinstance(part, int) and 0 <= part <= 255 for part in colour)


def test_qupath_reads_every_file(results: Path, tmp_path: Path) -> None:
    ids: set[str] = set()
    total = 0
    for slide_id, kind in (("A_HE", "cells"), ("A_CD8", "cells"), ("A_CD31", "vessels")):
        slide = published(results, slide_id)
        folder = tmp_path / slide_id
        folder.mkdir()
        written(slide, "qupath", folder)
        assert {path.name for path in folder.iterdir()} == {f"{kind}.geojson.gz", "tissue.geojson"}
        objects = read_as_qupath(folder / f"{kind}.geojson.gz")
        # Annotations by the thousand would make QuPath crawl.
        assert {feature["properties"]["objectType"] for feature in objects} == {"detection"}
        placed = [shape(feature["geometry"]) for feature in objects]
        assert shapely.equals_exact(placed, slide.outlines(kind), tolerance=0.0072).all()
        areas = read_as_qupath(folder / "tissue.geojson")
        assert {feature["properties"]["objectType"] for feature in areas} == {"annotation"}
        assert {feature["properties"]["name"] for feature in areas} == {"Tissue", "Artefact: fold"}
        ids |= {feature["id"] for feature in objects}
        total += len(objects)
    assert len(ids) == total


# --- the parts of an annotated matrix ---


def test_observations_keep_types_and_what_is_missing(results: Path) -> None:
    found = observations(published(results, "A_HE"), "cells")
    obs = found.obs
    assert obs.index.is_unique
    assert obs.index[3] == "A_HE-3"
    assert obs["cell_id"].dtype == np.int64
    assert obs["is_til"].dtype == pd.BooleanDtype()
    assert obs["is_til"].notna().all()
    assert obs["positive"].dtype == pd.BooleanDtype()
    assert obs["positive"].isna().all()
    assert obs["cluster_count"].dtype == pd.Int32Dtype()
    assert obs["cluster_count"].isna().all()
    assert list(obs["class"].cat.categories) == ["lymphocyte", "plasma", "other"]
    assert pd.isna(obs["compartment"].iloc[0])
    assert (obs["compartment"].iloc[1:] == "evaluable").all()
    assert obs["lesion_id"].isna().all()
    assert (obs["patient_id"] == "患者 1").all()
    assert "geometry" not in obs


def test_measurements_have_a_name_a_unit_and_no_empty_column(results: Path) -> None:
    tissue = observations(published(results, "A_HE"), "cells")
    assert list(tissue.var.index) == ["area_um2"]
    assert tissue.var.loc["area_um2", "unit"] == "µm²"
    stained = observations(published(results, "A_CD8"), "cells")
    assert list(stained.var.index) == ["area_um2", "dab_od"]
    table = published(results, "A_CD8").table("cells")
    np.testing.assert_array_equal(stained.x[:, 1], table.column("dab_od").to_numpy())
    assert list(observations(published(results, "A_CD31"), "vessels").var.index) == [
        "area_um2", "endothelium_area_um2", "max_feret_um",
    ]  # fmt: skip


def test_a_measurement_some_cells_lack_is_nan_for_them(tmp_path: Path) -> None:
    odd = pa.array([0.5, None, 0.0], pa.float32())
    make_slide(tmp_path, "A", cells=made_cells(3, dab_od=odd))
    found = observations(published(tmp_path, "A"), "cells")
    np.testing.assert_array_equal(found.x[:, 1], np.array([0.5, np.nan, 0.0], np.float32))


def test_places_are_in_pixels_and_in_um(results: Path) -> None:
    found = observations(published(results, "A_CD8"), "cells")
    table = published(results, "A_CD8").table("cells")
    np.testing.assert_allclose(found.pixels[:, 0], table.column("x_px").to_numpy())
    np.testing.assert_allclose(found.um[:, 1], table.column("y_um").to_numpy())
    np.testing.assert_allclose(found.um, found.pixels * MPP)


# --- ome-zarr ---


def metadata_of(group: zarr.Group, ngff: str) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return attributes["ome"] if ngff == "0.5" else attributes


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_every_pixel_of_a_label_image_is_its_cell(results: Path, tmp_path: Path, ngff: str) -> None:
    slide = published(results, "A_CD8")
    root = zarr.open_group(written(slide, "ome-zarr", tmp_path, ngff) / "slide.ome.zarr", mode="r")
    assert root.metadata.zarr_format == (3 if ngff == "0.5" else 2)
    labels = root["labels"]
    assert metadata_of(labels, ngff)["labels"] == ["tissue", "cells", "cell_classes"]
    cells = np.asarray(labels["cells"]["0"])
    assert cells.shape == (HEIGHT_PX * MPP / WORK_MPP, WIDTH_PX * MPP / WORK_MPP)
    expected = np.zeros(cells.shape, np.int32)
    for number, outline in enumerate(slide.outlines("cells"), start=1):
        expected[rasterise([outline], cells.shape, WORK_MPP, MPP)] = number
    np.testing.assert_array_equal(cells, expected)
    classes = metadata_of(labels["cell_classes"], ngff)["image-label"]
    names = {one["label-value"]: one["name"] for one in classes["properties"]}
    assert {one["label-value"] for one in classes["colors"]} == set(names)
    by_class = np.asarray(labels["cell_classes"]["0"])
    wanted = slide.table("cells").column("class").to_pylist()
    for number in np.unique(cells[cells > 0]):
        assert {names[value] for value in np.unique(by_class[cells == number])} == {wanted[number - 1]}
    assert not by_class[cells == 0].any()


def test_levels_of_a_label_image_lie_on_each_other(results: Path, tmp_path: Path) -> None:
    slide = published(results, "A_CD8")
    root = zarr.open_group(written(slide, "ome-zarr", tmp_path) / "slide.ome.zarr", mode="r")
    group = root["labels"]["cells"]
    whole = np.asarray(group["0"])
    levels = metadata_of(group, "0.5")["multiscales"][0]["datasets"]
    assert len(levels) == 3
    for level, dataset in enumerate(levels):
        scale, shift = (one[one["type"]] for one in dataset["coordinateTransformations"])
        assert scale == [WORK_MPP * 2**level] * 2
        assert shift == [WORK_MPP / 2] * 2
        image = np.asarray(group[dataset["path"]])
        np.testing.assert_array_equal(image, whole[:: 2**level, :: 2**level])
    assert max(image.shape) <= 256


def test_tissue_and_its_artefacts_have_values_of_their_own(results: Path, tmp_path: Path) -> None:
    slide = published(results, "A_HE")
    root = zarr.open_group(written(slide, "ome-zarr", tmp_path) / "slide.ome.zarr", mode="r")
    values = np.asarray(root["labels"]["tissue"]["0"])
    mask = slide.tissue()
    names = metadata_of(root["labels"]["tissue"], "0.5")["image-label"]["properties"]
    value = {one["name"]: one["label-value"] for one in names}
    np.testing.assert_array_equal(values == value["fold"], mask.artefact("fold"))
    np.testing.assert_array_equal(values == value["tissue"], mask.usable)
    np.testing.assert_array_equal(values == 0, ~mask.tissue)


def traced(labels: np.ndarray) -> np.ndarray:
    """Outlines of a label map at `WORK_MPP`, in level-0 pixels, as the run would save them."""
    scale = WORK_MPP / MPP
    return shapely.transform(trace(labels).polygons, lambda points: points * scale)


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 40))
def test_outlines_give_back_the_pixels_they_were_made_from(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 40, 2)
    # Blocks of a few pixels that touch each other in every way, one connected piece a label.
    labels = np.zeros((height, width), np.int32)
    for label in range(1, 8):
        y, x = rng.integers(0, height), rng.integers(0, width)
        free = labels[y : y + 6, x : x + 6] == 0
        labels[y : y + 6, x : x + 6][free] = label
    outlines = traced(labels)
    found = np.vstack([band for _, band in LabelMap(outlines, MPP, WORK_MPP).bands(width, height, rows)])
    kept = np.zeros_like(labels)
    for number, outline in enumerate(outlines, start=1):
        kept[rasterise([outline], labels.shape, WORK_MPP, MPP)] = number
    np.testing.assert_array_equal(found, kept)
    areas = np.bincount(found.ravel(), minlength=len(outlines) + 1)[1:]
    overlap = len(shapely.STRtree(outlines).query(outlines, predicate="overlaps")[0])
    inside = len(shapely.STRtree(outlines).query(outlines, predicate="contains_properly")[0])
    if not overlap and not inside:
        # Outlines cut half a pixel off their corners.
        np.testing.assert_allclose((areas - 0.5) * (WORK_MPP / MPP) ** 2, shapely.area(outlines))


def test_outlines_over_the_edge_are_cut_and_holes_stay_open() -> None:
    over = octagons(np.array([0.0, 79.0]), np.array([2.0, 59.0]), np.array([8.0, 8.0]))
    ring = shapely.Point(40, 30).buffer(16).difference(shapely.Point(40, 30).buffer(8))
    outlines = np.array(
        [*over, ring, shapely.MultiPolygon([shapely.box(0, 40, 6, 46), shapely.box(10, 40, 16, 46)])]
    )
    for rows in (1, 7, 30):
        found = np.vstack([band for _, band in LabelMap(outlines, MPP, WORK_MPP).bands(40, 30, rows)])
        expected = np.zeros((30, 40), np.int32)
        for number, outline in enumerate(outlines, start=1):
            expected[rasterise([outline], expected.shape, WORK_MPP, MPP)] = number
        np.testing.assert_array_equal(found, expected)
        assert found[15, 20] == 0
        assert set(np.unique(found)) == {0, 1, 2, 3, 4}
