"""Formats other programs read: one file per format, registered by name.

In: a `PublishedSlide`. Out: files in an empty folder. A format never sees another slide, the sheet or the
slide's image file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from tme.export.published import PublishedSlide
from tme.registry import Registry

NGFF_VERSIONS = ("0.5", "0.4")


@dataclass(frozen=True)
class ExportOptions:
    """What a user may choose.

    Attributes
    ----------
    ngff : {"0.5", "0.4"}
        Version of OME-Zarr; 0.4 is for older readers.
    """

    ngff: str = NGFF_VERSIONS[0]


class Format(Protocol):
    """One format.

    Attributes
    ----------
    version : int
        Of what is written; goes into the export's manifest.
    """

    version: int

    def missing(self) -> str:
        """Why it cannot be written here, in one sentence that says what to install; empty if it can."""
        ...

    def write(self, slide: PublishedSlide, folder: Path, options: ExportOptions) -> None:
        """Write the slide's files into ``folder``.

        Raises
        ------
        ArtefactError
            If the slide is damaged.
        """
        ...


@runtime_checkable
class JoinedFormat(Format, Protocol):
    """A format that can hold many slides in one file."""

    def join(self, folders: Sequence[Path], target: Path) -> None:
        """Put what `write` left in each of ``folders`` together in ``target``."""
        ...


FORMATS: Registry[Format] = Registry("export format", "tme.export.formats", "tme.exports")
