"""Two registered sections in one picture: where they agree it is grey, where not it is coloured."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tme.register.detail import turned
from tme.register.types import Registration, SectionMap
from tme.store import write_bytes

LONGEST_PX = 1600
FULL_OD = 0.6
QUALITY = 85
FOUND, DISPLACED = (0, 158, 115), (213, 94, 0)


def write_picture(path: Path, fixed: SectionMap, moving: SectionMap, found: Registration) -> None:
    """A JPEG: the fixed section takes light from red and blue, the moving one from green.

    A line runs from the middle of each patch to where it was found, ten times as long as it is; green
    within 30 µm, orange beyond.
    """
    shape = fixed.density.shape
    laid = turned(moving.density * moving.usable, found.matrix(fixed.mpp, moving.mpp), shape)
    dark = [np.clip(values / FULL_OD, 0, 1) for values in (fixed.density * fixed.usable, laid)]
    light = [(255 * (1 - values)).astype(np.uint8) for values in dark]
    pixels = np.ascontiguousarray(np.dstack([light[0], light[1], light[0]]))
    scale = min(1.0, LONGEST_PX / max(shape))
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for patch in found.patches:
        start = np.array([patch.x_um, patch.y_um]) * scale / fixed.mpp
        end = start + 10 * np.array([patch.right_um, patch.down_um]) * scale / fixed.mpp
        colour = FOUND if patch.apart_um <= 30 else DISPLACED
        cv2.arrowedLine(pixels, _whole(start), _whole(end), colour, 2, cv2.LINE_AA)
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    write_bytes(path, encoded.tobytes())


def _whole(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
