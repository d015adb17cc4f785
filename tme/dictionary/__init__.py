"""What every column means: the data dictionary and `tme explain`."""

from tme.dictionary.explain import explain
from tme.dictionary.rows import dictionary_columns, dictionary_rows

__all__ = ["dictionary_columns", "dictionary_rows", "explain"]
