"""The labelled sets, each with what it labels and does not label, and who belongs together.

Nothing of these sets is in this repository; `folder` is where an evaluation kit with them lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.learn.field import Field, from_masks, from_points, with_weak_negatives
from training.parallel import mapped

TYPICAL_UM2 = 38.0
Label = dict[str, NDArray[Any]]

# Tiles of MoNuSeg kept for validation, at least one patient of each organ.
MONUSEG_HELD = (
    "TCGA-A7-A13F", "TCGA-E2-A14V", "TCGA-HE-7129", "TCGA-B0-5710", "TCGA-49-4488", "TCGA-21-5786",
    "TCGA-G9-6348", "TCGA-CH-5767", "TCGA-G2-A2EK", "TCGA-NH-A8F7", "TCGA-RD-A8N9",
)  # fmt: skip
MONUSAC_HELD = ("TCGA-2Z-A9JN", "TCGA-49-6743")
LGG_HELD = ("TCGA-DB-5275",)

# Columns the masks of a field lie to the left of its nuclei: where they agree best with darkness in red
# (correlation .64, .51 as they are); a network learns the displacement by heart and splits nuclei there.
DISPLACED_PX = {"train_Bladder1": 6}


@dataclass(frozen=True)
class Split:
    """Fields to learn from and fields of other patients to choose by."""

    train: list[Field]
    held: list[Field]


def load(folder: Path, workers: int = 0) -> Split:
    """Every labelled field under ``folder`` (``he/`` and ``ihc/``), read by so many processes."""
    paths = [(name, path) for name in READERS for path in sorted((folder / name).glob("*.npz"))]
    fields = [field for field in mapped(_field, paths, workers) if len(field.centres)]
    held = [field for field in fields if is_held(field)]
    return Split([field for field in fields if not is_held(field)], held)


def _field(where: tuple[str, Path]) -> Field:
    name, path = where
    return READERS[name](path)


def is_held(field: Field) -> bool:
    """Whether a field's patient belongs to validation."""
    if field.dataset in {"monuseg", "monusac", "tcga_lgg"}:
        return field.patient in {*MONUSEG_HELD, *MONUSAC_HELD, *LGG_HELD}
    if field.dataset.startswith(("ki67", "deepliif")):
        return False
    # Where patients are not told apart, one field in five by the hash of its name.
    return int(hashlib.sha256(field.patient.encode()).hexdigest(), 16) % 5 == 0


def _read(path: Path) -> tuple[NDArray[np.uint8], Label]:
    image = next(p for p in map(path.with_suffix, (".png", ".webp", ".jpg")) if p.exists())
    with np.load(path, allow_pickle=False) as stored:
        label = {key: stored[key] for key in stored.files}
    return np.ascontiguousarray(cv2.imread(str(image))[..., ::-1]), label


def _mpp(label: Label, default: float = 0.25) -> float:
    for key in ("mpp", "mpp_nominal"):
        if key in label and np.isfinite(float(label[key])):
            return float(label[key])
    return default


def _classes(label: Label) -> NDArray[np.float32]:
    names = label["cls"]
    known = np.where(names == "lymphocyte", 1.0, 0.0)
    return np.where(names == "unknown", np.nan, known).astype(np.float32)


