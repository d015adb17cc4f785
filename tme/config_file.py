"""The YAML file of the settings before it is checked, and what is wrong with it in words."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from tme.errors import ConfigError, Problem
from tme.safety import load_yaml


def read_keys(path: Path) -> dict[str, Any]:
    """The keys of a YAML file, unchecked.

    Raises
    ------
    ConfigError
        If it cannot be read or holds no keys.
    """
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
            "the configuration is not valid YAML",
            where=path.name,
            why=str(error),
            fix="mend the line named",
        ) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            "the configuration is not a set of keys", where=path.name, fix="write 'key: value' lines"
        )
    return raw


def problem_of(where: str, item: Any, model: type[BaseModel]) -> Problem:
    """An error of pydantic about a key of ``model`` as a `Problem`; ``where`` is the file."""
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        near = get_close_matches(key, sorted(_known_keys(model)), n=1, cutoff=0.5)
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
