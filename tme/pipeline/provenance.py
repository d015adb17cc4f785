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
from tme.store import write_bytes, write_json, write_text

CALIBRATION = "calibration.json"


def write_provenance(results: Path, config: Config) -> None:
    """Write ``provenance/config.yaml``, ``versions.json`` and, where one was named, ``calibration.json``."""
    folder = results / "provenance"
    settings = config.model_dump(mode="json")
    if config.stain.calibration:
        # The settings kept here name the copy beside them, so that they can be read wherever it is taken.
        write_bytes(folder / CALIBRATION, Path(config.stain.calibration).read_bytes())
        settings["stain"]["calibration"] = CALIBRATION
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
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
