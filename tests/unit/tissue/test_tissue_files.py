"""The mask's file, the content of qc.json, and the thumbnail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tme.errors import ArtefactError
from tme.store import canonical_json
from tme.tissue import load_mask, quality, save_mask
from tme.tissue.types import ARTEFACTS, TissueMask


def _mask(blur_share: float = 0.4) -> TissueMask:
    tissue = np.zeros((50, 70), np.bool_)
    tissue[10:40, 10:60] = True
    bits = np.zeros((50, 70), np.uint8)
    bits[10:40, 10 : 10 + int(50 * blur_share)] |= 1 << ARTEFACTS.index("blur")
    bits[10:13, 10:60] |= 1 << ARTEFACTS.index("pen")
    return TissueMask(4.0, 279.0, 199.0, tissue, bits, True, 1)


def test_mask_survives_its_file(tmp_path: Path) -> None:
    mask = replace(_mask(), cautions=("the light falls",))
    header = json.loads(json.dumps(save_mask(tmp_path / "tissue.png", mask)))
    back = load_mask(tmp_path / "tissue.png", header)
    np.testing.assert_array_equal(back.tissue, mask.tissue)
    np.testing.assert_array_equal(back.artefacts, mask.artefacts)
    assert (back.mpp, back.width_um, back.height_um) == (mask.mpp, mask.width_um, mask.height_um)
    assert (back.has_glass, back.n_pieces) == (mask.has_glass, mask.n_pieces)
    assert back.cautions == mask.cautions
    # Folders of an older version can still be exported.
    del header["cautions"]
    assert load_mask(tmp_path / "tissue.png", header).cautions == ()


def test_same_mask_same_bytes(tmp_path: Path) -> None:
    save_mask(tmp_path / "a.png", _mask())
    save_mask(tmp_path / "b.png", _mask())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tissue.png"
    header = save_mask(path, _mask())
    with pytest.raises(ArtefactError, match=r"tissue\.png"):
        load_mask(tmp_path / "absent" / "tissue.png", header)
    with pytest.raises(ArtefactError, match="header"):
        load_mask(path, {key: value for key, value in header.items() if key != "mpp"})
    whole = path.read_bytes()
    for keep in (0, 20, 40, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:keep])
        with pytest.raises(ArtefactError, match=r"tissue\.png"):
            load_mask(path, header)


def test_shares_are_of_the_tissue() -> None:
    report = quality(_mask(), None)
    assert report["tissue_area_mm2"] == pytest.approx(30 * 50 * 16e-6)
    assert report["artefacts"]["blur"] == {"area_mm2": pytest.approx(30 * 20 * 16e-6), "pct": 40.0}
    assert report["artefacts"]["pen"]["pct"] == 10.0
    assert report["artefact_pct"] == pytest.approx(100 * (600 + 90) / 1500)
    assert report["evaluable_pct"] == pytest.approx(100 - report["artefact_pct"])
    assert report["cautions"] == ["40 % of the tissue is out of focus"]
    canonical_json(report)


def test_evaluable_is_what_the_caller_says() -> None:
    mask = _mask()
    some = mask.usable.copy()
    some[:, 40:] = False
    assert quality(mask, some)["evaluable_area_mm2"] == pytest.approx(mask.area_mm2(some))


def test_many_small_artefacts_are_cautioned_together() -> None:
    report = quality(_mask(0.28), None)
    assert report["artefacts"]["blur"]["pct"] <= 30
    assert report["artefact_pct"] > 30
    assert len(report["cautions"]) == 1


def test_no_tissue_has_no_shares() -> None:
    mask = TissueMask(4.0, 280.0, 200.0, np.zeros((50, 70), bool), np.zeros((50, 70), np.uint8), True, 0)
    report = quality(mask, None)
    assert report["tissue_area_mm2"] == 0
    assert report["artefact_pct"] is None
    assert report["artefacts"]["pen"]["pct"] is None
    assert report["cautions"] == ["no tissue was found"]
    canonical_json(report)
