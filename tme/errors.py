"""Every error a user can meet, in one tree.

TmeError                 what, where, why, fix; ``exit_code`` 1
├── SheetError           the sample sheet or a folder of slides            2
├── ConfigError          the configuration                                 2
├── SlideError           one slide cannot be read or must be refused       3
├── AnnotationError      one slide's annotations                           3
├── EngineError          a segmentation engine or its weights              2
├── ArtefactError        a saved artefact is missing, partial or altered   3
├── BusyError            another run holds the output folder               4
└── SpaceError           no disk space or memory left                      5

A user never sees a traceback for these: the message names *where* (file or row), *what* is wrong,
*why* it matters and how to *fix* it. Problems of a whole sheet are collected as `Problem` values
and raised together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing a user must know about one file, row or key.

    Attributes
    ----------
    where : str
        File name, ``row 7`` or configuration key.
    what, why, fix : str
        What is wrong, why tme will not go on with it, and what to do.
    severity : {"error", "caution", "note"}
        Only ``error`` stops a slide or a run.
    """

    where: str
    what: str
    why: str = ""
    fix: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        return " · ".join(part for part in (self.where, self.what, self.why, self.fix) if part)


class TmeError(Exception):
    """Base of the tree; carries one `Problem` or several."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        fix: str = "",
        problems: tuple[Problem, ...] = (),
    ) -> None:
        self.problems = problems or (Problem(where, what, why, fix),)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def problem(self) -> Problem:
        """The first problem; the only one for errors about a single thing."""
        return self.problems[0]

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive pickling by default, and these
        # cross process borders on their way from a Dask worker.
        return (_rebuild, (type(self), self.problems))


def _rebuild(kind: type[TmeError], problems: tuple[Problem, ...]) -> TmeError:
    return kind(problems[0].what, problems=problems)


class SheetError(TmeError):
    exit_code = 2


class ConfigError(TmeError):
    exit_code = 2


class SlideError(TmeError):
    exit_code = 3


class TileError(SlideError):
    """One tile of a slide cannot be decoded; the rest of the slide may be sound."""


class AnnotationError(TmeError):
    exit_code = 3


class EngineError(TmeError):
    exit_code = 2


class ArtefactError(TmeError):
    exit_code = 3


class BusyError(TmeError):
    exit_code = 4


class SpaceError(TmeError):
    exit_code = 5
