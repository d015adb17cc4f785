"""Answers of a network against labelled fields: detection, masks, lymphocytes.

The measures users of the field know (F1 within 3 µm, F1 and PQ at IoU 0.5, F1 of lymphocytes), for the
log of a training and for choosing thresholds. `benchmark` tables are made by running tme itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.cells.instances import Decoding, Instances, decode
from tme.learn.augment import plain_crop
from tme.learn.field import Field
from tme.learn.network import WORK_MPP, NucleusNet
from tme.learn.targets import Crop

RADIUS_UM = 3.0


@dataclass(frozen=True, eq=False)
class Answered:
    """A field, its whole crop and what the network said of it, (5, S, S) float32."""

    field: Field
    crop: Crop
    answer: NDArray[np.float32]


def ask(network: NucleusNet, fields: Iterable[Field]) -> list[Answered]:
    """The network's answers on whole fields, from wherever it lives."""
    network.eval()
    device = next(network.parameters()).device
    out = []
    for field in fields:
        crop = plain_crop(field)
        rgb = torch.from_numpy(crop.rgb.transpose(2, 0, 1)[None].copy()).float()
        with torch.no_grad():
            answer = network(rgb.to(device, memory_format=torch.channels_last))[0].contiguous().cpu().numpy()
        out.append(Answered(field, crop, answer))
    return out


@dataclass(frozen=True, eq=False)
class Matched:
    """Instances of one field beside its labels.

    Attributes
    ----------
    pairs : (m, 2) int64
        Index of the instance and of the label, one to one, nearest first.
    instances : Instances
    iou : (n_labels,) float64
        Overlap of each label with its best instance; empty without masks.
    """

    answered: Answered
    instances: Instances
    pairs: NDArray[np.int64]
    iou: NDArray[np.float64]


def match(answered: Answered, rule: Decoding) -> Matched:
    """Read one field's answers and pair them with its labels."""
    answer = np.where(answered.crop.valid, answered.answer, np.float32(-20.0))
    found = without_specks(decode(np.asarray(answer, np.float32), rule), rule.least_um2)
    return pair(answered, found)


def pair(answered: Answered, found: Instances) -> Matched:
    """Pair instances found on a field with its labels."""
    pairs = _one_to_one(centres_of(found) * WORK_MPP, answered.crop.centres.astype(np.float64) * WORK_MPP)
    return Matched(answered, found, pairs, _overlaps(found.labels, answered.crop))


def centres_of(found: Instances) -> NDArray[np.float64]:
    """(n, 2) x, y of the instances, px."""
    count = len(found.peak)
    owner = found.labels.ravel()
    number = np.maximum(np.bincount(owner, minlength=count + 1), 1)
    y, x = np.divmod(np.arange(owner.size), found.labels.shape[1])
    return np.stack([np.bincount(owner, axis + 0.5, count + 1) / number for axis in (x, y)], 1)[1:]


def without_specks(found: Instances, least_um2: float) -> Instances:
    """The same without instances smaller than ``least_um2``."""
    size = np.bincount(found.labels.ravel(), minlength=len(found.peak) + 1)
    keep = size * WORK_MPP**2 >= least_um2
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    kept = keep[1:]
    return Instances(number[found.labels], found.level, found.peak[kept], found.lymphocyte[kept])


def _one_to_one(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.int64]:
    if not len(found) or not len(true):
        return np.zeros((0, 2), np.int64)
    near = cKDTree(found).sparse_distance_matrix(cKDTree(true), RADIUS_UM, output_type="coo_matrix")
    taken_found, taken_true, keep = set(), set(), []
    for k in np.lexsort((near.col, near.row, near.data)):
        i, j = int(near.row[k]), int(near.col[k])
        if i not in taken_found and j not in taken_true:
            taken_found.add(i)
            taken_true.add(j)
            keep.append((i, j))
    return np.array(keep, np.int64).reshape(-1, 2)


def _overlaps(labels: NDArray[np.int32], crop: Crop) -> NDArray[np.float64]:
    if crop.instances is None:
        return np.zeros(0)
    true = np.maximum(crop.instances, 0)
    shape = (int(true.max()) + 1, int(labels.max()) + 1)
    both = np.bincount(true.ravel() * shape[1] + labels.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    union = both.sum(1)[1:, None] + both.sum(0)[None, 1:] - both[1:, 1:]
    if shape[1] == 1:
        return np.zeros(shape[0] - 1)
    return np.asarray((both[1:, 1:] / np.maximum(union, 1)).max(1), np.float64)


def detection(matched: Sequence[Matched]) -> dict[str, float]:
    """Pooled F1, precision and recall within 3 µm; F1 and PQ of masks at IoU 0.5 where there are masks."""
    hits = sum(len(m.pairs) for m in matched)
    found = sum(len(m.instances.peak) for m in matched)
    true = sum(len(m.answered.crop.centres) for m in matched)
    out = {"f1": 2 * hits / max(found + true, 1), "p": hits / max(found, 1), "r": hits / max(true, 1)}
    masked = [m for m in matched if m.answered.crop.instances is not None and m.answered.crop.complete]
    if masked:
        overlap = np.concatenate([m.iou[m.iou > 0.5] for m in masked])
        both = sum(len(m.instances.peak) + len(m.iou) for m in masked)
        out |= {"f1_mask": 2 * len(overlap) / max(both, 1), "pq": 2 * float(overlap.sum()) / max(both, 1)}
    return out


def lymphocytes(
    matched: Sequence[Matched], score: Callable[[Instances], NDArray[np.floating]]
) -> dict[str, float]:
    """Pooled F1 of lymphocytes, those that score 0 or more; on labels of unknown class nothing counts."""
    hit = wrong = missed = 0
    for m in matched:
        called = score(m.instances) >= 0
        truth = m.answered.crop.lymphocyte
        certain = m.answered.crop.certainty >= 1
        label = np.full(len(called), np.nan if not m.answered.crop.complete else 0.0)
        known = certain[m.pairs[:, 1]]
        label[m.pairs[:, 0]] = np.where(known, truth[m.pairs[:, 1]], np.nan)
        hit += int((called & (label == 1)).sum())
        wrong += int((called & (label == 0)).sum())
        missed += int(((truth == 1) & certain).sum())
    missed -= hit
    return {"f1_til": 2 * hit / max(2 * hit + wrong + missed, 1)}
