"""One registry per room: the files of a room's folder, and other packages' entry points.

Adding a stain, a segmenter, a metric or a slide backend means adding one file; nothing else is
edited. Names in the configuration, columns, docs and contract tests come from here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from tme.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, found in a package's modules and in entry points.

    Parameters
    ----------
    kind : str
        What the things are called in messages, e.g. ``"stain"``.
    package : str
        Dotted name of the package whose modules register themselves on import.
    group : str, optional
        Entry-point group through which other packages add theirs.
    """

    def __init__(self, kind: str, package: str, group: str = "") -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._items: dict[str, T] = {}
        self._discovered = False

    def add(self, name: str, item: T) -> T:
        """Register ``item``; a second item of the same name is a programming error."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._items[name] = item
        return item

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""

        def decorate(item: T) -> T:
            return self.add(name, item)

        return decorate

    def discover(self) -> None:
        """Import every public module of the package and load the entry points, once."""
        if self._discovered:
            return
        self._discovered = True
        root = importlib.import_module(self.package)
        for module in sorted(pkgutil.iter_modules(root.__path__), key=lambda found: found.name):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")
        if self.group:
            for point in sorted(entry_points(group=self.group), key=lambda found: found.name):
                loaded = point.load()
                if point.name not in self._items:
                    self.add(point.name, loaded)

    def names(self) -> tuple[str, ...]:
        """All registered names, sorted."""
        self.discover()
        return tuple(sorted(self._items))

    def get(self, name: str) -> T:
        """The item called ``name``.

        Raises
        ------
        ConfigError
            If there is none; the message lists what there is.
        """
        self.discover()
        if name not in self._items:
            raise ConfigError(
                f"there is no {self.kind} named {name!r}",
                where=self.kind,
                why=f"known: {', '.join(self.names())}",
                fix=f"use one of these names, or install the package that adds this {self.kind}",
            )
        return self._items[name]

    def items(self) -> Iterator[tuple[str, T]]:
        """(name, item) in the order of names."""
        for name in self.names():
            yield name, self._items[name]

    def __contains__(self, name: object) -> bool:
        self.discover()
        return name in self._items
