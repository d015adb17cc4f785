"""Sample sheet, or a folder of slides, to a checked `Cohort`. The door where a user's text comes in."""

from tme.cohort.controls import read_controls
from tme.cohort.load import Fingerprint, Reading, load_cohort, read_cohort
from tme.cohort.types import SPECIMEN_TYPES, Cohort, SlideRow
from tme.cohort.write import SHEET_NAME, write_sheet

__all__ = [
    "SHEET_NAME",
    "SPECIMEN_TYPES",
    "Cohort",
    "Fingerprint",
    "Reading",
    "SlideRow",
    "load_cohort",
    "read_cohort",
    "read_controls",
    "write_sheet",
]
