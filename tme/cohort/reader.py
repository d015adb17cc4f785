"""A sheet's bytes to rows of text. Nothing is inferred: ``007``, ``NA`` and ``1E5`` stay what they are."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from tme.cohort.columns import SAMPLE_SHEET, SheetColumns
from tme.cohort.text import plain
from tme.errors import SheetError

DELIMITERS = (",", ";", "\t")
MAX_SHEET_BYTES = 50_000_000
_NOT_TEXT = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADER_WITHIN = 20_000
_SAVE_AS = "save it as 'CSV UTF-8' from the spreadsheet program"


@dataclass(frozen=True)
class Table:
    """A sheet as text.

    Attributes
    ----------
    name : str
        File name of the sheet.
    header : list of str
    rows : tuple of (int, list of str)
        Row number as a spreadsheet counts it and the raw cells; empty rows left out.
    delimiter : str
    """

    name: str
    header: list[str]
    rows: tuple[tuple[int, list[str]], ...]
    delimiter: str


def read_table(path: Path, columns: SheetColumns = SAMPLE_SHEET) -> Table:
    """Read a comma, semicolon or tab separated file.

    Parameters
    ----------
    path : Path
    columns : SheetColumns
        What the header may hold; the separator that finds most of it is taken.

    Raises
    ------
    SheetError
        If it cannot be read, is not UTF-8 text, is damaged or empty.
    """
    text = _decode(_bytes(path), path.name)
    delimiter, text = _delimiter(text, columns)
    numbered = [(number, cells) for number, cells in _records(text, delimiter, path.name) if _filled(cells)]
    if not numbered:
        raise SheetError(
            "the sheet is empty",
            where=path.name,
            why="there is no header row",
            fix=columns.begin,
        )
    return Table(path.name, numbered[0][1], tuple(numbered[1:]), delimiter)


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_SHEET_BYTES:
            raise SheetError(
                f"the file has {size / 1e6:.0f} MB",
                where=path.name,
                why=f"a sheet has less than {MAX_SHEET_BYTES / 1e6:.0f} MB",
                fix="give the sheet, not a slide",
            )
        return path.read_bytes()
    except OSError as error:
        raise SheetError(
            "the sheet cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="check the path of the sheet",
        ) from error


def _decode(data: bytes, name: str) -> str:
    for start, kind in _NOT_TEXT.items():
        if data.startswith(start):
            raise SheetError(f"the file is {kind}", where=name, why="tme reads UTF-8 text", fix=_SAVE_AS)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A byte-order mark is not counted by the decoder.
        at = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, at) + 1
        raise SheetError(
            f"byte {at + 1} (0x{data[at]:02x}), in line {line}, is not UTF-8",
            where=name,
            why="in another encoding names would come out wrong and two patients could become one",
            fix=_SAVE_AS,
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SheetError(
            f"line {line} holds a null byte",
            where=name,
            why="the file is not text or is damaged",
            fix=_SAVE_AS,
        )
    return text


def _delimiter(text: str, columns: SheetColumns) -> tuple[str, str]:
    """The separator whose header has most known columns, and the text without Excel's ``sep=`` line."""
    lines = _LINE_END.split(text[:_HEADER_WITHIN])
    header = next((line for line in lines if line.strip(" \t,;")), "")
    if header.lower().startswith("sep=") and header[4:5] in DELIMITERS:
        # An empty line in its place keeps the numbers of the rows.
        return header[4:5], text.replace(header, "", 1)

    def score(delimiter: str) -> tuple[int, int]:
        cells = [plain(cell) for cell in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(cell in columns.known or bool(columns.near(cell)) for cell in cells), len(cells)

    return max(DELIMITERS, key=score), text


def _records(text: str, delimiter: str, name: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[tuple[int, list[str]]] = []
    started = 1
    try:
        for cells in reader:
            records.append((len(records) + 1, cells))
            started = reader.line_num + 1
    except csv.Error as error:
        raise SheetError(
            f"the row that starts in line {started} is damaged",
            where=name,
            why=str(error),
            fix="look for a quotation mark that is not closed; inside a quoted cell it is written twice",
        ) from error
    return records


def _filled(cells: list[str]) -> bool:
    return any(cell.strip() for cell in cells)
