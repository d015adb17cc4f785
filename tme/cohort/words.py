"""The words a sheet may use for time points and stains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tme.cohort.text import did_you_mean, shown, word_key
from tme.config import CohortSettings
from tme.errors import SheetError


@dataclass(frozen=True)
class Vocabulary:
    """Known words, compared without case, blanks and punctuation.

    Attributes
    ----------
    timepoints, stains : mapping
        `word_key` of every accepted spelling -> the name it stands for.
    timepoint_words, stain_words : tuple of str
        The names and time-point synonyms as they are written, for messages and patterns.
    """

    timepoints: Mapping[str, str]
    stains: Mapping[str, str]
    timepoint_words: tuple[str, ...]
    stain_words: tuple[str, ...]

    @classmethod
    def of(cls, settings: CohortSettings, stains: Mapping[str, str]) -> Vocabulary:
        """Words of the configuration and of the registered stains (spelling -> name)."""
        timepoints = {}
        words = list(settings.timepoints)
        for synonym, name in settings.synonyms.items():
            if name in settings.timepoints:
                timepoints[word_key(synonym)] = name
                words.append(synonym)
        # A time point's own name wins over a synonym of another.
        timepoints.update({word_key(name): name for name in settings.timepoints})
        spellings = {word_key(spelling): name for spelling, name in stains.items()}
        spellings.update({word_key(name): name for name in stains.values()})
        names = tuple(sorted(set(stains.values())))
        return cls(MappingProxyType(timepoints), MappingProxyType(spellings), tuple(words), names)

    def timepoint(self, text: str) -> str:
        """The time point ``text`` stands for; SheetError if none."""
        name = self.timepoints.get(word_key(text))
        if name is None:
            raise SheetError(
                f"timepoint {shown(text)} is not known",
                why=f"known: {', '.join(self.timepoint_words)}",
                fix=did_you_mean(text, self.timepoint_words)
                + "use one of these, or add the word under cohort.synonyms in the configuration",
            )
        return name

    def stain(self, text: str) -> str:
        """The registered stain ``text`` stands for; SheetError if none."""
        name = self.stains.get(word_key(text))
        if name is None:
            raise SheetError(
                f"stain {shown(text)} is not registered",
                why=f"registered: {', '.join(self.stain_words)}",
                fix=did_you_mean(text, self.stain_words) + "use one of these names, or remove the row",
            )
        return name

    def expand(self, pattern: str) -> re.Pattern[str]:
        """Compile a name pattern, ``{timepoint}`` and ``{stain}`` standing for all known words."""
        timepoint, stain = _any_of(self.timepoints), _any_of(self.stains)
        return re.compile(pattern.replace("{timepoint}", timepoint).replace("{stain}", stain))


def loose(pattern: str) -> re.Pattern[str]:
    """The pattern with any word where a known one should stand, to say what was not understood."""
    return re.compile(pattern.replace("{timepoint}", "[^/_]+").replace("{stain}", "[^/_.]+"))


def _any_of(keys: Iterable[str]) -> str:
    # Longest first, so that CD31 is not read as CD3; punctuation inside a word (H&E, Ki-67) is free.
    spelled = [
        r"[^A-Za-z0-9/.]?".join(re.escape(c) for c in key) for key in sorted(keys, key=lambda k: (-len(k), k))
    ]
    return f"(?i:{'|'.join(spelled)})(?![A-Za-z0-9])"
