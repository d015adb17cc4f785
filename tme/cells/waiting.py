"""Packed tables of tasks that wait on disk for the last task, so that a slide's cells never fill memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import overload


class WaitingTables(Sequence[bytes]):
    """A growing sequence of packed tables in a file without a name, gone when closed.

    Parameters
    ----------
    folder : Path or None
        Where there is room; the system's folder for temporary files if None.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with this object
        self._ends = [0]

    def __enter__(self) -> WaitingTables:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, table: bytes) -> None:
        """Put one more table at the end."""
        self._file.seek(self._ends[-1])
        self._file.write(table)
        self._ends.append(self._ends[-1] + len(table))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, number: int) -> bytes: ...

    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        place = range(len(self))[number]
        self._file.seek(self._ends[place])
        return self._file.read(self._ends[place + 1] - self._ends[place])
