"""What OME-XML says of the image to read: one RGB plane, its µm/px, and no other file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme.errors import SlideError
from tme.safety import parse_xml
from tme.slide.guards import shown
from tme.slide.resolution import in_um, number

RGB_NAMES = (("red", "green", "blue"), ("r", "g", "b"))
# OME stores a colour as a signed 32-bit RGBA number.
RGB_COLOURS = (0xFF0000FF, 0x00FF00FF, 0x0000FFFF)


@dataclass(frozen=True)
class OmeImage:
    """The first image of an OME-XML description.

    Attributes
    ----------
    planes : tuple of int
        IFD numbers: one of three samples, or three of one sample each (red, green, blue).
    """

    mpp_x: float | None
    mpp_y: float | None
    objective_power: float | None
    planes: tuple[int, ...]
    cautions: tuple[str, ...]


def read_ome(path: Path, text: str) -> OmeImage:
    """Parse and judge an OME-XML description.

    Raises
    ------
    SlideError
        Entities or DTDs, other files named, several z, t or channels.
    """
    where = shown(path)
    root = parse_xml(text.strip("\x00 \n"), where)
    images = [element for element in root if _name(element) == "Image"]
    if not images:
        raise SlideError("the OME description holds no image", where=where, fix="export the slide again")
    pixels = next((child for child in images[0] if _name(child) == "Pixels"), None)
    if pixels is None:
        raise SlideError("the OME description holds no pixels", where=where, fix="export the slide again")
    _refuse_other_files(path, root, images)
    _refuse_stacks(where, pixels)
    return OmeImage(
        mpp_x=in_um(pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "µm")),
        mpp_y=in_um(pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeYUnit", "µm")),
        objective_power=_objective(root, images[0]),
        planes=_planes(where, pixels),
        cautions=_other_images(images[1:]),
    )


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _refuse_other_files(path: Path, root: Any, images: list[Any]) -> None:
    own = root.get("UUID")
    for element in (found for image in images for found in image.iter()):
        if _name(element) not in {"UUID", "BinaryFile", "External"}:
            continue
        same = own is not None and (element.text or "").strip() == own.strip()
        name = element.get("FileName", "" if _name(element) == "UUID" else "?")
        if not same and name not in {"", path.name}:
            raise _external(path)
    if any(_name(child) == "BinaryOnly" for child in root):
        raise _external(path)


def _external(path: Path) -> SlideError:
    return SlideError(
        "the OME description keeps pixels in another file",
        where=shown(path),
        why="a slide is one file here, so that no description can make tme read what nobody named",
        fix="export it as one single-file OME-TIFF",
    )


def _refuse_stacks(where: str, pixels: Any) -> None:
    for key, what in (("SizeZ", "focal planes (z)"), ("SizeT", "time points (t)")):
        if (number(pixels.get(key, 1)) or 1) > 1:
            raise SlideError(
                f"the file is a stack of {pixels.get(key)} {what}",
                where=where,
                why="counts need one plane, and none is chosen silently",
                fix="export the plane to be read as its own file",
            )


def _planes(where: str, pixels: Any) -> tuple[int, ...]:
    channels = [child for child in pixels if _name(child) == "Channel"]
    samples = [int(number(channel.get("SamplesPerPixel", 1)) or 1) for channel in channels]
    count = int(number(pixels.get("SizeC", 3)) or 3)
    data = next((child for child in pixels if _name(child) == "TiffData"), None)
    first = int(data.get("IFD", "0")) if data is not None else 0
    if count in (3, 4) and len(channels) <= 1 and (not samples or samples[0] in (1, count)):
        return (first,)
    if count == 3 and len(channels) == 3 and set(samples) == {1} and _are_rgb(channels):
        return (first, first + 1, first + 2)
    if count == 1:
        return (first,)
    raise SlideError(
        f"the file holds {count} channels, which is fluorescence or multiplexed, not RGB brightfield",
        where=where,
        why="tme reads colours of light through a stained section",
        fix="give the brightfield scan, or export it as RGB",
    )


def _are_rgb(channels: list[Any]) -> bool:
    names = tuple((channel.get("Name") or "").strip().casefold() for channel in channels)
    colours = tuple(int(channel.get("Color", "0")) & 0xFFFFFFFF for channel in channels)
    return names in RGB_NAMES or colours == RGB_COLOURS


def _objective(root: Any, image: Any) -> float | None:
    wanted = next((child.get("ID") for child in image if _name(child) == "ObjectiveSettings"), None)
    for element in root.iter():
        if _name(element) == "Objective" and (wanted is None or element.get("ID") == wanted):
            return number(element.get("NominalMagnification"))
    return None


def _other_images(images: list[Any]) -> tuple[str, ...]:
    names = [(image.get("Name") or "").casefold() for image in images]
    further = [
        name for name in names if not any(word in name for word in ("label", "macro", "overview", "thumb"))
    ]
    return (f"the file holds {len(further)} further images; only the first is read",) if further else ()
