"""One real slide under many formats gives the same cells, to the byte."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from tests.workflow.conftest import tme
from tme.slide.open import open_slide

pytestmark = [pytest.mark.slow, pytest.mark.shared]
MPP = 0.499


def to_dicom(source: Path, folder: Path) -> Path | None:
    """Frame-for-frame conversion: the JPEG tiles are copied, not decoded; None without libturbojpeg."""
    try:
        from wsidicomizer import WsiDicomizer

        WsiDicomizer.convert(
            str(source),
            output_path=str(folder),
            include_label=False,
            include_overview=False,
            include_thumbnail=False,
        )
    except (ImportError, FileNotFoundError, RuntimeError):
        # What the converter raises where the library it loads is not installed.
        return None
    return folder


def to_zarr(pixels: np.ndarray, path: Path) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    array = group.create_array("0", shape=(3, *pixels.shape[:2]), chunks=(3, 512, 512), dtype="uint8")
    array[:] = np.moveaxis(pixels, 2, 0)
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")
    ]
    scale = {"type": "scale", "scale": [1.0, MPP, MPP]}
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return path


def to_pyramid(pixels: np.ndarray, path: Path) -> Path:
    """The same level 0 with coarser levels made by another filter (every second pixel)."""
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 2, 4, 8):
            level = np.ascontiguousarray(pixels[::step, ::step])
            tiff.write(
                level, photometric="rgb", tile=(256, 256), compression="deflate", subfiletype=int(step > 1),
                resolution=(1e4 / (MPP * step), 1e4 / (MPP * step)), resolutionunit="CENTIMETER",
                metadata=None,
            )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results for every variant of CMU-1-Small-Region, and for two OME-TIFFs OpenSlide refuses."""
    source = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    folder = tmp_path_factory.mktemp("real")
    slide = open_slide(source)
    pixels = slide.read(0, 0, slide.info.width, slide.info.height, slide.info.mpp)
    slide.close()
    shutil.copy(source, folder / "svs.svs")
    tifffile.imwrite(
        folder / "ome.ome.tif", pixels, photometric="rgb", tile=(256, 256), compression="deflate",
        metadata={"axes": "YXS", "PhysicalSizeX": MPP, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": MPP,
                  "PhysicalSizeYUnit": "µm"},
    )  # fmt: skip
    tifffile.imwrite(folder / "plain.tif", pixels, photometric="rgb")
    Image.fromarray(pixels).save(folder / "field.png", compress_level=1)
    variants = {"svs": "svs.svs", "ome": "ome.ome.tif", "plain": "plain.tif", "png": "field.png"}
    variants["zarr"] = to_zarr(pixels, folder / "ngff.zarr").name
    if to_dicom(source, folder / "dicom"):
        variants["dicom"] = "dicom"
    variants["pyramid"] = to_pyramid(pixels, folder / "pyramid.tif").name
    with (folder / "cohort.csv").open("w", newline="") as stream:
        sheet = csv.writer(stream)
        sheet.writerow(["patient_id", "timepoint", "stain", "slide", "slide_id", "mpp"])
        for name, file in variants.items():
            sheet.writerow([name, "baseline", "HE", file, name, MPP if name in ("plain", "png") else ""])
        for name in ("instanseg_HE_example.tif", "OS-1-detail.ome.tif"):
            sheet.writerow([name, "baseline", "HE", shared_data / "wsi" / name, name.split(".")[0], ""])
    done = tme("run", folder / "cohort.csv", "-o", folder / "results", "--cores", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results"


def digest(run: Path, slide: str, file: str = "cells.parquet") -> str:
    return hashlib.sha256((run / "slides" / slide / file).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["ome", "plain", "png", "zarr", "dicom"])
def test_the_same_pixels_give_the_same_cells(run: Path, name: str) -> None:
    if name == "dicom" and not (run / "slides" / name).exists():
        pytest.skip("wsidicomizer needs libturbojpeg, which is not installed")
    assert digest(run, name) == digest(run, "svs")


def test_a_foreign_pyramid_changes_hardly_a_cell(run: Path) -> None:
    from tme.tables import read_csv

    counts = {row["slide_id"]: int(row["n_nuclei"]) for row in read_csv(run / "slide_metrics.csv")}
    assert counts["svs"] > 1000
    assert abs(counts["pyramid"] / counts["svs"] - 1) <= 0.005


@pytest.mark.parametrize("name", ["instanseg_HE_example", "OS-1-detail"])
def test_ome_tiffs_that_openslide_refuses_give_cells(run: Path, name: str) -> None:
    import pyarrow.parquet as pq

    assert pq.read_table(run / "slides" / name / "cells.parquet").num_rows > 20


def test_nothing_of_the_slides_label_reaches_the_results(run: Path) -> None:
    """CMU-1 carries its file name, user, date and time in its header."""
    secrets = [b"CMU-1", b"b414003d-95c6-48b0-9369-8010ed517ba7", b"12/29/09", b"09:59:15"]
    for path in (run / "slides" / "svs").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [secret for secret in secrets if secret in data], path.name
