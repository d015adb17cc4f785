"""A `TissueMask` as one lossless PNG and a small header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from tme.errors import ArtefactError
from tme.store import write_bytes
from tme.tissue.types import ARTEFACTS, TissueMask

TISSUE_BIT = 1 << 7


def save_mask(path: Path, mask: TissueMask) -> dict[str, Any]:
    """Write ``mask`` as an 8-bit PNG and return the header `load_mask` needs.

    Bit 7 of a pixel is tissue, bit k below it the k-th of `ARTEFACTS`. The same mask gives the same
    bytes.

    Raises
    ------
    SpaceError
        If the disk is full.
    """
    pixels = mask.artefacts | np.where(mask.tissue, np.uint8(TISSUE_BIT), np.uint8(0))
    write_bytes(path, bytes(imagecodecs.png_encode(pixels, level=6)))
    return {
        "mpp": mask.mpp,
        "width_um": mask.width_um,
        "height_um": mask.height_um,
        "has_glass": mask.has_glass,
        "n_pieces": mask.n_pieces,
        "cautions": list(mask.cautions),
        "bits": {"tissue": 7, **{name: bit for bit, name in enumerate(ARTEFACTS)}},
    }


def load_mask(path: Path, header: dict[str, Any]) -> TissueMask:
    """Read what `save_mask` wrote.

    Raises
    ------
    ArtefactError
        If the file is missing, not such a PNG, or the header lacks a value.
    """
    try:
        pixels = imagecodecs.png_decode(path.read_bytes())
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, str(error)[:200] or "it is not a PNG") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise _unreadable(path, "it is not an 8-bit grey PNG")
    try:
        return TissueMask(
            float(header["mpp"]),
            float(header["width_um"]),
            float(header["height_um"]),
            (pixels & TISSUE_BIT) != 0,
            pixels & np.uint8(TISSUE_BIT - 1),
            bool(header["has_glass"]),
            int(header["n_pieces"]),
            tuple(header.get("cautions", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"its header lacks {error}") from error


def _unreadable(path: Path, why: str) -> ArtefactError:
    return ArtefactError(
        "this tissue mask cannot be read",
        where=path.name,
        why=why,
        fix="run `tme run` again; it is made anew",
    )
