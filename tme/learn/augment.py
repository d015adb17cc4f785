"""Field -> Crop: another place, angle and size, and another scanner, stain and focus.

A crop is drawn straight from the field's own pixels: twice too fine and then averaged, which is what
reading a slide at the working resolution does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.learn.field import Field, centroids
from tme.learn.network import WORK_MPP
from tme.learn.targets import Crop
from tme.slide.types import RGB

FINER = 2
# Haematoxylin, eosin, and what is at right angles to both (Ruifrok and Johnston 2001), rows of length 1.
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)
DAB = np.array([0.40, 0.60, 0.69], np.float32)
LOG = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


@dataclass(frozen=True)
class Strength:
    """How far crops stray from their fields.

    Attributes
    ----------
    scale : float
        Largest factor of magnification, either way.
    stain : float
        Spread of the logarithm of each stain's amount.
    vector : float
        Spread of each component of a stain's vector.
    recolour : float
        Share of crops with masks that are turned into a DAB section.
    pigment : float
        Share of completely outlined crops that get pigment and dirt, which are no nuclei.
    blur, jpeg, noise : float
        Share of crops that lose focus, are compressed again, get noise.
    """

    scale: float = 1.25
    stain: float = 0.28
    vector: float = 0.05
    recolour: float = 0.12
    pigment: float = 0.1
    blur: float = 0.35
    jpeg: float = 0.35
    noise: float = 0.3


def draw_crop(field: Field, side: int, strength: Strength, rng: np.random.Generator) -> Crop:
    """A random, augmented (side, side) crop of a field at the working resolution."""
    crop = place(field, side, _placement(field, side, strength, rng))
    rgb, brown = crop.rgb, True
    if crop.instances is not None and rng.random() < strength.recolour:
        rgb, brown = as_dab(rgb, crop.instances, rng), False
    else:
        rgb = restained(rgb, strength, rng)
    if crop.instances is not None and crop.complete and rng.random() < strength.pigment:
        rgb = with_pigment(rgb, crop.instances, brown, rng)
    return Crop(
        through_scanner(rgb, strength, rng),
        crop.instances,
        crop.centres,
        crop.lymphocyte,
        crop.certainty,
        crop.complete,
        crop.valid,
    )


def quilt(parts: Sequence[Crop]) -> Crop:
    """Four square crops of one size as one of twice the side; labelled as far as the least labelled is."""
    side = parts[0].valid.shape[0]
    own = [_owning(part) for part in parts]
    corners = [(0, 0), (side, 0), (0, side), (side, side)]
    first = np.cumsum([0, *(len(part.centres) for part in own)])

    def joined(planes: list[NDArray[Any]]) -> NDArray[Any]:
        return np.vstack([np.hstack(planes[:2]), np.hstack(planes[2:])])

    labels = [part.instances for part in own]
    instances = None
    if all(label is not None for label in labels):
        instances = joined([np.where(m > 0, m + first[k], m) for k, m in enumerate(labels) if m is not None])
    centres = [part.centres + np.array(corner, np.float32) for part, corner in zip(own, corners, strict=True)]
    return Crop(
        joined([part.rgb for part in own]),
        instances,
        np.concatenate(centres).astype(np.float32),
        np.concatenate([part.lymphocyte for part in own]),
        np.concatenate([part.certainty for part in own]),
        all(part.complete for part in own),
        joined([part.valid for part in own]),
    )


def _owning(crop: Crop) -> Crop:
    """The crop with the nuclei whose centre lies in it; what is seen of others is nobody's.

    Beside another crop their centre would lie on foreign ground.
    """
    side = crop.valid.shape[0]
    keep = ((crop.centres >= 0) & (crop.centres < side)).all(1)
    instances = crop.instances
    if instances is not None:
        number = np.zeros(len(keep) + 1, np.int32)
        number[1:] = np.where(keep, np.cumsum(keep), -1)
        instances = np.where(instances < 0, -1, number[np.maximum(instances, 0)]).astype(np.int32)
    return Crop(
        crop.rgb,
        instances,
        crop.centres[keep],
        crop.lymphocyte[keep],
        crop.certainty[keep],
        crop.complete,
        crop.valid,
    )


def plain_crop(field: Field) -> Crop:
    """The whole field at the working resolution, nothing changed; sides are multiples of 16, padded."""
    ratio = field.mpp / WORK_MPP
    height, width = (int(np.ceil(n * ratio / 16)) * 16 for n in field.rgb.shape[:2])
    matrix = np.array([[ratio, 0, 0], [0, ratio, 0]], np.float64)
    return place(field, max(height, width), matrix)


def _placement(field: Field, side: int, strength: Strength, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3) matrix from field pixels to crop pixels."""
    reach = np.log(strength.scale)
    ratio = field.mpp / WORK_MPP * float(np.exp(rng.uniform(-reach, reach)))
    height, width = field.rgb.shape[:2]
    turn = 90.0 * rng.integers(4)
    if min(height, width) * ratio > 1.5 * side:
        turn += rng.uniform(-45, 45)
    cosine, sine = np.cos(np.deg2rad(turn)) * ratio, np.sin(np.deg2rad(turn)) * ratio
    flip = rng.choice([-1.0, 1.0])
    linear = np.array([[cosine * flip, -sine], [sine * flip, cosine]])
    half = side / 2 / ratio
    middle = [
        rng.uniform(half, length - half) if length > 2 * half else length / 2 for length in (width, height)
    ]
    jitter = rng.uniform(-1, 1, 2)
    return np.column_stack([linear, np.array([side / 2, side / 2]) + jitter - linear @ np.array(middle)])


