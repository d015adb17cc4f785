"""Which pages of a TIFF are the slide, and which TIFFs are no stained section at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tifffile

from tme.errors import SlideError
from tme.slide.backends._ome import read_ome
from tme.slide.guards import shown

MAX_PAGES = 200
RGB, YCBCR = 2, 6
JPEG = 7
PHOTOMETRIC = {
    0: "grey (bilevel or grayscale)",
    1: "grey (bilevel or grayscale)",
    3: "a colour palette",
    4: "a transparency mask",
    5: "CMYK (print colours)",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
}


@dataclass(frozen=True)
class TiffLayout:
    """Pages of each level, level 0 first: one RGB page, or three pages of one colour each."""

    levels: tuple[tuple[tifffile.TiffPage, ...], ...]
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    cautions: tuple[str, ...] = ()


def find_layout(path: Path, tiff: tifffile.TiffFile) -> TiffLayout:
    """Choose the pages of the slide's pyramid.

    Label, macro and thumbnail pages are never decoded: in an Aperio file only tiled pages of level
    0's proportions are levels, elsewhere only pages that call themselves reduced or are tiled.

    Raises
    ------
    SlideError
        If the file is not 8-bit RGB brightfield.
    """
    first = _page(tiff, 0)
    text = first.description
    if is_ome(text):
        image = read_ome(path, text)
        base = tuple(_page(tiff, index) for index in image.planes)
        levels = _ome_levels(path, base)
        return TiffLayout(levels, image.mpp_x, image.mpp_y, image.objective_power, image.cautions)
    check_page(path, first, several=len(tiff.pages) > 1)
    found = [(first,)]
    candidates = [page for page in first.pages or () if isinstance(page, tifffile.TiffPage)]
    candidates += [_page(tiff, index) for index in range(1, min(len(tiff.pages), MAX_PAGES))]
    for page in candidates:
        if _is_level(page, found[-1][0], aperio=text.startswith("Aperio")):
            found.append((page,))
    return TiffLayout(tuple(found))


def is_ome(description: str) -> bool:
    """Whether a page's description is OME-XML."""
    return description.rstrip("\x00 \r\n").endswith("OME>")


def _page(tiff: tifffile.TiffFile, index: int) -> tifffile.TiffPage:
    page = tiff.pages[index]
    return page if isinstance(page, tifffile.TiffPage) else page.aspage()


def _ome_levels(path: Path, base: tuple[tifffile.TiffPage, ...]) -> tuple[tuple[tifffile.TiffPage, ...], ...]:
    for page in base:
        check_page(path, page, several=False, samples=1 if len(base) == 3 else None)
    below = [[page for page in plane.pages or () if isinstance(page, tifffile.TiffPage)] for plane in base]
    levels = [base]
    for pages in zip(*below, strict=False):
        levels.append(pages)
    return tuple(levels)


def _is_level(page: tifffile.TiffPage, above: tifffile.TiffPage, aperio: bool) -> bool:
    same_kind = (
        page.samplesperpixel == above.samplesperpixel
        and page.bitspersample == above.bitspersample
        and page.photometric in (RGB, YCBCR)
    )
    if not same_kind or page.imagewidth >= above.imagewidth or page.imagelength >= above.imagelength:
        return False
    across, down = above.imagewidth / page.imagewidth, above.imagelength / page.imagelength
    if abs(across / down - 1) > 4 / min(page.imagewidth, page.imagelength) + 1e-3:
        return False
    return page.is_tiled or (not aperio and bool(page.subfiletype & 1))


def check_page(path: Path, page: tifffile.TiffPage, several: bool, samples: int | None = None) -> None:
    """Refuse by name what is not 8-bit RGB(A).

    Raises
    ------
    SlideError
    """
    reason = _reason(page, several, samples)
    if reason:
        raise SlideError(
            reason,
            where=shown(path),
            why="tme reads 8-bit RGB brightfield only",
            fix="export the brightfield scan as 8-bit RGB",
        )
    orientation = int(page.tags.valueof(274, 1) or 1)
    if orientation not in (0, 1):
        raise SlideError(
            f"the orientation tag says {orientation}: the picture is stored turned or mirrored",
            where=shown(path),
            why="annotations and overlays of other programs would not fit",
            fix="export it upright (orientation 1)",
        )


def _reason(page: tifffile.TiffPage, several: bool, samples: int | None) -> str:
    photometric = int(page.photometric)
    if page.bitspersample != 8 or int(page.sampleformat) not in (1, 4):
        return (
            f"the pixels have {page.bitspersample} bits per sample (sample format {int(page.sampleformat)})"
        )
    if page.imagedepth != 1:
        return f"the file is a stack of {page.imagedepth} focal planes (z)"
    if samples == 1:
        return "" if page.samplesperpixel == 1 else "a colour plane holds several samples"
    if photometric in (0, 1) and several:
        return "the file holds grey pages: fluorescence channels or a stack, not RGB"
    if photometric not in (RGB, YCBCR):
        return f"the pixels are {PHOTOMETRIC.get(photometric, f'of kind {photometric}')}, not RGB"
    if page.samplesperpixel not in (3, 4) or (page.samplesperpixel == 4 and _alpha(page) is None):
        return f"the pixels have {page.samplesperpixel} channels, not RGB or RGBA"
    if photometric == YCBCR and int(page.compression) != JPEG:
        return "the pixels are YCbCr without JPEG compression"
    return ""


def _alpha(page: tifffile.TiffPage) -> int | None:
    """1 for premultiplied, 2 for plain alpha, None if the fourth sample is neither."""
    extra = tuple(int(value) for value in page.extrasamples)
    return extra[0] if extra in ((1,), (2,)) else None
