"""YAML to a checked `Config`; what else the settings name is found, and what is pinned is held to it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tme.config.settings import Config, StainSettings
from tme.errors import ConfigError, Problem
from tme.safety import load_yaml
from tme.store import SEAL, read_sealed

CALIBRATE_AGAIN = "make it with `tme calibrate`, and change the control slides rather than the file"


def load_config(path: Path | None = None) -> Config:
    """Read and check a YAML configuration; missing keys take their defaults.

    Parameters
    ----------
    path : Path, optional
        The file; without it, the defaults. A relative path in it is relative to its folder, as the jobs
        of a run work in another one than the user.

    Raises
    ------
    ConfigError
        With one `Problem` per wrong key; or if the calibration named is not whole.
    """
    raw: Any = {}
    where = "configuration"
    if path is not None:
        where = path.name
        try:
            raw = load_yaml(path) or {}
        except OSError as error:
            raise ConfigError(
                "the configuration cannot be read",
                where=str(path),
                why=error.strerror or str(error),
                fix="check the path given with --config",
            ) from error
        except yaml.YAMLError as error:
            raise ConfigError(
                "the configuration is not valid YAML", where=where, why=str(error), fix="mend the line named"
            ) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            "the configuration is not a set of keys", where=where, fix="write 'key: value' lines"
        )
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            "the configuration is not valid",
            problems=tuple(_problem(where, item) for item in error.errors()),
        ) from error
    return config if path is None else _with_whole_paths(config, path.absolute().parent)


def _with_whole_paths(config: Config, folder: Path) -> Config:
    changed: dict[str, Any] = {}
    if config.cells.weights:
        weights = str(folder / Path(config.cells.weights).expanduser())
        changed["cells"] = config.cells.model_copy(update={"weights": weights})
    if config.stain.calibration:
        file = folder / Path(config.stain.calibration).expanduser()
        named = {"calibration": str(file), "calibration_sha256": _sealed_sha256(file, config.stain)}
        changed["stain"] = config.stain.model_copy(update=named)
    return config.model_copy(update=changed) if changed else config


def _sealed_sha256(file: Path, settings: StainSettings) -> str:
    """What the calibration's content hashes to, which must be what the settings pin, if they do."""
    found = str(read_sealed(file, "the calibration", CALIBRATE_AGAIN)[SEAL])
    if settings.calibration_sha256 not in (None, found):
        raise ConfigError(
            "the calibration is not the one pinned",
            where="stain.calibration_sha256",
            why=f"{file.name} is {found[:16]}… instead of {str(settings.calibration_sha256)[:16]}…",
            fix="name the file that was pinned, or pin this one if it is the one wanted",
        )
    return found


def _problem(where: str, item: Any) -> Problem:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = sorted(_known_keys(Config))
        near = get_close_matches(key, known, n=1, cutoff=0.5)
        fix = f"did you mean {near[0]!r}?" if near else "remove it; `tme explain config` lists the keys"
        return Problem(f"{where}: {key}", "there is no such key", "a key nobody reads changes nothing", fix)
    return Problem(
        f"{where}: {key or 'top level'}", item["msg"], f"got {item.get('input')!r}"[:200], "mend this value"
    )


def _known_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys |= _known_keys(inner, f"{prefix}{name}.")
    return keys
