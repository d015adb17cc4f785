"""A label mask and the table of its classes -> label map and kinds, checked against the image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.cohort.reader import read_table
from tme.cohort.text import plain
from tme.errors import AnnotationError
from tme.learn.field import UNKNOWN
from tme.learn.labels import Names
from tme.safety import error_text

MAX_BYTES = 400_000_000
FIX = "save 16- or 32-bit label numbers, 0 for background, one number a nucleus"


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W) int32: 0 background, -1 unknown, else the label of a nucleus.

    Raises
    ------
    AnnotationError
        If it cannot be read, is no label map, or has another size than the image.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is over {MAX_BYTES // 1_000_000} MB")
        mask = _pixels(path)
    except (OSError, ValueError, EOFError, SyntaxError, KeyError, TypeError) as error:
        raise AnnotationError(
            "the label mask cannot be read", where=path.name, why=error_text(error), fix=FIX
        ) from error
    if mask.ndim != 2 or mask.dtype.kind not in "iu":
        raise _no_labels(
            path, f"it has shape {mask.shape} of {mask.dtype}, not whole numbers in two dimensions"
        )
    if mask.shape != shape:
        raise AnnotationError(
            "the label mask has another size than the image",
            where=path.name,
            why=f"{mask.shape[1]} x {mask.shape[0]} px and {shape[1]} x {shape[0]} px",
            fix="export it at full resolution",
        )
    if int(mask.min()) < -1 or int(mask.max()) >= 2**31:
        raise _no_labels(path, f"its numbers go from {int(mask.min())} to {int(mask.max())}")
    labels = mask.astype(np.int32)
    if not (labels > 0).any():
        raise _no_labels(path, "there is no nucleus in it")
    if _is_yes_or_no(labels):
        raise _no_labels(path, "every nucleus has the same number, so touching ones cannot be told apart")
    return labels


def _no_labels(path: Path, why: str) -> AnnotationError:
    return AnnotationError("this is no label mask", where=path.name, why=why, fix=FIX)


def _pixels(path: Path) -> NDArray[Any]:
    data = path.read_bytes()
    if path.suffix.casefold() == ".npy":
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    if path.suffix.casefold() == ".png":
        import cv2

        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise ValueError("it is no PNG")
        return np.asarray(decoded)
    import tifffile

    return np.asarray(tifffile.imread(io.BytesIO(data)))


def _is_yes_or_no(labels: NDArray[np.int32]) -> bool:
    import cv2

    present = np.unique(labels[labels > 0])
    if len(present) > 1:
        return False
    count, _ = cv2.connectedComponents((labels > 0).astype(np.uint8))
    return count > 2


def read_kinds(path: Path | None, present: NDArray[np.int32], names: Names) -> NDArray[np.float32]:
    """(n,) float32 kind of each label present, in ascending order: 1 lymphocyte, 0 other, NaN unknown.

    Raises
    ------
    SheetError
        If the table is none.
    AnnotationError
        If it names a label twice, or one that is not in the mask.
    """
    kinds = np.full(len(present), UNKNOWN, np.float32)
    if path is None:
        return kinds
    table = read_table(path)
    header = [plain(name).casefold() for name in table.header]
    if sorted(header) != ["class", "label"]:
        raise _table(path, f"the columns are {', '.join(header)}", "the columns are label and class")
    place, seen = {int(label): k for k, label in enumerate(present)}, set()
    for number, cells in table.rows:
        row = dict(zip(header, map(plain, cells), strict=False))
        where = row.get("label", "")
        label = int(where) if where.isdecimal() else -1
        if label not in place or label in seen:
            raise _table(path, f"row {number}: label {where!r} is not in the mask, or there twice", "mend it")
        seen.add(label)
        kinds[place[label]] = names.kind(row.get("class", ""))
    return kinds


def _table(path: Path, why: str, fix: str) -> AnnotationError:
    return AnnotationError("the table of classes cannot be used", where=path.name, why=why, fix=fix)
