"""A labelled field: an image and what is known, and not known, about its nuclei."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB

UNKNOWN = np.float32(np.nan)


@dataclass(frozen=True, eq=False)
class Field:
    """One image with labels of its nuclei.

    Attributes
    ----------
    name, dataset, patient : str
        ``patient`` is what a split must keep together.
    rgb : (H, W, 3) uint8
    mpp : float
        µm/px of ``rgb``.
    centres : (n, 2) float32
        x, y of every labelled nucleus, px from the top-left corner.
    instances : (H, W) int32 or None
        Label k is nucleus k-1 of ``centres``; 0 is background, -1 is where nobody knows. None where
        only centres were labelled.
    lymphocyte : (n,) float32
        1 lymphocyte (or another TIL), 0 another nucleus, NaN where the class is unknown.
    certainty : (n,) float32
        Weight of ``lymphocyte``: below 1 where it was inferred and not labelled.
    complete : bool
        Whether what is not labelled is not a nucleus.
    """

    name: str
    dataset: str
    patient: str
    rgb: RGB
    mpp: float
    centres: NDArray[np.float32]
    instances: NDArray[np.int32] | None
    lymphocyte: NDArray[np.float32]
    certainty: NDArray[np.float32]
    complete: bool = True


def from_masks(
    name: str,
    dataset: str,
    patient: str,
    rgb: RGB,
    mpp: float,
    masks: NDArray[np.int32],
    lymphocyte: NDArray[np.float32] | None = None,
    complete: bool = True,
) -> Field:
    """A field from a label map; ``lymphocyte[k]`` belongs to the k-th smallest label present."""
    present, inverse = np.unique(masks, return_inverse=True)
    labels = inverse.reshape(masks.shape).astype(np.int32) + (0 if 0 in present else 1)
    count = int(labels.max())
    known = np.full(count, UNKNOWN) if lymphocyte is None else np.asarray(lymphocyte, np.float32)
    return Field(
        name,
        dataset,
        patient,
        rgb,
        mpp,
        centroids(labels, count),
        labels,
        known,
        np.isfinite(known).astype(np.float32),
        complete,
    )


def from_points(
    name: str,
    dataset: str,
    patient: str,
    rgb: RGB,
    mpp: float,
    centres: NDArray[np.float32],
    lymphocyte: NDArray[np.float32],
    complete: bool = True,
) -> Field:
    """A field of which only the nuclei's centres are known."""
    known = np.asarray(lymphocyte, np.float32)
    points = np.asarray(centres, np.float32).reshape(-1, 2)
    return Field(
        name, dataset, patient, rgb, mpp, points, None, known, np.isfinite(known).astype(np.float32), complete
    )


def centroids(labels: NDArray[np.int32], count: int) -> NDArray[np.float32]:
    """(count, 2) x, y of labels 1..count, px; a pixel's centre lies at +0.5."""
    owner = np.maximum(labels, 0).ravel()
    number = np.maximum(np.bincount(owner, minlength=count + 1), 1)
    y, x = np.divmod(np.arange(labels.size), labels.shape[1])
    sums = [np.bincount(owner, axis + 0.5, count + 1) / number for axis in (x, y)]
    return np.stack(sums, axis=1)[1:].astype(np.float32)


def with_weak_negatives(field: Field, weight: float, everywhere: bool, least_um2: float = 65.0) -> Field:
    """Say "not a lymphocyte", with less than full weight, of nuclei whose class nobody labelled.

    Parameters
    ----------
    field : Field
    weight : float
        Certainty given, 0-1.
    everywhere : bool
        All such nuclei (tissue known to be poor in lymphocytes); else only those too large or too long
        to be one.
    least_um2 : float
        Nuclei from this area on are too large: a lymphocyte's nucleus is about 7 µm wide (38 µm²).
    """
    unknown = ~np.isfinite(field.lymphocyte)
    chosen = unknown if everywhere else unknown & _not_lymphoid(field, least_um2)
    return replace(
        field,
        lymphocyte=np.where(chosen, 0, field.lymphocyte).astype(np.float32),
        certainty=np.where(chosen, weight, field.certainty).astype(np.float32),
    )


def _not_lymphoid(field: Field, least_um2: float) -> NDArray[np.bool_]:
    """(n,) whether a nucleus' mask is too large or more than twice as long as wide."""
    labels = field.instances
    if labels is None:
        return np.zeros(len(field.centres), bool)
    out = np.zeros(len(field.centres), bool)
    for k in range(len(out)):
        x, y = field.centres[k].astype(int)
        reach = round(20 / field.mpp)
        part = labels[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach] == k + 1
        moments = cv2.moments(part.astype(np.uint8), binaryImage=True)
        if moments["m00"] < 4:
            continue
        xx, yy, xy = (moments[key] / moments["m00"] for key in ("mu20", "mu02", "mu11"))
        half = np.hypot((xx - yy) / 2, xy)
        ratio = np.sqrt(((xx + yy) / 2 + half) / max((xx + yy) / 2 - half, 1e-6))
        out[k] = moments["m00"] * field.mpp**2 >= least_um2 or ratio > 2.0
    return out
