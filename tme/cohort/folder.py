"""A folder of slides without a sheet: who and when is read from the names."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from tme.cohort.columns import KNOWN
from tme.cohort.files import is_dicom_folder, is_slide_file, is_zarr_folder
from tme.cohort.rows import RawRow
from tme.cohort.text import shown
from tme.cohort.words import Vocabulary, loose
from tme.config import CohortSettings
from tme.errors import Problem, SheetError

FIRST_ROW = 2
LOCK = ".tme.lock"
_ANNOTATION_ENDINGS = (".geojson", ".geojson.gz")


@dataclass(frozen=True)
class Found:
    """What lies in a folder.

    Attributes
    ----------
    slides : tuple of str
        POSIX paths below the folder, sorted: files, and folders that are one slide.
    annotations : dict
        Slide -> GeoJSON of the same name beside it.
    others : Counter
        Ending -> number of files that are no slides.
    results : tuple of str
        Folders of results, which are not looked into.
    unnamed : tuple of str
        Slides whose names are not UTF-8 and could not stand in a table.
    closed : tuple of str
        Folders that could not be looked into.
    """

    slides: tuple[str, ...]
    annotations: dict[str, str]
    others: Counter[str]
    results: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedSlide:
    """A slide and what its name says.

    Attributes
    ----------
    row : RawRow
        Its number is the row that `write_sheet` gives it.
    problem : Problem or None
        Why the name does not say enough.
    """

    row: RawRow
    problem: Problem | None


def scan(folder: Path) -> Found:
    """Find the slides below a folder, links followed once."""
    paths: list[str] = []
    results: list[str] = []
    closed: list[str] = []
    seen: set[str] = set()

    def refused(error: OSError) -> None:
        closed.append(Path(error.filename).relative_to(folder).as_posix())

    for here, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        below = Path(here).relative_to(folder).as_posix()
        real = os.path.realpath(here)
        if real in seen or LOCK in files:
            results += [below] if LOCK in files else []
            folders.clear()
            continue
        seen.add(real)
        whole = [name for name in folders if _is_one_slide(Path(here) / name)]
        folders[:] = [name for name in folders if name not in whole and not name.startswith(".")]
        prefix = "" if below == "." else f"{below}/"
        paths += [f"{prefix}{name}/" for name in whole] + [prefix + name for name in files]
    return replace(_sorted_out(paths), results=tuple(sorted(results)), closed=tuple(sorted(closed)))


def _sorted_out(paths: list[str]) -> Found:
    """Tell slides (a folder's path ends on a slash), annotations and other files apart."""
    slides = [path.rstrip("/") for path in paths if path.endswith("/") or is_slide_file(path.split("/")[-1])]
    rest = [path for path in paths if not path.endswith("/") and path not in set(slides)]
    annotations = _annotations_of(
        slides, [path for path in rest if path.lower().endswith(_ANNOTATION_ENDINGS)]
    )
    others = Counter(
        Path(path).suffix.lower() or "without ending" for path in set(rest) - set(annotations.values())
    )
    named = sorted(slide for slide in slides if _utf8(slide))
    unnamed = tuple(sorted(set(slides) - set(named)))
    return Found(tuple(named), annotations, others, unnamed=unnamed)


def _is_one_slide(folder: Path) -> bool:
    try:
        return is_zarr_folder(folder) or (not (folder / LOCK).exists() and is_dicom_folder(folder))
    except OSError:
        # Told when the walk comes to it.
        return False


def _annotations_of(slides: list[str], annotations: list[str]) -> dict[str, str]:
    by_name: dict[str, str] = {}
    for path in sorted(annotations, reverse=True):
        by_name[re.sub(r"(?i)\.geojson(\.gz)?$", "", path)] = path
    paired = {}
    for slide in slides:
        short = re.sub(r"(?i)(\.ome)?\.[^./]+$", "", slide)
        if slide in by_name or short in by_name:
            paired[slide] = by_name.get(slide) or by_name[short]
    return paired


def read_names(folder: Path, found: Found, settings: CohortSettings, words: Vocabulary) -> list[NamedSlide]:
    """What the names of the slides say, by the configuration's pattern."""
    strict, open_ended = words.expand(settings.name_pattern), loose(settings.name_pattern)
    named = []
    for number, slide in enumerate(found.slides, FIRST_ROW):
        # A DICOM folder has no ending for the pattern to end on.
        name = f"{slide}.dcm" if (folder / slide).is_dir() and not Path(slide).suffix else slide
        fit, guess = strict.fullmatch(name), open_ended.fullmatch(name)
        cells = _cells(fit or guess)
        cells["slide"] = slide
        if slide in found.annotations:
            cells["annotations"] = found.annotations[slide]
        named.append(NamedSlide(RawRow(number, cells), _problem(slide, cells, fit is not None, words)))
    return named


def _cells(match: re.Match[str] | None) -> dict[str, str]:
    if match is None:
        return {}
    return {name: value for name, value in match.groupdict().items() if value and name in KNOWN}


def _problem(slide: str, cells: dict[str, str], fits: bool, words: Vocabulary) -> Problem | None:
    where = shown(slide)
    why = []
    for column, read in (("timepoint", words.timepoint), ("stain", words.stain)):
        try:
            if column in cells:
                read(cells[column])
        except SheetError as error:
            why.append(error.problem.what)
    if fits and not why:
        return None
    return Problem(
        where,
        "left out: " + ("; ".join(why) or "its name does not fit cohort.name_pattern"),
        "without patient, timepoint and stain it cannot be counted",
        "rename it like P01_baseline_CD8.svs, or write a sheet with `tme init`",
        "caution",
    )


def _utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def unnamed_slides(found: Found) -> tuple[Problem, ...]:
    """Slides whose names no table could hold."""
    return tuple(
        Problem(
            shown(slide),
            "its name is not UTF-8",
            "no table could hold it, so the slide is left out",
            "rename the file",
        )
        for slide in found.unnamed
    )


def closed_folders(found: Found) -> list[Problem]:
    """Cautions for folders that could not be looked into."""
    return [
        Problem(
            "folder",
            f"{shown(below)} cannot be opened",
            "slides in it are left out",
            "check its permissions",
            "caution",
        )
        for below in found.closed
    ]


def folder_notes(found: Found) -> list[Problem]:
    """Notes on what else lies in the folder, so that nothing is passed over in silence."""
    notes = [replace(problem, severity="caution") for problem in unnamed_slides(found)]
    if found.others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(found.others.items())[:12])
        notes.append(Problem("folder", f"files that are no slides: {shown(kinds)[1:-1]}", severity="note"))
    notes += [
        Problem("folder", f"{shown(below)} holds results and was not searched", severity="note")
        for below in found.results
    ]
    notes += closed_folders(found)
    for slide, outlines in sorted(found.annotations.items()):
        notes.append(
            Problem(shown(slide), f"annotations beside it are used: {shown(outlines)}", severity="note")
        )
    return notes
