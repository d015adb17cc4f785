"""What a user labels is what is learned from; what cannot be used is told, file by file, all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.learn.scenes import (
    MPP,
    Scene,
    box_ring,
    draw_scene,
    outline,
    write_geojson,
    write_image,
    write_mask,
)
from tme.errors import SheetError
from tme.learn.field import Field
from tme.learn.labels import LYMPHOCYTE_NAMES, Names
from tme.learn.reading import LabelRule, read_fields
from tme.learn.sources import find_sources

RULE = LabelRule(Names.of(LYMPHOCYTE_NAMES))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene(3)


def read(place: Path, mpp: float | None = MPP, pattern: str | None = None) -> list[Field]:
    return read_fields(find_sources(place, mpp, pattern), RULE)


def problems(place: Path, mpp: float | None = MPP) -> list[Any]:
    with pytest.raises(SheetError) as caught:
        read(place, mpp)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_a_mask_with_classes(tmp_path: Path, scene: Scene) -> None:
    write_mask(tmp_path, "a", scene)
    (field,) = read(tmp_path)
    np.testing.assert_array_equal(field.rgb, scene.rgb)
    np.testing.assert_array_equal(field.instances, scene.labels)
    np.testing.assert_array_equal(field.lymphocyte, scene.kinds)
    assert (field.mpp, field.patient, field.complete) == (MPP, "a", True)


def test_outlines_paint_the_mask_they_were_traced_from(tmp_path: Path, scene: Scene) -> None:
    write_geojson(tmp_path, "a", scene)
    (field,) = read(tmp_path)
    assert (field.instances > 0).sum() == pytest.approx((scene.labels > 0).sum(), rel=0.02)
    for number in range(1, len(scene.kinds) + 1):
        mine, theirs = scene.labels == number, field.instances == number
        assert (mine & theirs).sum() / (mine | theirs).sum() > 0.93
    np.testing.assert_array_equal(field.lymphocyte, scene.kinds)


@pytest.mark.parametrize("ending", ["tif", "npy"])
def test_other_files_of_labels(tmp_path: Path, scene: Scene, ending: str) -> None:
    write_image(tmp_path, "a.png", scene)
    labels = np.where(scene.labels == 1, -1, scene.labels)
    if ending == "tif":
        tifffile.imwrite(tmp_path / "a_mask.tif", labels.astype(np.int32))
    else:
        np.save(tmp_path / "a_mask.npy", labels)
    (field,) = read(tmp_path)
    assert (field.instances == -1).sum() == (scene.labels == 1).sum()
    assert len(field.centres) == len(scene.kinds) - 1
    assert np.isnan(field.lymphocyte).all()


def test_a_region_is_a_field_and_its_surroundings_are_unknown(tmp_path: Path, scene: Scene) -> None:
    region = outline(box_ring(80, 80, 180, 170), "Region*")
    exclude = outline(box_ring(90, 90, 120, 120), "Exclude")
    write_geojson(tmp_path, "a", scene, region, exclude)
    (field,) = read(tmp_path)
    margin = 64
    known = np.zeros(scene.labels.shape, bool)
    known[80:170, 80:180] = True
    known[90:120, 90:120] = False
    known = known[80 - margin :, 80 - margin :]
    background = field.instances == 0
    assert not (background & ~known).any()
    assert (field.instances[known] >= 0).all()
    inside = ((field.centres >= 16) & (field.centres < (180 - 16, 170 - 16))).all(1)
    assert inside.all()
    assert 0 < len(field.centres) < len(scene.kinds)


def test_every_region_is_a_field_of_one_patient(tmp_path: Path, scene: Scene) -> None:
    regions = [outline(box_ring(x, 5, x + 80, 185), "Region") for x in (5, 95)]
    write_geojson(tmp_path, "a", scene, *regions)
    fields = read(tmp_path)
    assert [field.name for field in fields] == ["a.png region 1", "a.png region 2"]
    assert {field.patient for field in fields} == {"a"}


def test_points_are_centres_without_outlines(tmp_path: Path, scene: Scene) -> None:
    write_image(tmp_path, "a.png", scene)
    points = {"type": "MultiPoint", "coordinates": [[20.5, 30.25], [100, 100]]}
    feature = {"type": "Feature", "geometry": points, "properties": {"classification": {"name": "TIL"}}}
    (tmp_path / "a.geojson").write_text(json.dumps([feature]))
    (field,) = read(tmp_path)
    assert field.instances is None
    np.testing.assert_array_equal(field.centres, [[20.5, 30.25], [100, 100]])
    np.testing.assert_array_equal(field.lymphocyte, [1, 1])


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Lymphocyte", 1),
        ("immune CELLS", 1),
        ("Immune cells: CD8", 1),
        ("Plasma", 1),
        ("Tumor", 0),
        ("Tumor: Positive", 0),
        ("Positive", None),
        ("", None),
        ("Nucleus", None),
    ],
)
def test_what_a_class_says(label: str, kind: float | None) -> None:
    found = Names.of(LYMPHOCYTE_NAMES).kind(label)
    assert np.isnan(found) if kind is None else found == kind


def test_a_cell_counts_by_its_nucleus(tmp_path: Path, scene: Scene) -> None:
    write_image(tmp_path, "a.png", scene)
    cell = outline(box_ring(40, 40, 80, 80), "Tumor", "cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [box_ring(50, 50, 62, 62)]}
    (tmp_path / "a.geojson").write_text(json.dumps(cell))
    (field,) = read(tmp_path)
    assert (field.instances > 0).sum() == 12 * 12
    np.testing.assert_allclose(field.centres, [[56, 56]])


def test_a_nucleus_drawn_on_another_stays_whole(tmp_path: Path, scene: Scene) -> None:
    write_image(tmp_path, "a.png", scene)
    small, large = (
        outline(box_ring(50, 50, 60, 60), "Lymphocyte"),
        outline(box_ring(45, 45, 75, 75), "Tumor"),
    )
    (tmp_path / "a.geojson").write_text(json.dumps([small, large]))
    (field,) = read(tmp_path)
    assert (field.instances == 1).sum() == 100
    assert (field.instances == 2).sum() == 800


def test_finer_images_are_brought_down(tmp_path: Path, scene: Scene) -> None:
    write_mask(tmp_path, "a", scene)
    (field,) = read(tmp_path, mpp=0.125)
    assert field.rgb.shape == (96, 96, 3)
    assert field.mpp == pytest.approx(0.25)
    assert field.instances.shape == (96, 96)
    assert len(field.centres) == len(scene.kinds)


def test_patients_by_table_and_by_pattern(tmp_path: Path, scene: Scene) -> None:
    for stem in ("P1_a", "P1_b", "P2_a"):
        write_mask(tmp_path, stem, scene)
    assert [field.patient for field in read(tmp_path, pattern="P[0-9]+")] == ["P1", "P1", "P2"]
    assert [field.patient for field in read(tmp_path, pattern="P([0-9]+)_")] == ["1", "1", "2"]
    (tmp_path / "patients.csv").write_text("image,patient\nP1_a,X\nP2_a.png,X\n")
    assert [field.patient for field in read(tmp_path)] == ["X", "P1_b", "X"]


def test_a_sheet_names_images_labels_patients_and_resolution(tmp_path: Path, scene: Scene) -> None:
    write_mask(tmp_path / "images", "a", scene)
    write_image(tmp_path / "images", "b.png", scene)
    np.save(tmp_path / "b_mask.npy", scene.labels)
    sheet = tmp_path / "fields.csv"
    sheet.write_text(
        "image;labels;patient;mpp\nimages/a.png;;P1;0,5\nimages/b.png;b_mask.npy;P1;0,25\n", encoding="utf-8"
    )
    fields = read(sheet, mpp=None)
    assert [(field.patient, field.mpp) for field in fields] == [("P1", 0.5), ("P1", 0.25)]


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path, scene: Scene) -> None:
    for stem in ("good", "binary", "size", "colour", "classes"):
        write_mask(tmp_path, stem, scene)
    cv2.imwrite(str(tmp_path / "binary_mask.png"), (scene.labels > 0).astype(np.uint8) * 255)
    cv2.imwrite(str(tmp_path / "size_mask.png"), scene.labels[:-1].astype(np.uint16))
    cv2.imwrite(str(tmp_path / "colour_mask.png"), scene.rgb)
    (tmp_path / "classes_classes.csv").write_text("label,class\n9999,Tumor\n")
    write_image(tmp_path, "alone.png", scene)
    write_geojson(tmp_path, "area", scene, outline(box_ring(0, 0, 190, 190), "Tumor"))
    write_image(tmp_path, "text.png", scene)
    (tmp_path / "text.geojson").write_text("not json")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    np.save(tmp_path / "broken_mask.npy", scene.labels)
    write_image(tmp_path, "pickle.png", scene)
    np.save(tmp_path / "pickle_mask.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "orphan_mask.npy", scene.labels)
    found = problems(tmp_path)
    assert {problem.where for problem in found} == {
        "binary_mask.png", "size_mask.png", "colour_mask.png", "classes_classes.csv", "alone.png",
        "area.geojson", "text.geojson", "broken.png", "pickle_mask.npy", "orphan_mask.npy",
    }  # fmt: skip
    assert len(found) == 10
    assert all(problem.what and problem.fix for problem in found)


def test_other_ways_to_be_unusable(tmp_path: Path, scene: Scene) -> None:
    write_image(tmp_path, "mixed.png", scene)
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5, 5]}, "properties": {}}
    (tmp_path / "mixed.geojson").write_text(json.dumps([point, outline(box_ring(5, 5, 20, 20), None)]))
    write_image(tmp_path, "outside.png", scene)
    (tmp_path / "outside.geojson").write_text(json.dumps(outline(box_ring(900, 900, 920, 920), None)))
    write_image(tmp_path, "nothing.png", scene)
    (tmp_path / "nothing.geojson").write_text(json.dumps(outline(box_ring(9, 9, 90, 90), "Region")))
    write_mask(tmp_path, "twice", scene)
    (tmp_path / "twice.geojson").write_text("[]")
    found = {problem.where: problem.what for problem in problems(tmp_path)}
    assert found["mixed.geojson"] == "some nuclei have outlines and some only points"
    assert found["outside.geojson"] == "no nucleus lies inside the image or its regions"
    assert found["nothing.geojson"] == "there is no nucleus in it"
    assert "more than one file of labels" in found["twice.png"]


def test_without_a_resolution_or_with_one_too_coarse(tmp_path: Path, scene: Scene) -> None:
    write_mask(tmp_path, "a", scene)
    (problem,) = problems(tmp_path, mpp=None)
    assert problem.where == "a.png"
    assert "µm/px" in str(problem)
    (problem,) = problems(tmp_path, mpp=0.8)
    assert "too coarse" in problem.what


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path)
    assert problem.what == "there is no image"
    (problem,) = problems(tmp_path / "nowhere")
    assert problem.what == "there is no such folder or sheet of fields"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,who\na.png,x\n", "the columns are image, who"),
        ("labels\na\n", "the columns are labels"),
        ("image,mpp\na.png,7\n", "mpp '7' is not from 0.05 to 1"),
        ("image\nb.png\n", "there is no image 'b.png'"),
        ("image,labels\na.png,b.npy\n", "its labels 'b.npy' are not there"),
        ("image,patient\na.png\n", "1 cells under 2 columns"),
    ],
)
def test_sheets_that_cannot_be_used(tmp_path: Path, scene: Scene, text: str, said: str) -> None:
    write_mask(tmp_path, "a", scene)
    sheet = tmp_path / "fields.csv"
    sheet.write_text(text)
    assert problems(sheet)[0].what == said


def test_a_patient_of_no_image_is_told(tmp_path: Path, scene: Scene) -> None:
    write_mask(tmp_path, "a", scene)
    (tmp_path / "patients.csv").write_text("image,patient\nA,P1\n")
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.what) == ("patients.csv", "there is no image 'A'")
