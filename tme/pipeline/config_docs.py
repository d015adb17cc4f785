"""The commented default configuration and the JSON schema, both generated from the settings classes.

``python -m tme.pipeline.config_docs`` rewrites ``configs/default.yaml`` and the schema of a checkout;
a test holds them to what the classes say.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tme.config import Config
from tme.dictionary import bounds_text
from tme.store import write_text

HEADER = """\
# Every key of tme, at its default. Copy what you change into a file of your own and name it with
# --config; keys left out keep these values. A key that does not exist is an error.
"""


def default_yaml() -> str:
    """The default configuration with a comment above every key: meaning, unit, range."""
    lines = [HEADER]
    for name, field in Config.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        lines.append(f"# {(section.__doc__ or '').strip()}")
        lines.append(f"{name}:")
        defaults = section().model_dump(mode="json")
        for key, inner in section.model_fields.items():
            lines += _key(key, inner, defaults[key])
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def config_schema() -> str:
    """JSON schema (2020-12) of the configuration."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _key(key: str, field: FieldInfo, default: Any) -> list[str]:
    bounds = bounds_text(field)
    text = (field.description or "") + (f" Range: {bounds}." if bounds else "")
    comment = textwrap.wrap(text, 96, initial_indent="  # ", subsequent_indent="  # ")
    flow = yaml.safe_dump(default, default_flow_style=True, allow_unicode=True, sort_keys=True, width=10_000)
    return [*comment, f"  {key}: {flow.removesuffix(chr(10)).removesuffix('...').rstrip()}"]


def main() -> None:
    """Write both files into the checkout this module lies in."""
    root = Path(__file__).resolve().parents[2]
    write_text(root / "configs" / "default.yaml", default_yaml())
    write_text(root / "workflows" / "schemas" / "config.schema.json", config_schema())


if __name__ == "__main__":
    main()
