"""Give a new virtual environment the pinned packages that other environments here already hold.

Six environments hold much of the same. A package of the very version that is pinned is linked, file by file,
in place of being fetched, unpacked and stored again; pip then adds what is missing and checks the whole. Pip
never writes into a file that is there, it replaces it, so the environments stay independent of each other.

    python .ci/link_packages.py TARGET SOURCE... -- CONSTRAINTS...
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(constraints: list[Path]) -> set[tuple[str, str]]:
    """(name, version) of every ``name==version``."""
    lines = [line.split("==") for path in constraints for line in path.read_text().split()]
    return {(canonical(name), version) for name, version in lines}


def files(package: Distribution, source: Path) -> Iterator[Path]:
    """What the package brought, relative to its environment; bytecode is made again where it is used."""
    for file in package.files or ():
        if "__pycache__" not in file.parts:
            yield Path(os.path.normpath(package.locate_file(file))).relative_to(source)


def share(source: Path, target: Path, file: Path) -> None:
    place = target / file
    place.parent.mkdir(parents=True, exist_ok=True)
    if file.parts[0] == "bin":
        # A command names the interpreter of its environment.
        place.write_bytes((source / file).read_bytes().replace(bytes(source), bytes(target)))
        place.chmod((source / file).stat().st_mode)
    else:
        place.hardlink_to(source / file)


def held(environment: Path) -> list[Distribution]:
    (packages,) = environment.glob("lib/python*/site-packages")
    return list(distributions(path=[str(packages)]))


def main(target: Path, sources: list[Path], constraints: list[Path]) -> None:
    # What a new environment brings (pip, setuptools) is for pip to replace.
    there = {canonical(package.name) for package in held(target)}
    wanted = {(name, version) for name, version in pinned(constraints) if name not in there}
    for source in sources:
        for package in held(source):
            # A pinned version is met by every build of it, such as 2.13.0+cpu.
            this = (canonical(package.name), package.version.split("+")[0])
            if this in wanted:
                wanted.remove(this)
                for file in files(package, source):
                    share(source, target, file)


if __name__ == "__main__":
    split = sys.argv.index("--")
    environments = [Path(word).resolve() for word in sys.argv[1:split]]
    main(environments[0], environments[1:], [Path(word) for word in sys.argv[split + 1 :]])
