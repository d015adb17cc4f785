"""OME-Zarr by the schema of its specification, and through the reference reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.made_slides import HEIGHT_PX, MPP, WIDTH_PX
from tme.export.published import read_published

Export = Callable[..., Path]


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
@pytest.mark.parametrize("slide_id", ["A_HE", "A_CD8", "A_CD31"])
def test_metadata_are_valid(exported: Export, slide_id: str, ngff: str) -> None:
    from ome_zarr_models import v04, v05

    version = {"0.4": v04, "0.5": v05}[ngff]
    root = zarr.open_group(exported("ome-zarr", ngff=ngff) / slide_id / "slide.ome.zarr", mode="r")
    image = version.Image.from_zarr(root)
    assert image.labels is not None
    names = image.labels.attributes.labels if ngff == "0.4" else image.labels.attributes.ome.labels
    objects = ["vessels"] if slide_id == "A_CD31" else ["cells", "cell_classes"]
    assert names == ["tissue", *objects]
    for name in names:
        label = version.image_label.ImageLabel.from_zarr(root["labels"][name])
        attributes = label.attributes if ngff == "0.4" else label.attributes.ome
        assert attributes.image_label.source.image == "../../"


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_the_reference_reader_finds_image_and_labels_in_one_place(
    exported: Export, results: Path, ngff: str
) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    path = exported("ome-zarr", ngff=ngff) / "A_CD8" / "slide.ome.zarr"
    nodes = {node.zarr.path.rsplit("/", 1)[-1]: node for node in Reader(parse_url(path))()}
    assert {"slide.ome.zarr", "tissue", "cells", "cell_classes"} <= set(nodes)
    slide = read_published(results / "slides" / "A_CD8")
    image = nodes["slide.ome.zarr"]
    np.testing.assert_array_equal(np.moveaxis(np.asarray(image.data[0]), 0, -1), slide.thumbnail())
    # Every image ends where the slide ends; a centre lies half a pixel from the edge.
    for name, node in nodes.items():
        if name not in {"slide.ome.zarr", "tissue", "cells", "cell_classes"}:
            continue
        scale, shift = (one[one["type"]][-2:] for one in node.metadata["coordinateTransformations"][0])
        size = np.array(node.data[0].shape[-2:])
        np.testing.assert_allclose(shift, np.array(scale) / 2)
        np.testing.assert_allclose(size * scale, (HEIGHT_PX * MPP, WIDTH_PX * MPP))
    labels = np.asarray(nodes["cells"].data[0])
    x, y = (slide.table("cells").column(name).to_numpy() for name in ("x_um", "y_um"))
    scale = nodes["cells"].metadata["coordinateTransformations"][0][0]["scale"][0]
    np.testing.assert_array_equal(labels[(y / scale).astype(int), (x / scale).astype(int)], np.arange(40) + 1)


def test_tme_itself_reads_the_picture(exported: Export) -> None:
    from tme.slide.backends.zarr import ZarrSource

    source = ZarrSource(exported("ome-zarr") / "A_HE" / "slide.ome.zarr")
    assert source.header.mpp_x == pytest.approx(WIDTH_PX * MPP / 160)
