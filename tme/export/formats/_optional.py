"""Packages a format needs that are an optional part of tme."""

from __future__ import annotations

from importlib.util import find_spec


def missing_package(package: str, extra: str) -> str:
    """What to install where ``package`` is not there; empty where it is."""
    if find_spec(package) is not None:
        return ""
    return f"the package {package} is not installed: pip install 'tme[{extra}]'"
