"""Fields of view kept as PNG, JPEG or WebP; their µm/px comes from the sheet.

These formats are decoded whole at the first read and held, so their size is limited.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from tme.errors import SlideError
from tme.slide.guards import check_size, decoding, shown
from tme.slide.source import BACKENDS, Header, RawLevel
from tme.slide.types import RGB
from tme.slide.white import on_white

PNG = b"\x89PNG\r\n\x1a\n"
BAND_ROWS = 1024
ORIENTATION = 274
MODES = {
    "1": "bilevel",
    "L": "grayscale",
    "LA": "grayscale",
    "P": "a colour palette",
    "PA": "a colour palette",
    "I;16": "16-bit grayscale",
    "I": "32-bit grayscale",
    "CMYK": "CMYK (print colours)",
}


class ImageBackend:
    """Registered as ``image``."""

    rank = 40

    def claims(self, path: Path, head: bytes) -> bool:
        """PNG, JPEG or WebP by the first bytes."""
        return head.startswith((PNG, b"\xff\xd8\xff")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

    def open(self, path: Path) -> ImageSource:
        """See `tme.slide.source.Backend.open`."""
        with decoding(path, "the image cannot be read"):
            return ImageSource(path)


class ImageSource:
    """An image decoded at the first read; see `tme.slide.source.Source`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pixels: RGB | None = None
        with _open(path) as image:
            width, height = image.size
            check_size(path, (RawLevel(width, height, width, height),))
            _check(path, image)
        self.header = Header((RawLevel(width, height, width, min(height, BAND_ROWS)),))

    def tile(self, level: int, column: int, row: int) -> RGB:
        """See `tme.slide.source.Source.tile`."""
        with self._lock:
            if self._pixels is None:
                self._pixels = _decode(self._path)
        return self._pixels[row * BAND_ROWS : (row + 1) * BAND_ROWS]

    def close(self) -> None:
        """Release the pixels."""
        self._pixels = None


def _open(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from 89 megapixels on and refuses from 179; `check_size` has its own limit.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=("PNG", "JPEG", "WEBP"))
        except Image.DecompressionBombError as error:
            raise SlideError(
                "the image is too large for its format",
                where=shown(path),
                why=str(error),
                fix="convert it to a tiled pyramid, e.g. with `vips tiffsave --tile --pyramid`",
            ) from error


def _decode(path: Path) -> RGB:
    """The whole picture, band by band: Pillow's way to an array in one go holds it three times."""
    with _open(path) as image:
        width, height = image.size
        image.load()
        clear = image.info.get("transparency") if image.mode == "RGB" else None
        out = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, BAND_ROWS):
            box = (0, top, width, min(top + BAND_ROWS, height))
            band = on_white(np.array(image.crop(box)))
            if isinstance(clear, tuple):
                band[(band == np.array(clear, np.uint8)).all(axis=2)] = 255
            out[box[1] : box[3]] = band
    return out


def _check(path: Path, image: Image.Image) -> None:
    reason = ""
    # Asking a PNG for its orientation would decode it; cameras, which turn pictures, write JPEG.
    if image.mode not in ("RGB", "RGBA"):
        reason = f"the pixels are {MODES.get(image.mode, image.mode)}, not RGB"
    elif image.format == "PNG" and _png_bits(path) != 8:
        reason = f"the pixels have {_png_bits(path)} bits per sample"
    elif getattr(image, "n_frames", 1) > 1:
        reason = "the file is an animation or a stack"
    elif image.format != "PNG" and int(image.getexif().get(ORIENTATION, 1)) not in (0, 1):
        reason = "the orientation tag says the picture is stored turned or mirrored"
    if reason:
        raise SlideError(
            reason,
            where=shown(path),
            why="tme reads upright 8-bit RGB brightfield only",
            fix="export the brightfield image as upright 8-bit RGB",
        )


def _png_bits(path: Path) -> int:
    # Pillow silently halves 16-bit colour; the bit depth is byte 24 of every PNG.
    with path.open("rb") as stream:
        return stream.read(25)[24]


BACKENDS.add("image", ImageBackend())
