"""What every stain must hold, and that a new one is one new file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tme.stains
from tests.cell_scenes import MPP, all_tissue, nuclei_field, painted, profile_of
from tme.cells.stage import find_cells
from tme.config import CellSettings, StainSettings
from tme.stains import STAINS, normalised_name, stain_names
from tme.stains.deconvolve import reference_profile
from tme.stains.estimate import estimate_profile
from tme.testing.memory import ArraySlide

NEW_STAIN = """
from tme.stains import STAINS, Stain

CD20 = STAINS.add(
    "CD20",
    Stain("CD20", "CD20 (B lymphocytes)", "dab", ("cells",), "membrane", True, synonyms=("L26", "MS4A1")),
)
"""


@pytest.mark.parametrize("name", STAINS.names())
def test_a_stain_says_what_it_is(name: str) -> None:
    stain = STAINS.get(name)
    assert stain.name == name
    assert stain.title
    assert stain.kind in {"he", "dab"}
    assert stain.targets
    assert set(stain.targets) <= {"cells", "vessels"}
    assert stain.marker_site in {"", "nucleus", "membrane", "endothelium"}
    assert (stain.marker_site == "") == (stain.kind == "he")
    assert (stain.marker_site == "endothelium") == ("vessels" in stain.targets)
    assert not stain.til_marker or "cells" in stain.targets
    assert stain.note, "every marker has confounders"


@pytest.mark.parametrize("name", STAINS.names())
def test_vectors_are_directions_that_can_be_told_apart(name: str) -> None:
    first, second = (np.array(vector) for vector in STAINS.get(name).vectors)
    assert np.linalg.norm(first) == pytest.approx(1, abs=0.02)
    assert np.linalg.norm(second) == pytest.approx(1, abs=0.02)
    assert first.min() >= 0
    assert second.min() >= 0
    assert first @ second < np.cos(np.deg2rad(15))
    assert first[0] > second[0], "haematoxylin absorbs more red than eosin or DAB"


@pytest.mark.parametrize("name", STAINS.names())
def test_a_slide_of_its_own_colours_gives_a_profile(name: str) -> None:
    plain = reference_profile(STAINS.get(name))
    slide = ArraySlide(painted(nuclei_field((260, 260), 1)[0], plain), MPP)
    found = estimate_profile(slide, all_tissue(slide), STAINS.get(name), StainSettings())
    assert found.stain == name
    assert (found.dab_threshold_od is None) == (STAINS.get(name).kind == "he")
    np.testing.assert_allclose(found.vectors[1], plain.vectors[1])


def test_no_spelling_means_two_stains() -> None:
    spellings = [
        normalised_name(spelling) for name, stain in STAINS.items() for spelling in (name, *stain.synonyms)
    ]
    assert all(spellings)
    owners: dict[str, set[str]] = {}
    for name, stain in STAINS.items():
        for spelling in (name, *stain.synonyms):
            owners.setdefault(normalised_name(spelling), set()).add(name)
    assert all(len(names) == 1 for names in owners.values())
    assert set(stain_names()) == set(spellings)


@pytest.fixture
def one_more_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stains' folder with a new file; all is undone afterwards."""
    STAINS.discover()
    (tmp_path / "cd20_stain.py").write_text(NEW_STAIN, encoding="utf-8")
    monkeypatch.setattr(tme.stains, "__path__", [*tme.stains.__path__, str(tmp_path)])
    monkeypatch.setattr(STAINS, "_items", dict(STAINS._items))
    monkeypatch.setattr(STAINS, "_discovered", False)
    yield
    sys.modules.pop("tme.stains.cd20_stain", None)


@pytest.mark.usefixtures("one_more_file")
def test_a_stain_is_added_by_one_new_file() -> None:
    assert "CD20" in STAINS.names()
    assert stain_names()[normalised_name("ms4a1")] == "CD20"
    density, centres = nuclei_field((200, 200), 2, second=0.0)
    density[..., 1][density[..., 0] > 0.5] = 0.6
    slide = ArraySlide(painted(density, profile_of("CD20")), MPP)
    table = find_cells(slide, all_tissue(slide), profile_of("CD20"), STAINS.get("CD20"), CellSettings()).table
    assert table.num_rows == len(centres)
    assert set(table["is_til"].to_pylist()) == {True}


def test_the_new_stain_is_gone_again() -> None:
    assert "CD20" not in STAINS.names()
    assert "l26" not in stain_names()
