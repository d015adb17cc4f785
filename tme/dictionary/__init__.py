"""What every column means: the data dictionary and `tme explain`."""

from tme.dictionary.explain import bounds_text, explain
from tme.dictionary.rows import dictionary_columns, dictionary_rows

__all__ = ["bounds_text", "dictionary_columns", "dictionary_rows", "explain"]
