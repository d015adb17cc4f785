"""SpatialData stores read back by spatialdata: places, outlines, and the link of shapes and table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.made_slides import HEIGHT_PX, MPP, WIDTH_PX
from tme.export.published import read_published

Export = Callable[..., Path]
OBJECTS = [("A_HE", "cells", "cell_id"), ("A_CD8", "cells", "cell_id"), ("A_CD31", "vessels", "vessel_id")]


@pytest.mark.parametrize(("slide_id", "kind", "instance"), OBJECTS)
def test_outlines_and_table_come_back_linked(
    exported: Export, results: Path, slide_id: str, kind: str, instance: str
) -> None:
    import spatialdata

    store = spatialdata.read_zarr(exported("spatialdata") / slide_id / "slide.zarr")
    slide = read_published(results / "slides" / slide_id)
    shapes, table = store.shapes[kind], store.tables[f"{kind}_table"]
    assert shapely.equals_exact(shapes.geometry.to_numpy(), slide.outlines(kind)).all()
    assert table.obs[instance].tolist() == slide.table(kind).column(instance).to_pylist()
    # A few rows of the table find their outlines, and nothing else.
    some = table[[7, 2, 5]]
    element, linked = spatialdata.match_element_to_table(store, element_name=kind, table_name=f"{kind}_table")
    assert len(element[kind]) == linked.n_obs == table.n_obs
    shown = shapes.loc[some.obs[instance]]
    centres = shapely.get_coordinates(shapely.centroid(shown.geometry.to_numpy()))
    np.testing.assert_allclose(centres, some.obsm["spatial"], atol=1e-6)
    by_area = spatialdata.get_values("area_um2", sdata=store, element_name=kind, table_name=f"{kind}_table")
    expected = slide.table(kind).column("area_um2").to_numpy()
    np.testing.assert_array_equal(by_area["area_um2"].to_numpy(), expected)


@pytest.mark.parametrize(("slide_id", "kind", "instance"), OBJECTS)
def test_global_is_um_and_pixels_is_level_0(
    exported: Export, results: Path, slide_id: str, kind: str, instance: str
) -> None:
    import spatialdata

    store = spatialdata.read_zarr(exported("spatialdata") / slide_id / "slide.zarr")
    assert set(store.coordinate_systems) == {"global", "pixels"}
    moved = spatialdata.transform(store.shapes[kind], to_coordinate_system="global")
    table = read_published(results / "slides" / slide_id).table(kind)
    centres = shapely.get_coordinates(shapely.centroid(moved.geometry.to_numpy()))
    np.testing.assert_allclose(centres[:, 0], table.column("x_um").to_numpy(), atol=1e-6)
    np.testing.assert_allclose(centres[:, 1], table.column("y_um").to_numpy(), atol=1e-6)
    for system, scale in (("global", MPP), ("pixels", 1.0)):
        extent = spatialdata.get_extent(store.images["thumbnail"], coordinate_system=system)
        np.testing.assert_allclose(extent["x"], (0, WIDTH_PX * scale))
        np.testing.assert_allclose(extent["y"], (0, HEIGHT_PX * scale))


def test_tissue_and_artefacts_are_shapes_with_a_class(exported: Export, results: Path) -> None:
    import spatialdata

    store = spatialdata.read_zarr(exported("spatialdata") / "A_HE" / "slide.zarr")
    slide = read_published(results / "slides" / "A_HE")
    shapes = spatialdata.transform(store.shapes["tissue"], to_coordinate_system="global")
    area = dict(zip(shapes["class"], shapes.area / 1e6, strict=True))
    assert set(area) == {"Tissue", "Artefact: fold"}
    assert area["Tissue"] == pytest.approx(slide.tissue().area_mm2(slide.tissue().tissue))
    picture = np.moveaxis(np.asarray(store.images["thumbnail"]), 0, -1)
    np.testing.assert_array_equal(picture, slide.thumbnail())


def test_a_slide_without_cells_is_a_store_too(tmp_path: Path) -> None:
    import spatialdata

    from tests.made_slides import made_cells, make_slide
    from tme.export.formats import FORMATS, ExportOptions

    make_slide(tmp_path, "A", cells=made_cells(0))
    for name in ("spatialdata", "anndata"):
        FORMATS.get(name).write(read_published(tmp_path / "slides" / "A"), tmp_path, ExportOptions())
    assert set(spatialdata.read_zarr(tmp_path / "slide.zarr").shapes) == {"tissue"}
    import anndata

    assert anndata.read_h5ad(tmp_path / "cells.h5ad").n_obs == 0
