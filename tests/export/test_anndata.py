"""AnnData files in the hands of scanpy's world: read, joined, and squidpy's own analyses run on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from tests.made_slides import HEIGHT_PX, MPP, WIDTH_PX
from tme.overlay.palette import class_colour
from tme.tables import read_parquet

Export = Callable[..., Path]
SPATIAL = {"spatial_key": "spatial_um", "coord_type": "generic"}


def opened(path: Path) -> Any:
    import anndata

    return anndata.read_h5ad(path)


def test_a_file_says_what_the_table_says(exported: Export, results: Path) -> None:
    data = opened(exported("anndata") / "A_CD8" / "cells.h5ad")
    table = read_parquet(results / "slides" / "A_CD8" / "cells.parquet")
    assert data.n_obs == table.num_rows
    assert data.X.dtype == np.float32
    assert not np.isnan(data.X).any()
    np.testing.assert_array_equal(data[:, "dab_od"].X[:, 0], table.column("dab_od").to_numpy())
    assert data.var.loc["dab_od", "unit"] == "OD"
    assert data.var.loc["area_um2", "definition"] == "area of the nucleus"
    assert list(data.obs["class"]) == table.column("class").to_pylist()
    assert list(data.obs["positive"]) == table.column("positive").to_pylist()
    # Missing on this slide altogether, and for its first cell.
    assert data.obs["cluster_count"].isna().all()
    assert data.obs["lesion_id"].isna().all()
    assert data.obs["compartment"].isna().tolist() == [True, *[False] * (data.n_obs - 1)]
    assert data.uns["tme"]["A_CD8"]["mpp_um"] == MPP
    assert "lesion_id" not in data.uns["tme"]["A_CD8"]


def test_types_survive_the_file(exported: Export) -> None:
    obs = opened(exported("anndata") / "A_HE" / "cells.h5ad").obs
    assert obs["is_til"].dtype == pd.BooleanDtype()
    assert obs["positive"].isna().all()
    assert obs["cluster_count"].dtype == pd.Int32Dtype()
    assert obs["cell_id"].dtype == np.int64
    assert isinstance(obs["class"].dtype, pd.CategoricalDtype)
    assert obs["class_prob"].dtype == np.float32


def test_places_are_pixels_of_level_0_and_the_picture_lies_under_them(
    exported: Export, results: Path
) -> None:
    data = opened(exported("anndata") / "A_HE" / "cells.h5ad")
    table = read_parquet(results / "slides" / "A_HE" / "cells.parquet")
    np.testing.assert_allclose(data.obsm["spatial"][:, 0], table.column("x_px").to_numpy())
    np.testing.assert_allclose(data.obsm["spatial_um"][:, 1], table.column("y_um").to_numpy())
    library = data.uns["spatial"]["A_HE"]
    picture = library["images"]["hires"]
    with Image.open(results / "slides" / "A_HE" / "thumbnail.jpg") as thumbnail:
        np.testing.assert_array_equal(picture, np.asarray(thumbnail))
    scaled = np.array([WIDTH_PX, HEIGHT_PX]) * library["scalefactors"]["tissue_hires_scalef"]
    np.testing.assert_allclose(scaled, (picture.shape[1], picture.shape[0]))
    # Octagons of 50.25 µm².
    diameter = 2 * np.sqrt(50.25 / np.pi) / MPP
    assert library["scalefactors"]["spot_diameter_fullres"] == pytest.approx(diameter)


def test_squidpy_finds_neighbours_in_um_and_their_enrichment(exported: Export) -> None:
    import squidpy

    data = opened(exported("anndata") / "A_HE" / "cells.h5ad")
    squidpy.gr.spatial_neighbors(data, radius=60.0, **SPATIAL)
    tree = cKDTree(data.obsm["spatial_um"])
    pairs = tree.query_pairs(60.0)
    assert data.obsp["spatial_connectivities"].nnz == 2 * len(pairs)
    squidpy.gr.nhood_enrichment(data, cluster_key="class", n_perms=50, seed=0, show_progress_bar=False)
    found = data.uns["class_nhood_enrichment"]
    assert found["zscore"].shape == (3, 3)
    assert np.isfinite(found["zscore"]).all()
    # Who is beside whom, counted by hand.
    codes = data.obs["class"].cat.codes.to_numpy()
    counts = np.zeros((3, 3))
    for one, other in pairs:
        counts[codes[one], codes[other]] += 1
        counts[codes[other], codes[one]] += 1
    np.testing.assert_array_equal(found["count"], counts)


def test_squidpy_draws_the_cells_in_their_colours_and_places(exported: Export, tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import squidpy

    data = opened(exported("anndata") / "A_HE" / "cells.h5ad")
    names = list(data.obs["class"].cat.categories)
    assert list(data.uns["class_colors"]) == [class_colour(name) for name in names]
    axes = squidpy.pl.spatial_scatter(data, color="class", library_id="A_HE", shape=None, return_ax=True)
    scale = data.uns["spatial"]["A_HE"]["scalefactors"]["tissue_hires_scalef"]
    drawn = np.vstack([np.asarray(one.get_offsets()) for one in axes.collections])
    # Squidpy draws every point twice, once for its rim.
    places = data.obsm["spatial"][:, 0] * scale
    np.testing.assert_allclose(np.unique(drawn[:, 0].round(3)), np.unique(places.round(3)), atol=2e-3)


def test_all_slides_in_one_file(exported: Export) -> None:
    import squidpy

    folder = exported("anndata", together=True)
    assert {path.name for path in folder.iterdir()} == {"cells.h5ad", "vessels.h5ad"}
    data = opened(folder / "cells.h5ad")
    assert data.obs_names.is_unique
    assert data.obs["slide_id"].value_counts().to_dict() == {"A_HE": 60, "A_CD8": 40}
    assert list(data.var_names) == ["area_um2", "dab_od"]
    assert data.var.loc["dab_od", "unit"] == "OD"
    tissue = data[data.obs["slide_id"] == "A_HE"]
    assert np.isnan(tissue[:, "dab_od"].X).all()
    assert not np.isnan(tissue[:, "area_um2"].X).any()
    assert data.obs["positive"].isna().sum() == 60
    assert set(data.uns["spatial"]) == set(data.uns["tme"]) == {"A_HE", "A_CD8"}
    names = data.obs["class"].cat.categories
    assert list(data.uns["class_colors"]) == [class_colour(name) for name in names]
    squidpy.gr.spatial_neighbors(data, library_key="slide_id", radius=60.0, **SPATIAL)
    one, other = data.obsp["spatial_connectivities"].nonzero()
    slides = data.obs["slide_id"].to_numpy()
    assert len(one)
    assert (slides[one] == slides[other]).all()
    vessels = opened(folder / "vessels.h5ad")
    assert vessels.n_obs == 12
    assert vessels.var.loc["endothelium_area_um2", "unit"] == "µm²"
