"""TissueMask -> the content of qc.json: how much tissue, how much of it cannot be trusted."""

from __future__ import annotations

from typing import Any

from tme.tissue.types import ARTEFACTS, Mask, TissueMask

CAUTION_PCT = 30.0
WORDS = {
    "pen": "under pen",
    "fold": "folded",
    "blur": "out of focus",
    "bubble": "under air bubbles",
    "edge": "at the cover slip's edge",
    "unreadable": "unreadable",
}


def quality(tissue: TissueMask, evaluable: Mask | None) -> dict[str, Any]:
    """Areas and shares of one slide; every share is of the tissue, not of the slide.

    Parameters
    ----------
    tissue : TissueMask
    evaluable : (H, W) bool or None
        What is left after artefacts and excluded regions; ``tissue.usable`` if None.

    Returns
    -------
    dict
        JSON-able: areas in mm², shares in %, ``None`` where there is no tissue.
    """
    total = tissue.area_mm2(tissue.tissue)
    left = tissue.area_mm2(tissue.usable if evaluable is None else evaluable)
    lost = tissue.area_mm2(tissue.artefacts != 0)
    artefacts = {name: _amount(tissue.area_mm2(tissue.artefact(name)), total) for name in ARTEFACTS}
    return {
        "mask_mpp_um": round(tissue.mpp, 6),
        "has_glass": tissue.has_glass,
        "n_tissue_pieces": tissue.n_pieces,
        "tissue_area_mm2": round(total, 6),
        "artefact_area_mm2": round(lost, 6),
        "artefact_pct": _share(lost, total),
        "evaluable_area_mm2": round(left, 6),
        "evaluable_pct": _share(left, total),
        "artefacts": artefacts,
        "cautions": [*tissue.cautions, *_cautions(artefacts, _share(lost, total))],
    }


def _amount(area_mm2: float, total_mm2: float) -> dict[str, float | None]:
    return {"area_mm2": round(area_mm2, 6), "pct": _share(area_mm2, total_mm2)}


def _share(area_mm2: float, total_mm2: float) -> float | None:
    return round(100.0 * area_mm2 / total_mm2, 3) if total_mm2 > 0 else None


def _cautions(artefacts: dict[str, dict[str, float | None]], lost_pct: float | None) -> list[str]:
    if lost_pct is None:
        return ["no tissue was found"]
    said = [
        f"{amount['pct']:.0f} % of the tissue is {WORDS[name]}"
        for name, amount in artefacts.items()
        if amount["pct"] is not None and amount["pct"] > CAUTION_PCT
    ]
    if not said and lost_pct > CAUTION_PCT:
        said = [f"{lost_pct:.0f} % of the tissue cannot be trusted (pen, folds, focus)"]
    return said
