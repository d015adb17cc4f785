"""The tables of a run as GeoParquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.made_slides import MPP


@pytest.mark.parametrize(("slide_id", "kind"), [("A_HE", "cells"), ("A_CD8", "cells"), ("A_CD31", "vessels")])
def test_geopandas_opens_it_without_a_place_on_earth(results: Path, slide_id: str, kind: str) -> None:
    import geopandas

    frame = geopandas.read_parquet(results / "slides" / slide_id / f"{kind}.parquet")
    assert frame.geometry.name == "geometry"
    assert frame.crs is None
    assert frame.geometry.is_valid.all()
    assert set(frame.geometry.geom_type) == {"Polygon"}
    centres = frame.geometry.centroid
    np.testing.assert_allclose(centres.x * MPP, frame["x_um"], atol=1e-6)
    np.testing.assert_allclose(centres.y * MPP, frame["y_um"], atol=1e-6)