def _in_mask_order(label: Label, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of points as values of mask labels, by the point that lies in each mask."""
    masks, points = label["inst"], label["points"]
    present = np.unique(masks[masks > 0])
    if len(present) == len(points):
        return values
    column, row = np.clip(points.astype(int).T, 0, np.array(masks.shape)[::-1, None] - 1)
    of_mask = dict(zip(masks[row, column].tolist(), values.tolist(), strict=True))
    return np.array([of_mask.get(int(k), np.nan) for k in present], np.float32)


def crc(path: Path) -> Field:
    """Centres and classes, colon at 20x; a quarter of the nuclei have no class."""
    rgb, label = _read(path)
    return from_points(
        path.stem,
        "crchistophenotypes",
        f"crc-{path.stem}",
        rgb,
        _mpp(label),
        label["points"],
        _classes(label),
    )


def monusac(path: Path) -> Field:
    """Masks and classes of four kinds of cell; other nuclei are there and not labelled."""
    rgb, label = _read(path)
    classes = _in_mask_order(label, _classes(label))
    field = from_masks(
        path.stem, "monusac", path.stem[:12], rgb, 0.25, label["inst"], classes, complete=False
    )
    # Macrophages were drawn as whole cells: no nucleus is that large.
    area = np.bincount(np.maximum(field.instances, 0).ravel(), minlength=len(field.centres) + 1)[1:] * 0.25**2
    return _forgotten(field, area > 250)


def monuseg(path: Path) -> Field:
    """Masks of every nucleus, seven organs; no classes."""
    rgb, label = _read(path)
    field = from_masks(path.stem, "monuseg", path.stem[:12], rgb, _mpp(label), label["inst"])
    return with_weak_negatives(field, 0.5, everywhere=False)


def pannuke(path: Path) -> Field:
    """Masks; classes of one source are not to be trusted."""
    rgb, label = _read(path)
    classes = None if path.stem.startswith("blockitigo") else _in_mask_order(label, _classes(label))
    field = from_masks(
        path.stem, "pannuke_samples", f"pannuke-{path.stem}", rgb, 0.25, label["inst"], classes
    )
    return with_weak_negatives(field, 0.5, everywhere=False)


def lgg(path: Path) -> Field:
    """Masks of glioma, which holds next to no lymphocytes."""
    rgb, label = _read(path)
    field = from_masks(path.stem, "tcga_lgg", path.stem[:12], rgb, 0.25, label["inst"])
    return with_weak_negatives(field, 0.4, everywhere=True)


def dsb(path: Path) -> Field:
    """Masks at unknown magnification: scaled so that the median nucleus has a typical size."""
    rgb, label = _read(path)
    area = np.bincount(label["inst"].ravel())[1:]
    area = area[area > 0]
    typical = float(np.median(area)) if len(area) else 400.0
    mpp = float(np.clip(np.sqrt(TYPICAL_UM2 / typical), 0.15, 0.6))
    field = from_masks(path.stem, "dsb2018_purple", f"dsb-{path.stem}", rgb, mpp, label["inst"])
    return with_weak_negatives(field, 0.3, everywhere=False, least_um2=90.0)


def ki67(path: Path) -> Field:
    """Centres of tumour nuclei on a DAB section; others are not labelled."""
    rgb, label = _read(path)
    none = np.full(len(label["points"]), np.nan, np.float32)
    return from_points(
        path.stem, "ki67_points", f"ki67-{path.stem}", rgb, _mpp(label), label["points"], none, complete=False
    )


def deepliif(path: Path) -> Field:
    """Masks on a DAB section, of all nuclei or of the tumour's alone; displaced ones put back."""
    rgb, label = _read(path)
    masks, complete = label["inst"], bool(label["complete"])
    off = DISPLACED_PX.get(path.stem, 0)
    if off:
        rgb, masks = np.ascontiguousarray(rgb[:, off:]), np.ascontiguousarray(masks[:, :-off])
    return from_masks(path.stem, "deepliif", f"deepliif-{path.stem}", rgb, _mpp(label), masks, None, complete)


def _forgotten(field: Field, which: NDArray[np.bool_]) -> Field:
    """The field with some masks turned into places where nobody knows."""
    keep = ~which
    number = np.zeros(len(which) + 1, np.int32)
    number[1:] = np.where(keep, np.cumsum(keep), -1)
    labels = number[np.maximum(field.instances, 0)]
    labels[field.instances < 0] = -1
    return replace(
        field,
        instances=labels,
        centres=field.centres[keep],
        lymphocyte=field.lymphocyte[keep],
        certainty=field.certainty[keep],
    )


READERS: dict[str, Callable[[Path], Field]] = {
    "he/crchistophenotypes": crc,
    "he/monusac": monusac,
    "he/monuseg": monuseg,
    "he/pannuke_samples": pannuke,
    "he/tcga_lgg": lgg,
    "he/dsb2018_purple": dsb,
    "ihc/ki67_points": ki67,
    "ihc/deepliif_tumour": deepliif,
    "ihc/deepliif_complete": deepliif,
}


def by_set(fields: list[Field]) -> Iterator[tuple[str, list[Field]]]:
    """Fields grouped by set, in a fixed order."""
    for name in sorted({field.dataset for field in fields}):
        yield name, [field for field in fields if field.dataset == name]
