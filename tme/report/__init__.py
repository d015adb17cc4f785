"""The cohort's pages: ``index.html``, where a pathologist starts, and the report of the changes.

In: the cohort's tables as saved and how each slide ended. Out: HTML without scripts. Every number on
a page is read from a table; nothing is computed here but counts of rows and how far slides stray from
their batch.
"""

from tme.report.batches import write_batches
from tme.report.index import write_index
from tme.report.report import write_report

__all__ = ["write_batches", "write_index", "write_report"]
