"""One cell of a row to its value. Each reader takes stripped text and raises `SheetError`."""

from __future__ import annotations

import re
from datetime import date

from tme.cohort.text import did_you_mean, has_controls, shown
from tme.cohort.types import SPECIMEN_TYPES
from tme.errors import SheetError
from tme.safety import is_safe_id

MAX_ID = 64
MAX_TEXT = 1000
MIN_MPP, MAX_MPP = 0.1, 2.0
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[+-]?[0-9]{1,5}")
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_OTHER_DATE = re.compile(r"([0-9]{1,2})[./ -]([0-9]{1,2})[./ -]([0-9]{4})")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_NOT_A_REASON = {"no", "n", "false", "0", "none", "keep", "include"}


def read_id(text: str, column: str, required: bool = False) -> str:
    """A patient, lesion, specimen or block: any script, at most 64 characters, no control characters."""
    if required and not text:
        raise SheetError(f"{column} is empty", why="every row needs one", fix=f"fill in the {column}")
    if len(text) > MAX_ID:
        raise SheetError(
            f"{column} {shown(text)} has {len(text)} characters",
            why=f"at most {MAX_ID} are accepted",
            fix="use a shorter name",
        )
    return _visible(text, column)


def read_text(text: str, column: str) -> str:
    """Free text of at most 1000 characters without control characters; line breaks become blanks."""
    text = " ".join(text.splitlines())
    if len(text) > MAX_TEXT:
        raise SheetError(
            f"{column} has {len(text)} characters", why=f"at most {MAX_TEXT} are accepted", fix="shorten it"
        )
    return _visible(text, column)


def _visible(text: str, column: str) -> str:
    if has_controls(text):
        raise SheetError(
            f"{column} {shown(text)} holds an invisible control character",
            why="two names that differ in it look the same",
            fix="type the cell anew",
        )
    return text


def read_slide_id(text: str) -> str:
    """An id used verbatim as the folder's name, or "" for the default."""
    if text and not is_safe_id(text):
        raise SheetError(
            f"slide_id {shown(text)} cannot name a folder",
            why="it may have 1-64 of A-Z, a-z, 0-9, '_' and '-', and begins with a letter or digit",
            fix="change it, or leave the cell empty for an id made by tme",
        )
    return text


def read_mpp(text: str, decimal_comma: bool = False) -> float | None:
    """µm/px between 0.1 and 2, or None; ``0,25`` only where the sheet's separator is a semicolon."""
    if not text:
        return None
    mpp = read_number(text, "mpp", "it is the slide's µm per pixel", "0.25", decimal_comma)
    if not MIN_MPP <= mpp <= MAX_MPP:
        raise SheetError(
            f"mpp {shown(text)} is outside {MIN_MPP}-{MAX_MPP:g} µm/px",
            why="no scanner for histology has such pixels; every area and density would be wrong",
            fix="a 40x scan has about 0.25, a 20x scan about 0.5",
        )
    return mpp


def read_number(text: str, column: str, meaning: str, example: str, decimal_comma: bool = False) -> float:
    """A number with a point, or with a comma where the sheet's separator is a semicolon."""
    number = text.replace("\u2212", "-")
    number = number.replace(",", ".") if decimal_comma and text.count(",") == 1 else number
    if _NUMBER.fullmatch(number) is None:
        shape = f" ({example}, with a point)" if "," in text else f", e.g. {example}, without a unit"
        raise SheetError(f"{column} {shown(text)} is not a number", why=meaning, fix=f"write a number{shape}")
    return float(number)


def read_date(text: str, column: str = "biopsy_date") -> str:
    """An ISO date, or "". Other notations are not guessed: the message offers their readings."""
    if not text:
        return ""
    found = _ISO_DATE.fullmatch(text)
    if found is None:
        raise SheetError(
            f"{column} {shown(text)} is not of the form 2026-03-04",
            why="day and month could be swapped",
            fix=_readings(text) or "write year-month-day",
        )
    if _calendar(*map(int, found.groups())) is None or not 1900 <= int(found[1]) <= 2200:
        raise SheetError(
            f"{column} {shown(text)} is not a date", why="there is no such day", fix="correct it"
        )
    return text


def _readings(text: str) -> str:
    found = _OTHER_DATE.fullmatch(text)
    if found is None:
        return ""
    first, second, year = map(int, found.groups())
    dates = dict.fromkeys([_calendar(year, second, first), _calendar(year, first, second)])
    options = " or ".join(day.isoformat() for day in dates if day)
    return f"did you mean {options}? write it so" if options else ""


def _calendar(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def read_day(text: str) -> int | None:
    """Whole days from the first dose, negative before it, or None."""
    if not text:
        return None
    number = text.replace("\u2212", "-")
    if _DAY.fullmatch(number) is None:
        raise SheetError(
            f"biopsy_day {shown(text)} is not a whole number",
            why="it counts days from the first dose, negative before it",
            fix="write e.g. -7 or 15; a date goes into biopsy_date",
        )
    return int(number)


def read_specimen_type(text: str) -> str:
    """One of `SPECIMEN_TYPES`, without case, or ""."""
    if text and text.casefold() not in SPECIMEN_TYPES:
        raise SheetError(
            f"specimen_type {shown(text)} is not known",
            why=f"known: {', '.join(SPECIMEN_TYPES)}",
            fix=did_you_mean(text, SPECIMEN_TYPES) + "use one of these, or leave it empty",
        )
    return text.casefold()


def read_sha256(text: str) -> str:
    """64 hexadecimal digits in lower case, or ""."""
    if text and _SHA256.fullmatch(text) is None:
        raise SheetError(
            f"sha256 {shown(text)} is not a sha256",
            why=f"it has 64 digits 0-9, a-f; this has {len(text)} characters",
            fix="copy the output of `sha256sum FILE`, or leave it empty",
        )
    return text.lower()


def read_exclude(text: str) -> str:
    """The reason to leave a slide out, or ""."""
    if text.casefold() in _NOT_A_REASON:
        raise SheetError(
            f"exclude {shown(text)} is not a reason",
            why="any text here leaves the slide out",
            fix="leave the cell empty to keep the slide, or write why it is left out",
        )
    return read_text(text, "exclude")
