"""The value of the cohort room: who was biopsied when, and which slides show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tme.errors import Problem

SPECIMEN_TYPES = ("core", "incision", "excision", "resection")


@dataclass(frozen=True)
class SlideRow:
    """One checked row of the sample sheet.

    Every text but ``slide_id`` is the user's own and may hold anything: it is shown, escaped, and
    never becomes a path, a shell word or markup. A cell left empty is "" or None.

    Attributes
    ----------
    slide_id : str
        Safe and unique ignoring case; the name of the slide's folder.
    patient_id, lesion_id : str
    timepoint, stain : str
        Names of the configuration and of the registry, synonyms resolved.
    path : Path
        The slide, absolute.
    sheet_row : int
        Row of the sheet as a spreadsheet counts it, the header being row 1; for a folder without a
        sheet, of the sheet `write_sheet` makes of it.
    specimen_id, block_id : str
    specimen_type : {"", "core", "incision", "excision", "resection"}
    biopsy_date : str
        ``YYYY-MM-DD`` or "".
    biopsy_day : int or None
        Days from the first dose.
    mpp : float or None
        µm/px that overrides the file's.
    annotations : Path or None
        QuPath GeoJSON.
    batch : str
        Stain or scanner batch.
    sha256 : str
        Expected hash of the file, lower case, or "".
    exclude : str
        Reason to leave the slide out, or "".
    extra : dict
        Columns tme does not know, carried along.
    """

    slide_id: str
    patient_id: str
    lesion_id: str
    timepoint: str
    stain: str
    path: Path
    sheet_row: int
    specimen_id: str = ""
    block_id: str = ""
    specimen_type: str = ""
    biopsy_date: str = ""
    biopsy_day: int | None = None
    mpp: float | None = None
    annotations: Path | None = None
    batch: str = ""
    sha256: str = ""
    exclude: str = ""
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """All slides in the order of the sheet, the excluded ones too.

    Attributes
    ----------
    slides : tuple of SlideRow
    timepoints : tuple of str
        In the order of treatment.
    notes : tuple of Problem
        What the user should know and what stops nothing: severity ``note`` or ``caution``.
    """

    slides: tuple[SlideRow, ...]
    timepoints: tuple[str, ...]
    notes: tuple[Problem, ...] = ()

    def patients(self) -> tuple[str, ...]:
        """Patients in the order they first appear."""
        return tuple(dict.fromkeys(row.patient_id for row in self.slides))

    def slide(self, slide_id: str) -> SlideRow:
        """The slide of that id; KeyError if there is none."""
        for row in self.slides:
            if row.slide_id == slide_id:
                return row
        raise KeyError(slide_id)

    def included(self) -> tuple[SlideRow, ...]:
        """The slides the sheet does not exclude."""
        return tuple(row for row in self.slides if not row.exclude)
