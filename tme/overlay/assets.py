"""Scripts that all slides of a results folder share, copied once.

Their names carry a version or hash, so that pages written by another version keep working.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

import bokeh

from tme.store import write_bytes

ASSETS = "assets"
FROM_OVERLAY = "../../../assets"
BOKEH_SCRIPTS = ("bokeh", "bokeh-api")


def asset_names() -> tuple[str, ...]:
    """File names of the scripts a page needs, in the order it must load them."""
    return tuple(name for name, _ in _assets())


def library_scripts() -> tuple[str, ...]:
    """Text of the scripts a page that must be one file carries to draw charts, in the order they run."""
    return tuple(content.decode("utf-8") for _, content in _assets()[: len(BOKEH_SCRIPTS)])


def write_assets(results: Path) -> None:
    """Copy the shared scripts into ``results/assets``; what is there already is left alone."""
    for name, content in _assets():
        path = results / ASSETS / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)


def stylesheet() -> str:
    """The style all pages share; it names no other file."""
    return _package_file("tme.css").decode()


@cache
def _assets() -> tuple[tuple[str, bytes], ...]:
    folder = Path(bokeh.__file__).parent / "server" / "static" / "js"
    scripts = [
        (f"{name}-{bokeh.__version__}.min.js", (folder / f"{name}.min.js").read_bytes())
        for name in BOKEH_SCRIPTS
    ]
    own = _package_file("overlay.js")
    scripts.append((f"tme-overlay-{hashlib.sha256(own).hexdigest()[:10]}.js", own))
    return tuple(scripts)


def _package_file(name: str) -> bytes:
    return resources.files("tme.overlay").joinpath("static", name).read_bytes()
