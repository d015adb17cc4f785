"""Exports of made slides; everything here skips where the programs they are made for are not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.made_slides import make_results
from tme.pipeline.export import ExportRequest, run_export

NEEDED = (
    "anndata",
    "geopandas",
    "ome_zarr",
    "ome_zarr_models",
    "rocrate",
    "rocrate_validator",
    "spatialdata",
    "squidpy",
)


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Skips without the environment of `make test-export`."""
    for package in NEEDED:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed here; `make test-engines` tests it")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides A_HE, A_CD8 and A_CD31."""
    return make_results(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture(scope="session")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """``exported(format, …)`` is the folder of that export, made once."""
    made: dict[tuple[object, ...], Path] = {}

    def export(to: str, together: bool = False, ngff: str = "0.5") -> Path:
        key = (to, together, ngff)
        if key not in made:
            output = tmp_path_factory.mktemp("out") / "out"
            slides = ("A_HE", "A_CD8", "A_CD31")
            assert run_export(ExportRequest(results, to, output, slides, together, ngff), print) == 0
            made[key] = output
        return made[key]

    return export
