"""What weights an engine takes: those its authors publish, those that come with tme, what it refuses.

Only `tme models` reads this. A run takes the file that the settings name and never looks for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One file of weights as its authors publish it.

    Attributes
    ----------
    name : str
        Of the file, once it is here; no other engine's file has it.
    url : str
        Where it is, by https.
    sha256 : str
        Of the file itself, where the authors or their package state it; else empty, for the user to give.
    purpose : str
        What it is for, in a few words.
    member : str
        File within an archive at ``url`` that is the weights; empty where what is there is the weights.
    """

    name: str
    url: str
    sha256: str = ""
    purpose: str = ""
    member: str = ""


@dataclass(frozen=True)
class Pinned:
    """A file that is here and the sha256 it must have."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Supply:
    """All weights of one engine.

    Attributes
    ----------
    published : tuple of Published
    bundled : callable
        Files that come with tme.
    refuse : callable, optional
        Raises `EngineError` for a file that is no weights of this engine or holds what must not be read. It
        runs nothing of the file and needs none of the engine's packages. None: no file is fetched for it.
    """

    published: tuple[Published, ...] = ()
    bundled: Callable[[], tuple[Pinned, ...]] = tuple
    refuse: Callable[[Path], None] | None = None


def known(published: tuple[Published, ...]) -> Mapping[str, str]:
    """File names of which the sha256 is known -> that sha256."""
    return {one.name: one.sha256 for one in published if one.sha256}
