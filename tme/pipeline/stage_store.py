"""Saved stages of one slide: found again in the published folder or in a half-finished run's.

A stage's artefact is a few files and a small JSON value, kept under a key. Finished stages wait in
``.stages/<slide>/`` until the slide is published, so a kill loses at most the stage at work.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tme.store import is_intact, link_or_copy, new_artefact, read_manifest, recover

log = logging.getLogger("tme")

Compute = Callable[[Path], Any]


class StageStore:
    """The stages of one slide.

    Parameters
    ----------
    published : Path
        ``slides/<slide_id>``.
    waiting : Path
        ``.stages/<slide_id>``.
    """

    def __init__(self, published: Path, waiting: Path) -> None:
        self.published = published
        self.waiting = waiting
        self.done: dict[str, dict[str, Any]] = {}
        self._where: dict[str, Path] = {}
        self.reused: list[str] = []

    def run(self, name: str, key: str, compute: Compute) -> tuple[Path, Any]:
        """The folder that holds the stage's files, and its JSON value; computed unless saved.

        Parameters
        ----------
        name : str
        key : str
            Hash of all that can change the stage's result.
        compute : callable
            Writes the files into the folder it is given and returns a JSON value.
        """
        found = self._published(name, key) or self._waiting(name, key)
        if found is None:
            folder = self.waiting / name
            started = time.monotonic()
            recover(folder)
            extra: dict[str, Any] = {}
            with new_artefact(folder, key, {"stage": name}, extra) as temporary:
                extra["value"] = compute(temporary)
            found = folder, extra["value"]
            log.info("%s: %s took %.1f s", self.published.name, name, time.monotonic() - started)
            files = sorted(read_manifest_files(folder))
        else:
            self.reused.append(name)
            files = self._files(name, found[0])
        self.done[name] = {"key": key, "files": files, "value": found[1]}
        self._where[name] = found[0]
        return found

    def keep(self) -> None:
        """Set the published stages aside, before the slide's folder is emptied or replaced by less.

        What waits already is newer and stays.
        """
        manifest = read_manifest(self.published)
        if manifest is None or not is_intact(self.published):
            return
        for name, stage in manifest.extra.get("stages", {}).items():
            folder = self.waiting / name
            if read_manifest(folder) is None:
                with new_artefact(folder, stage["key"], {"stage": name}, {"value": stage["value"]}) as target:
                    for file in stage["files"]:
                        link_or_copy(self.published / file, target / file)

    def clear(self) -> None:
        """Forget the waiting stages, after the slide was published."""
        shutil.rmtree(self.waiting, ignore_errors=True)

    def _published(self, name: str, key: str) -> tuple[Path, Any] | None:
        manifest = read_manifest(self.published)
        if manifest is None:
            return None
        stage = manifest.extra.get("stages", {}).get(name)
        if stage is None or stage["key"] != key or not is_intact(self.published):
            return None
        return self.published, stage["value"]

    def _waiting(self, name: str, key: str) -> tuple[Path, Any] | None:
        folder = self.waiting / name
        manifest = read_manifest(folder)
        if manifest is None or not is_intact(folder, key, thorough=True):
            return None
        return folder, manifest.extra["value"]

    def _files(self, name: str, folder: Path) -> list[str]:
        if folder != self.published:
            return sorted(read_manifest_files(folder))
        manifest = read_manifest(folder)
        return list(manifest.extra["stages"][name]["files"]) if manifest else []

    def collect(self, target: Path) -> None:
        """Put the files of every stage into ``target``, by hard link where the file system can."""
        for name, stage in self.done.items():
            for file in stage["files"]:
                link_or_copy(self._where[name] / file, target / file)


def read_manifest_files(folder: Path) -> list[str]:
    """Names of the files a finished artefact lists."""
    manifest = read_manifest(folder)
    return list(manifest.files) if manifest else []
