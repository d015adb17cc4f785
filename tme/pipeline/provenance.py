"""How the results were made: resolved settings and versions.

Outside the tables, so that those keep their bytes.
"""

from __future__ import annotations

import platform
from importlib.metadata import distributions
from pathlib import Path

import yaml

from tme import __version__
from tme.config import Config
from tme.pipeline.versions import STAGES
from tme.store import write_json, write_text


def write_provenance(results: Path, config: Config) -> None:
    """Write ``provenance/config.yaml`` and ``provenance/versions.json``."""
    folder = results / "provenance"
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)
    packages = {found.metadata["Name"]: found.version for found in distributions() if found.metadata["Name"]}
    versions = {
        "tme": __version__,
        "config_sha256": config.sha256(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "stages": dict(STAGES),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    write_json(folder / "versions.json", versions)
