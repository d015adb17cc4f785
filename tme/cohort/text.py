"""How text of a sheet is compared and shown. Comparing never changes what is kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from tme.safety import comparison_key, csv_text, csv_text_back

# Letters of Cyrillic and Greek that look like a Latin one, in the case in which they do.
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХԚԜЗаеѕіјорсухһԁԛԝӏ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳανορικυ",
    "ABESIJKMHOPCTYXQW3aesijopcyxhdqwl" + "ABEZHIKMNOPTYXCjavopiku",
)
_ALMOST = str.maketrans("ol", "01") | str.maketrans("i", "1")
_SHOWN = 60


def plain(text: str) -> str:
    """A cell as its author meant it: the guard against formulas undone, blanks at the ends gone."""
    text = text.strip()
    bare = csv_text_back(text)
    # An apostrophe that guards nothing is the user's own ('07) and stays.
    return bare.strip() if bare != text and csv_text(bare) == text else text


def word_key(text: str) -> str:
    """Key of a word from a fixed list: case, blanks and punctuation do not count."""
    return re.sub(r"[\W_]+", "", comparison_key(text))


def skeleton(text: str) -> str:
    """What an id looks like to a reader: look-alike letters, dashes and runs of blanks made one."""
    key = comparison_key(unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)).translate(_LOOK_ALIKES)
    dashed = "".join("-" if unicodedata.category(c) == "Pd" or c == "\u2212" else c for c in key)
    return " ".join(dashed.split())


def almost(text: str) -> str:
    """Key of ids that a slip of the hand makes alike: letter O and zero, l, I and one, leading zeros."""
    key = skeleton(text).translate(_ALMOST)
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", key)


def has_controls(text: str) -> bool:
    """Whether ``text`` holds control characters, line breaks, or marks that reverse its direction."""
    return any(
        unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(c) in _DIRECTION
        for c in text
    )


_DIRECTION = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def shown(text: str) -> str:
    """Text of the user in a message: quoted, on one line, cut when long."""
    one_line = "".join(
        c if c.isprintable() and unicodedata.bidirectional(c) not in _DIRECTION else f"\\u{ord(c):04x}"
        for c in text
    )
    return f"'{one_line[:_SHOWN]}…'" if len(one_line) > _SHOWN else f"'{one_line}'"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` for the nearest of ``known``, or nothing."""
    keys = {word_key(name): name for name in known}
    near = get_close_matches(word_key(text), list(keys), n=1, cutoff=0.6)
    return f"did you mean '{keys[near[0]]}'? " if near else ""


def edits(first: str, second: str) -> int:
    """Letters to insert, drop, replace or swap with their neighbour to turn one word into the other.

    Optimal string alignment distance (Damerau 1964; no part is edited twice).
    """
    older: list[int] = []
    old = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            best = min(old[j] + 1, row[j - 1] + 1, old[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            row.append(best)
        older, old = old, row
    return old[-1]
