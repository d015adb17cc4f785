"""YAML to a checked `Config`; what else the settings name is found, and what is pinned is held to it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tme.config.settings import REPEATABILITY_FORMAT, Config
from tme.errors import ConfigError, Problem
from tme.safety import load_yaml
from tme.store import SEAL, read_sealed

CALIBRATE_AGAIN = "make it with `tme calibrate`, and change the control slides rather than the file"
REPEAT_AGAIN = "name the file as `tme repeatability` wrote it"


def load_config(path: Path | None = None, with_files: bool = True) -> Config:
    """Read and check a YAML configuration; missing keys take their defaults.

    Parameters
    ----------
    path : Path, optional
        The file; without it, the defaults. A relative path in it is relative to its folder, as the jobs
        of a run work in another one than the user.
    with_files : bool
        Read the calibration and the coefficients named too; False for who neither stains nor calls.

    Raises
    ------
    ConfigError
        With one `Problem` per wrong key; or if a file named is not whole or not the one pinned.
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
    if path is None:
        return config
    config = _with_whole_paths(config, path.absolute().parent)
    return _with_repeats(_with_calibration(config)) if with_files else config


def _with_whole_paths(config: Config, folder: Path) -> Config:
    updates: dict[str, Any] = {}
    for section, key in (("cells", "weights"), ("stain", "calibration"), ("change", "repeatability")):
        named = getattr(getattr(config, section), key)
        if named:
            whole = {key: str(folder / Path(named).expanduser())}
            updates[section] = getattr(config, section).model_copy(update=whole)
    return config.model_copy(update=updates)


def _with_calibration(config: Config) -> Config:
    """The settings with the hash of the calibration's content."""
    stain = config.stain
    if not stain.calibration:
        return config
    found = read_sealed(Path(stain.calibration), "the calibration", CALIBRATE_AGAIN)
    digest = _pinned(found, "stain.calibration", stain.calibration, stain.calibration_sha256)
    stain = stain.model_copy(update={"calibration_sha256": digest})
    return config.model_copy(update={"stain": stain})


def _with_repeats(config: Config) -> Config:
    """The settings with the coefficients of ``change.repeatability`` and the hash of its content."""
    change = config.change
    if not change.repeatability:
        return config
    what = "the file of repeatability coefficients"
    found = read_sealed(Path(change.repeatability), what, REPEAT_AGAIN)
    if found.get("format") != REPEATABILITY_FORMAT:
        raise ConfigError(
            f"this is not a file of {REPEATABILITY_FORMAT}",
            where=Path(change.repeatability).name,
            why=f"its format is {found.get('format')!r}",
            fix=REPEAT_AGAIN,
        )
    digest = _pinned(found, "change.repeatability", change.repeatability, change.repeatability_sha256)
    change = change.model_copy(update={"repeatability_sha256": digest})
    change._repeats = dict(found["rc_log2"])
    return config.model_copy(update={"change": change})


def _pinned(found: dict[str, Any], key: str, path: str, pinned: str | None) -> str:
    """What a file's content hashes to, which must be what the settings pin, if they do."""
    digest = str(found[SEAL])
    if pinned not in (None, digest):
        raise ConfigError(
            "this is not the file that was pinned",
            where=f"{key}_sha256",
            why=f"{Path(path).name} is {digest[:16]}… instead of {str(pinned)[:16]}…",
            fix="name the file that was pinned, or pin this one if it is the one wanted",
        )
    return digest


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
