"""Engines that are an optional part of tme: what is missing for one, and how to say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from tme.errors import EngineError


@dataclass(frozen=True)
class Extra:
    """An optional part of tme.

    Attributes
    ----------
    name : str
        Of the extra, and of its engine.
    package : str
        Distribution the engine is written for.
    least, below : tuple of int
        Its first version that fits, and the first after it that does not.
    runtime : str
        Module it computes with; its distribution's name differs from machine to machine.
    """

    name: str
    package: str
    least: tuple[int, int]
    below: tuple[int, int]
    runtime: str

    @property
    def install(self) -> str:
        """What a user types."""
        return f"pip install 'tme[{self.name}]'"

    def missing(self) -> str:
        """Why it cannot run here, in one sentence that says what to install; empty if it can."""
        try:
            found = version(self.package)
        except PackageNotFoundError:
            return f"the package {self.package} is not installed: {self.install}"
        if find_spec(self.runtime) is None:
            return f"the package {self.runtime} is not installed: {self.install}"
        numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
        if not self.least <= numbers < self.below:
            wanted = f">={_dotted(self.least)},<{_dotted(self.below)}"
            return f"{self.package} {found} is installed and {wanted} is needed: {self.install}"
        return ""

    def require(self) -> None:
        """Refuse to go on without it.

        Raises
        ------
        EngineError
            With what to install.
        """
        reason = self.missing()
        if reason:
            raise EngineError(
                reason.partition(": ")[0],
                where=f"cells.engine: {self.name}",
                why=f"{self.name} is an optional part of tme",
                fix=f"{self.install}, or set cells.engine: watershed",
            )


def _dotted(numbers: tuple[int, int]) -> str:
    return ".".join(str(number) for number in numbers)
