"""What a user gives `tme train` -> images, each with the file that labels it and whom it belongs to.

A folder (``NAME.png`` beside ``NAME.geojson`` or ``NAME_mask.png``) or a sheet of images. Nothing is read
but names and sheets; every problem is found before any is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tme.cohort.files import find_path, is_slide_file, is_slide_folder
from tme.cohort.reader import read_table
from tme.cohort.text import plain
from tme.errors import Problem, SheetError

PATIENTS = "patients.csv"
MASK = re.compile(r"(?i)_(mask|masks|labels)\.(png|tif|tiff|npy)$")
GEOJSON = re.compile(r"(?i)\.geojson(\.gz)?$")
ENDING = re.compile(r"(?i)(\.ome)?\.[^./]+$")
COLUMNS = ("image", "labels", "patient", "mpp")
LABEL_IT = "put NAME.geojson (exported from QuPath) or NAME_mask.png beside it, or take the image away"


@dataclass(frozen=True)
class Source:
    """An image to learn from.

    Attributes
    ----------
    image, labels : Path
    patient : str
        What a split keeps together.
    mpp : float or None
        µm/px of the image as the user says it; None: what the file says.
    classes : Path or None
        Table of the classes of a label mask.
    """

    image: Path
    labels: Path
    patient: str
    mpp: float | None = None
    classes: Path | None = None


@dataclass(frozen=True)
class Sources:
    """Images found, and what stands in the way of others."""

    found: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_sources(place: Path, mpp: float | None, patient_pattern: str | None) -> Sources:
    """Images with labels, in the order of their names.

    Parameters
    ----------
    place : Path
        A folder, or a CSV with columns ``image`` and, as far as wanted, ``labels``, ``patient``, ``mpp``;
        paths are relative to it.
    mpp : float or None
        For every image a sheet gives none.
    patient_pattern : str or None
        Regular expression whose match at the start of an image's name (its first group, if it has one)
        is the patient. Without it, and without a table, each image is a patient of its own.

    Raises
    ------
    SheetError
        If the folder or the sheet cannot be read.
    """
    if place.is_dir():
        return _of_folder(place, mpp, patient_pattern)
    if place.is_file():
        return _of_sheet(place, mpp, patient_pattern)
    raise SheetError(
        "there is no such folder or sheet of fields", where=str(place), fix="mend the path of the fields"
    )


def _of_folder(folder: Path, mpp: float | None, pattern: str | None) -> Sources:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    images = [path for path in entries if _is_image(path)]
    out = Sources()
    patients = _patients(folder / PATIENTS) if (folder / PATIENTS).is_file() else {}
    known = {name for image in images for name in (image.name, _stem(image))}
    out.problems.extend(
        Problem(PATIENTS, f"there is no image {name!r}", "its patient would be ignored", "mend the name")
        for name in sorted(set(patients) - known)
    )
    for image in images:
        patient = patients.get(image.name) or patients.get(_stem(image)) or _patient(image, pattern)
        _add(out, image, _labels_beside(image, entries), patient, mpp)
    for path in entries:
        if _labelled(path) and not _labelled(path) & known:
            out.problems.append(
                Problem(
                    path.name,
                    "there is no image beside these labels",
                    "an image has the same name up to the ending",
                    "put the image beside it, or take the labels away",
                )
            )
    return out


def _of_sheet(sheet: Path, mpp: float | None, pattern: str | None) -> Sources:
    out = Sources()
    for number, row in _rows(sheet, needed=("image",)):
        where = f"{sheet.name} row {number}"
        image = find_path(sheet.parent.absolute(), row["image"], row["image"])
        if not image.exists():
            out.problems.append(
                Problem(
                    where, f"there is no image {row['image']!r}", "", "mend the path, relative to the sheet"
                )
            )
            continue
        named = row.get("labels")
        labels = (
            [find_path(sheet.parent.absolute(), named, named)]
            if named
            else _labels_beside(image, sorted(image.parent.iterdir()))
        )
        own, problem = _number(row.get("mpp"), where)
        if problem is not None:
            out.problems.append(problem)
            continue
        _add(out, image, labels, row.get("patient") or _patient(image, pattern), own or mpp)
    return out


def _add(out: Sources, image: Path, labels: list[Path], patient: str, mpp: float | None) -> None:
    """Take an image with its one file of labels, or say what is wrong with it."""
    if len(labels) == 1 and labels[0].is_file():
        mask = MASK.search(labels[0].name)
        beside = labels[0].with_name(labels[0].name[: mask.start()] + "_classes.csv") if mask else None
        classes = beside if beside is not None and beside.is_file() else None
        out.found.append(Source(image, labels[0], patient, mpp, classes))
        return
    if len(labels) > 1:
        names = ", ".join(path.name for path in labels)
        problem = Problem(image.name, f"it has more than one file of labels: {names}", "", "keep one of them")
    elif labels:
        problem = Problem(image.name, f"its labels {labels[0].name!r} are not there", "", "mend the path")
    else:
        problem = Problem(image.name, "there are no labels beside it", "it would teach nothing", LABEL_IT)
    out.problems.append(problem)


def _is_image(path: Path) -> bool:
    if path.is_dir():
        return is_slide_folder(path)
    return is_slide_file(path.name) and not MASK.search(path.name) and path.is_file()


def _stem(image: Path) -> str:
    return ENDING.sub("", image.name)


def _labels_beside(image: Path, entries: list[Path]) -> list[Path]:
    return [path for path in entries if _labelled(path) & {image.name, _stem(image)}]


def _labelled(path: Path) -> set[str]:
    """Names an image may have for this file to label it; none if it is no file of labels."""
    return {rule.sub("", path.name) for rule in (GEOJSON, MASK) if rule.search(path.name)}


def _patient(image: Path, pattern: str | None) -> str:
    found = re.match(pattern, image.name) if pattern else None
    if found is None:
        return _stem(image)
    return (found.group(1) if found.re.groups else None) or found.group(0)


def _patients(path: Path) -> Mapping[str, str]:
    return {
        row["image"]: row["patient"]
        for _, row in _rows(path, needed=("image", "patient"))
        if row["image"] and row["patient"]
    }


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells by column of every row of a sheet.

    Raises
    ------
    SheetError
        If a column is missing or strange, or a row has another length.
    """
    table = read_table(path)
    header = [plain(name).casefold() for name in table.header]
    strange = [name for name in header if name not in COLUMNS]
    missing = [name for name in needed if name not in header]
    if strange or missing or len(set(header)) != len(header):
        raise SheetError(
            f"the columns are {', '.join(header)}",
            where=path.name,
            why=f"needed: {', '.join(needed)}; known: {', '.join(COLUMNS)}; each once",
            fix="mend the header row",
        )
    for number, cells in table.rows:
        if len(cells) != len(header):
            raise SheetError(
                f"{len(cells)} cells under {len(header)} columns",
                where=f"{path.name} row {number}",
                fix="mend the row",
            )
        yield number, dict(zip(header, map(plain, cells), strict=True))


def _number(text: str | None, where: str) -> tuple[float | None, Problem | None]:
    if not text:
        return None, None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = 0.0
    if 0.05 <= value <= 1.0:
        return value, None
    return None, Problem(where, f"mpp {text!r} is not from 0.05 to 1", "nuclei are lost beyond", "give µm/px")
