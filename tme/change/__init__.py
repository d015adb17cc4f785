"""Two measurements of one patient -> change with its uncertainty, and the tables of it."""

from tme.change.columns import PAIR_COLUMNS, change_columns
from tme.change.names import check_names
from tme.change.pairs import compute_changes
from tme.change.patients import patient_columns, patient_rows
from tme.change.types import PairRow, Recount, SlideResult

__all__ = [
    "PAIR_COLUMNS",
    "PairRow",
    "Recount",
    "SlideResult",
    "change_columns",
    "check_names",
    "compute_changes",
    "patient_columns",
    "patient_rows",
]