def place(field: Field, side: int, matrix: NDArray[np.float64]) -> Crop:
    """Lay a field on a (side, side) canvas by a matrix from field to canvas pixels."""
    centres = field.centres @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
    fine = _pixel_centres(matrix * FINER)
    rgb = cv2.warpAffine(
        field.rgb, fine, (side * FINER, side * FINER), flags=cv2.INTER_LINEAR, borderValue=(240, 240, 240)
    )
    rgb = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    coarse = _pixel_centres(matrix)
    inside = cv2.warpAffine(
        np.ones(field.rgb.shape[:2], np.uint8), coarse, (side, side), flags=cv2.INTER_NEAREST
    )
    instances = None
    if field.instances is not None:
        instances = halved(
            cv2.warpAffine(
                field.instances.astype(np.float32),
                fine,
                (side * FINER, side * FINER),
                flags=cv2.INTER_NEAREST,
            ).astype(np.int32)
        )
    # Far-away centres cost time and say nothing.
    return _near_only(
        Crop(
            np.asarray(rgb, np.uint8),
            instances,
            centres.astype(np.float32),
            field.lymphocyte,
            field.certainty,
            field.complete,
            inside > 0,
        )
    )


def halved(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """(2H, 2W) -> (H, W) int32: what most of two by two pixels are.

    Where two are one thing and two another, pixels take turns like the fields of a chessboard: always
    the same one of four would move every outline by a quarter of a pixel.
    """
    height, width = labels.shape[0] // 2, labels.shape[1] // 2
    four = labels.reshape(height, 2, width, 2).transpose(1, 3, 0, 2).reshape(4, height, width)
    # Sorted by a network of five comparisons: with `np.sort` all of it takes four times as long.
    first, second = np.minimum(four[0], four[1]), np.maximum(four[0], four[1])
    third, fourth = np.minimum(four[2], four[3]), np.maximum(four[2], four[3])
    lowest, between = np.minimum(first, third), np.maximum(first, third)
    beside, highest = np.minimum(second, fourth), np.maximum(second, fourth)
    low, high = np.minimum(between, beside), np.maximum(between, beside)
    turn = np.indices((height, width)).sum(0) % 2 == 0
    low_pair, high_pair = lowest == low, high == highest
    take_high = (low != high) & high_pair & (~low_pair | turn)
    return np.where(take_high, high, low)


def _near_only(crop: Crop) -> Crop:
    side = crop.valid.shape[0]
    keep = ((crop.centres > -32) & (crop.centres < side + 32)).all(1)
    instances = crop.instances
    if instances is not None:
        keep[np.unique(instances[instances > 0]) - 1] = True
        number = np.zeros(len(keep) + 1, np.int32)
        number[1:] = np.where(keep, np.cumsum(keep), 0)
        instances = np.where(instances < 0, -1, number[np.maximum(instances, 0)]).astype(np.int32)
    centres = crop.centres[keep] if instances is None else _seen_centres(instances, crop.centres[keep])
    return Crop(
        crop.rgb,
        instances,
        centres,
        crop.lymphocyte[keep],
        crop.certainty[keep],
        crop.complete,
        crop.valid,
    )


def _seen_centres(instances: NDArray[np.int32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centres in which nuclei cut by the border have that of what is seen of them.

    That is what a nucleus at the edge of an image is counted by, and all that can be known of it.
    """
    border = np.concatenate([instances[0], instances[-1], instances[:, 0], instances[:, -1]])
    cut = np.unique(border[border > 0])
    if not len(cut):
        return centres
    out = centres.copy()
    out[cut - 1] = centroids(instances, len(centres))[cut - 1]
    return out


def _pixel_centres(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same map for OpenCV, which puts a pixel's centre at whole numbers."""
    shift = matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return np.column_stack([matrix[:, :2], matrix[:, 2] + shift])


def restained(rgb: RGB, strength: Strength, rng: np.random.Generator) -> RGB:
    """More or less of each stain, of slightly other colours, on slightly other glass."""
    amount = np.exp(rng.normal(0, strength.stain, 3)).astype(np.float32)
    other = STAINS + rng.normal(0, strength.vector, (3, 3)).astype(np.float32)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    change = np.linalg.inv(STAINS) @ (amount[:, None] * other)
    glass = rng.normal(0, 0.03, 3).astype(np.float32) + np.float32(abs(rng.normal(0, 0.04)))
    return _developed(LOG[rgb] @ change.astype(np.float32) + glass)


def as_dab(rgb: RGB, instances: NDArray[np.int32], rng: np.random.Generator) -> RGB:
    """An H&E crop as a DAB section: blue nuclei, little else, and some cells brown.

    Brown lies in the nucleus or in a ring around it, of uneven strength, on a random share of cells.
    """
    amount = np.maximum(LOG[rgb] @ np.linalg.inv(STAINS), 0).astype(np.float32)
    blue = np.array([0.62, 0.63, 0.43], np.float32) + rng.normal(0, 0.05, 3).astype(np.float32)
    grey = np.array([0.56, 0.60, 0.57], np.float32)
    density = (
        amount[..., :1] * rng.uniform(0.25, 1.0) * blue + amount[..., 1:2] * rng.uniform(0.08, 0.35) * grey
    )
    count = int(instances.max())
    brown = rng.random(count + 1) < rng.choice([0.0, rng.uniform(0.05, 0.7)])
    brown[0] = False
    strength = rng.uniform(0.5, 1.6, count + 1).astype(np.float32) * brown
    place_ = np.maximum(instances, 0)
    marker = strength[place_]
    if rng.random() < 0.5:
        grown = cv2.dilate(marker, np.ones((5, 5), np.uint8))
        inner = cv2.erode((place_ > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        marker = np.maximum(grown * (inner == 0), marker * np.float32(rng.uniform(0.2, 0.8)))
    marker = cv2.GaussianBlur(marker, (0, 0), rng.uniform(0.6, 1.4))
    haze = rng.uniform(0, 0.12)
    return _developed(density + (marker + np.float32(haze))[..., None] * DAB)


def with_pigment(rgb: RGB, instances: NDArray[np.int32], brown: bool, rng: np.random.Generator) -> RGB:
    """Specks beside the nuclei: black ones (dust, carbon, formalin pigment), or brown grains in clouds.

    Brown ones (melanin, haemosiderin) are left out where brown is the mark of a cell.
    """
    density = np.zeros((*rgb.shape[:2], 3), np.float32)
    free = np.flatnonzero(instances == 0)
    if not len(free):
        return rgb
    for place_ in free[rng.integers(len(free), size=1 + rng.poisson(4))]:
        y, x = divmod(int(place_), rgb.shape[1])
        cloud = brown and rng.random() < 0.5
        if cloud:
            colour = np.array([rng.uniform(0.45, 0.8), rng.uniform(0.7, 0.95), 1.0])
            spots = np.array([x, y]) + rng.normal(0, rng.uniform(2, 7), (1 + rng.poisson(14), 2))
            radii = rng.uniform(0.5, 2.0, len(spots))
        else:
            colour = 1 + rng.normal(0, 0.08, 3)
            spots, radii = np.array([[x, y]], np.float64), rng.uniform(1.5, 6.0, 1)
        cover = np.zeros(rgb.shape[:2], np.float32)
        for spot, radius in zip(spots, radii, strict=True):
            axes = np.array([radius, radius * rng.uniform(0.5, 1.0)])
            middle, size = (np.round(v * 16).astype(int).tolist() for v in (spot, axes))
            cv2.ellipse(cover, middle, size, float(rng.uniform(0, 180)), 0, 360, 1.0, -1, cv2.LINE_8, 4)
        strength = rng.uniform(0.6, 1.8) if cloud else rng.uniform(1.0, 2.4)
        cover = cv2.GaussianBlur(cover, (0, 0), 0.6) * np.float32(strength)
        density += cover[..., None] * colour.astype(np.float32)
    return _developed(LOG[rgb] + density)


def through_scanner(rgb: RGB, strength: Strength, rng: np.random.Generator) -> RGB:
    """Focus, sharpening, sampling, tone, noise and compression of another scanner."""
    side = rgb.shape[0]
    if rng.random() < strength.blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.3, 1.4)))
    elif rng.random() < 0.2:
        soft = cv2.GaussianBlur(rgb, (0, 0), 1.0)
        rgb = cv2.addWeighted(rgb, 1.6, soft, -0.6, 0)
    if rng.random() < 0.15:
        coarse = round(side / float(rng.uniform(1.0, 1.5)))
        rgb = cv2.resize(rgb, (coarse, coarse), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        tone = np.arange(256, dtype=np.float32)[:, None] / 255
        tone = tone ** np.exp(rng.normal(0, 0.12, 3)) * rng.uniform(0.92, 1.06, 3)
        table = np.clip(tone * 255 + 0.5, 0, 255).astype(np.uint8)
        rgb = cv2.LUT(np.ascontiguousarray(rgb), table.reshape(256, 1, 3))
    if rng.random() < strength.noise:
        grain = rng.normal(0, rng.uniform(1, 7), rgb.shape).astype(np.float32)
        rgb = np.clip(rgb + grain, 0, 255).astype(np.uint8)
    if rng.random() < strength.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        packed = cv2.imencode(".jpg", rgb[..., ::-1], quality)[1]
        rgb = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(rgb, np.uint8)


def _developed(density: NDArray[np.float32]) -> RGB:
    return np.clip(256 * np.exp(-density) - 0.5, 0, 255).astype(np.uint8)
